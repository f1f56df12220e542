"""Checkpoints in NVFP4 against llama.cpp's converter: the whole file, scales beside the blocks included."""

from __future__ import annotations

from pathlib import Path

import pytest

import gguf_tools
from tests import tiny
from tests.goldens.converter import Job, convert
from tests.goldens.describe import describe
from tests.packed_models import build_nvfp4

pytestmark = pytest.mark.parity

KINDS = ("modelopt nvfp4", "modelopt nvfp4, weights only", "nvfp4", "nvfp4, weights only")


def ours_tagged(path: Path) -> list[str] | None:
    """Names of the tensors whose inputs are not to be rounded to 4 bits."""
    with gguf_tools.open(path) as file:
        names = file.metadata.get("general.tensor_extra.name")
        return None if names is None else list(names)


@pytest.mark.parametrize("outtype", ["bf16", "f32"])
@pytest.mark.parametrize("model", ["qwen3", "llama", "qwen3-moe"])
@pytest.mark.parametrize("kind", KINDS)
def test_whole_files_are_those_of_llama_cpps_converter(
    kind: str, model: str, outtype: str, tmp_path: Path
) -> None:
    checkpoint = build_nvfp4(model, tmp_path, kind)
    ours, theirs = tmp_path / "ours.gguf", tmp_path / "theirs.gguf"
    convert([Job(checkpoint, theirs, outtype, tiny.MODELS[model].pre)])
    gguf_tools.convert(checkpoint, ours, type=outtype.upper())
    found, expected = describe(ours), describe(theirs)
    assert found.metadata == expected.metadata
    assert found.tensors == expected.tensors
    assert ours.read_bytes() == theirs.read_bytes()
    assert any(name.endswith("_exps.scale" if model == "qwen3-moe" else "_q.scale") for name in found.tensors)
    weights_only = kind.endswith("weights only")
    assert any(name.endswith(".input_scale") for name in found.tensors) is not weights_only
    kept = sorted(name for name, facts in found.tensors.items() if facts.type == "NVFP4")
    tagged = kept if kind == "modelopt nvfp4, weights only" else None
    assert ours_tagged(ours) == tagged
