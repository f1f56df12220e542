"""URLs as places: names, neighbours, what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from gguf_tools.io.remote import Location, is_url, locate


@pytest.mark.parametrize(
    ("url", "name", "neighbour"),
    [
        ("https://host/a/b.gguf", "b.gguf", "https://host/a/x%20y.gguf"),
        ("https://host/b.gguf", "b.gguf", "https://host/x%20y.gguf"),
        (
            "https://host/a/b%20c.gguf?download=true#top",
            "b c.gguf",
            "https://host/a/x%20y.gguf?download=true",
        ),
        ("HTTP://host:8080/a%2Fb.gguf", "a/b.gguf", "http://host:8080/x%20y.gguf"),
        ("s3://bucket/k/b?c#d.gguf", "b?c#d.gguf", "s3://bucket/k/x y.gguf"),
        ("hf://org/name@v1/b.gguf", "b.gguf", "hf://org/name@v1/x y.gguf"),
        ("zip://in/b.gguf::https://host/all.zip", "b.gguf", "zip://in/x y.gguf::https://host/all.zip"),
    ],
)
def test_name_and_neighbour(url: str, name: str, neighbour: str) -> None:
    location = Location(url)
    assert location.name == name
    assert location.with_name("x y.gguf").url == neighbour


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://me:secret@host/a.gguf?X-Signature=abc", "https://host/a.gguf?…"),
        ("https://host/a.gguf#part", "https://host/a.gguf"),
        ("ftp://me:secret@host/a.gguf", "ftp://host/a.gguf"),
        ("ftp://me:se@cret@host/a.gguf", "ftp://host/a.gguf"),
        ("zip://in::https://me:secret@host/a.zip?sig=secret", "zip://in::https://host/a.zip?…"),
        ("https://[::1]/a.gguf?sig=secret", "https://[::1]/a.gguf?…"),
        ("abfs://box@account.host/a.gguf", "abfs://box@account.host/a.gguf"),
        ("hf://org/name@v1/a.gguf", "hf://org/name@v1/a.gguf"),
    ],
)
def test_secrets_are_not_shown(url: str, shown: str) -> None:
    assert str(Location(url)) == shown
    assert "secret" not in repr(Location(url))


def test_foreign_words_are_a_line_without_secrets() -> None:
    location = Location("zip://in::ftp://me:s3cret@host/a?sig=s1gned")
    cause = OSError(f"no {location.url}:\n\x1b[31m s3cret at s1gned {'x' * 999}")
    text = location.describe(cause)
    assert text.startswith("no zip://in::ftp://host/a")
    assert text.isprintable()
    assert len(text) <= 301
    assert "s3cret" not in text
    assert "s1gned" not in text


def test_what_is_a_url() -> None:
    assert all(map(is_url, ("https://x", "HF://x/y/z", "a+b-c.1://x", Location("s3://a/b"))))
    assert not any(map(is_url, ("model.gguf", "C:\\x.gguf", "/a://b", "://x", "1a://x", Path("http://x"))))
    assert locate("model.gguf") == Path("model.gguf")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("hf://org/name", True),
        ("hf://org/name/", True),
        ("hf://org/name@v2", True),
        ("hf://org/name@refs/pr/7", True),
        ("hf://datasets/org/name", True),
        ("hf://org", False),
        ("hf://org/name/a.gguf", False),
        ("https://host/a/", True),
        ("https://host/a", False),
    ],
)
def test_directories(url: str, expected: bool) -> None:
    assert Location(url).is_dir() is expected
