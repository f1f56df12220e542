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


@pytest.mark.parametrize("outtype", ["bf16", "f32"])
@pytest.mark.parametrize("model", ["qwen3", "llama", "qwen3-moe"])
@pytest.mark.parametrize("kind", ["modelopt nvfp4", "nvfp4"])
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
    assert any(name.endswith(".input_scale") for name in found.tensors)
