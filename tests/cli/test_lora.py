"""``convert-lora``, and ``convert --merge-lora``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import gguf_tools
from gguf_tools.cli import main
from gguf_tools.cli.parameters import scaled_paths
from tests.adapters import adapt


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def adapter(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    return adapt(tiny_checkpoints["llama"], tmp_path / "lora", r".*[qv]_proj\.weight")


def test_convert_lora(adapter: Path, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    base, target = tiny_checkpoints["llama"], tmp_path / "a.gguf"
    dry = invoke("convert-lora", adapter, target, "--base", base, "--type", "f16", "--dry-run", "--json")
    assert dry.exit_code == 0, dry.stderr
    assert not target.exists()
    done = invoke("convert-lora", adapter, target, "--base", base, "--type", "f16")
    assert done.exit_code == 0, done.stderr
    assert json.loads(dry.stdout)["size"] == target.stat().st_size
    gguf_tools.convert_lora(adapter, tmp_path / "b.gguf", base=base, type="f16")
    assert target.read_bytes() == (tmp_path / "b.gguf").read_bytes()
    assert invoke("verify", target).exit_code == 0


def test_errors_are_one_line(adapter: Path, tmp_path: Path) -> None:
    result = invoke("convert-lora", adapter, tmp_path / "a.gguf")
    assert result.exit_code == 1
    assert "--base DIR" in result.stderr
    assert result.stderr.count("\n") == 1


def test_merge_lora(adapter: Path, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    base = tiny_checkpoints["llama"]
    options = ("--merge-lora", f"{adapter}:0.5", "--merge-lora", adapter)
    done = invoke("convert", base, tmp_path / "a.gguf", "-t", "Q8_0", *options)
    assert done.exit_code == 0, done.stderr
    assert f"merged {adapter}: 6 tensors changed, scale 0.75" in done.stdout
    gguf_tools.convert(base, tmp_path / "b.gguf", type="Q8_0", merge_lora=[(adapter, 0.5), adapter])
    assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dir", ("dir", 1.0)),
        ("dir:0.5", ("dir", 0.5)),
        ("dir:-2", ("dir", -2.0)),
        ("a:b", ("a:b", 1.0)),
        ("a:b:1e-1", ("a:b", 0.1)),
        (":3", (":3", 1.0)),
    ],
)
def test_scales(text: str, expected: tuple[str, float]) -> None:
    (option,) = (p for p in main.get_command(None, "convert").params if p.name == "merge_lora")  # type: ignore[arg-type,union-attr]
    assert scaled_paths(None, option, (text,)) == [expected]  # type: ignore[arg-type]
