"""What NVIDIA's Model Optimizer exports, against what it unpacks itself and against llama.cpp's converter."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import gguf_tools
from gguf_tools.checkpoint import open_checkpoint, unpack
from gguf_tools.source import row_count
from tests import tiny
from tests.floats import assert_same_floats
from tests.goldens.converter import Job, convert
from tests.goldens.describe import describe
from tests.parity.modelopt import ATTENTION, FEED_FORWARD, export

pytestmark = pytest.mark.parity

KINDS = {
    "NVFP4": ("NVFP4_DEFAULT_CFG", {}),
    "weights only": ("W4A16_NVFP4_CFG", {}),
    "weights only of some layers": ("NVFP4_DEFAULT_CFG", {FEED_FORWARD: "W4A16_NVFP4_CFG"}),
    "beside FP8": ("W4A16_NVFP4_CFG", {ATTENTION: "FP8_DEFAULT_CFG"}),
}
TAGGED = {"NVFP4": (), "weights only": ("attn_", "ffn_")}
"""Which layers' inputs are not to be rounded to 4 bits; where it is not said, the feed-forward ones."""


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def exported(kind: str, tmp_path: Path) -> tuple[Path, Path]:
    """A checkpoint with a tokenizer, and the values of its packed weights."""
    model = tiny.MODELS["qwen3"]
    config, others = KINDS[kind]
    values = export(tmp_path / "tiny", config, model.config["vocab_size"], others=others)
    for file in (tiny.TOKENIZERS / model.tokenizer).iterdir():
        shutil.copyfile(file, tmp_path / "tiny" / file.name)
    return tmp_path / "tiny", values


def test_values_are_modelopts_own(kind: str, exported: tuple[Path, Path]) -> None:
    from safetensors.numpy import load_file

    expected = load_file(exported[1])
    with open_checkpoint(exported[0]) as checkpoint:
        algorithm = checkpoint.config["quantization_config"]["quant_algo"]
        assert (algorithm == "MIXED_PRECISION") is (kind not in TAGGED)
        found = unpack(checkpoint.config, checkpoint.tensors).tensors
        assert len(expected) == 14
        for name, values in expected.items():
            assert_same_floats(found[name].rows(0, row_count(values.shape)), values, name)


def test_whole_files_are_those_of_llama_cpps_converter(
    kind: str, exported: tuple[Path, Path], tmp_path: Path
) -> None:
    ours, theirs = tmp_path / "ours.gguf", tmp_path / "theirs.gguf"
    convert([Job(exported[0], theirs, "bf16", tiny.MODELS["qwen3"].pre)])
    gguf_tools.convert(exported[0], ours, type="BF16")
    assert describe(ours).tensors == describe(theirs).tensors
    assert ours.read_bytes() == theirs.read_bytes()
    with gguf_tools.open(ours) as file:
        tagged = TAGGED.get(kind, ("ffn_",))
        wanted = sorted(
            name
            for name, tensor in file.tensors.items()
            if tensor.type_name == "NVFP4" and name.split(".")[2].startswith(tagged)
        )
        assert list(file.metadata.get("general.tensor_extra.name", ())) == wanted


def test_older_releases_say_it_beside_the_config(exported: tuple[Path, Path], tmp_path: Path) -> None:
    """In hf_quant_config.json, which newer ones write as well."""
    checkpoint, _ = exported
    gguf_tools.convert(checkpoint, tmp_path / "new.gguf", type="BF16")
    config = json.loads((checkpoint / "config.json").read_text())
    del config["quantization_config"]
    (checkpoint / "config.json").write_text(json.dumps(config))
    gguf_tools.convert(checkpoint, tmp_path / "old.gguf", type="BF16")
    assert (tmp_path / "old.gguf").read_bytes() == (tmp_path / "new.gguf").read_bytes()
