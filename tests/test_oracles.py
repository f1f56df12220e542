"""The download helper refuses what it cannot vouch for."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from tests.references import oracles
from tests.references.oracles import OracleUnavailableError, Package


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of its own, and no leave to skip."""
    monkeypatch.setenv(oracles.CACHE, str(tmp_path / "cache"))
    monkeypatch.delenv(oracles.OFFLINE, raising=False)
    return tmp_path / "cache"


def _pretend_registry(monkeypatch: pytest.MonkeyPatch, sha256: str) -> None:
    """A package "thing" whose download puts a small wheel into the folder."""

    def run(command: list[str], folder: Path, environment: object = None) -> None:
        with zipfile.ZipFile(folder / "thing-1.0-py3-none-any.whl", "w") as wheel:
            wheel.writestr(zipfile.ZipInfo("thing/data.txt"), "data")

    monkeypatch.setitem(oracles.PACKAGES, "thing", Package("wheel", "thing", "1.0", sha256))
    monkeypatch.setattr(oracles, "_run", run)


def test_an_artifact_with_another_checksum_is_refused_and_not_kept(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend_registry(monkeypatch, "0" * 64)
    with pytest.raises(OracleUnavailableError, match=r"thing-1\.0.*SHA-256 is [0-9a-f]{64}, recorded is 000"):
        oracles.unpacked("thing")
    assert [path.name for path in empty_cache.iterdir()] == [".thing-1.0.lock"]


def test_a_failing_download_is_an_error_with_its_reason(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(oracles.PACKAGES, "thing", Package("npm", "thing", "1.0", "0" * 64))
    monkeypatch.setenv("PATH", str(empty_cache))
    with pytest.raises(OracleUnavailableError, match="npm pack"):
        oracles.unpacked("thing")


def test_only_the_variable_makes_it_a_skip(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend_registry(monkeypatch, "0" * 64)
    monkeypatch.setenv(oracles.OFFLINE, "1")
    with pytest.raises(pytest.skip.Exception, match=r"thing 1\.0 is not in"):
        oracles.unpacked("thing")


def test_what_is_unpacked_once_is_not_downloaded_again(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = empty_cache / "thing-1.0"
    contents.mkdir(parents=True)
    monkeypatch.setitem(oracles.PACKAGES, "thing", Package("npm", "thing", "1.0", "0" * 64))
    monkeypatch.setattr(oracles, "_run", None)
    assert oracles.unpacked("thing") == contents
