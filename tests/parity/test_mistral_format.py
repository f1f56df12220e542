"""A model in Mistral's own format against llama.cpp's converter with ``--mistral-format``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from tests.conversion.test_mistral_format import as_mistral, write
from tests.goldens.converter import Job, convert
from tests.goldens.describe import describe
from tests.packing import fp8_tensor, part, write_parts
from tests.tokenizers.tekken import Tekken

pytestmark = pytest.mark.parity


def checkpoint(target: Path) -> tuple[dict[str, Any], Any]:
    """params.json, tekken.json and the tensors of a tiny Mistral; nothing in transformers' form."""
    params, tensors = as_mistral("mistral", target)
    tekken = Tekken()
    size = tekken.config["default_vocab_size"]
    for file in target.iterdir():
        file.unlink()
    tekken.save(target)
    (target / "config.json").unlink()
    for name in ("tok_embeddings.weight", "output.weight"):
        tensors[name] = tensors[name][:size]
    params["max_position_embeddings"] = params.pop("max_seq_len")
    params["vocab_size"] = size
    (target / "params.json").write_text(json.dumps(params))
    return params, tensors


def compare(target: Path, outtype: str) -> None:
    ours, theirs = target.parent / "ours.gguf", target.parent / "theirs.gguf"
    convert([Job(target, theirs, outtype, "tekken", ("--mistral-format",))])
    gguf_tools.convert(target, ours, type=outtype.upper())
    found, expected = describe(ours), describe(theirs)
    assert found.metadata == expected.metadata  # in another order: theirs has the vocabulary's keys elsewhere
    assert found.tensors == expected.tensors
    assert list(found.tensors) == list(expected.tensors)


@pytest.mark.parametrize("outtype", ["f32", "bf16"])
@pytest.mark.parametrize("shards", [1, 3])
def test_keys_and_tensors_are_those_of_llama_cpps_converter(
    shards: int, outtype: str, tmp_path: Path
) -> None:
    target = tmp_path / "mistral"
    _, tensors = checkpoint(target)
    write(target, tensors, shards, index=False)
    compare(target, outtype)


def test_packed_as_fp8_too(tmp_path: Path) -> None:
    target = tmp_path / "mistral"
    params, tensors = checkpoint(target)
    params["quantization"] = {"qformat_weight": "fp8_e4m3"}
    (target / "params.json").write_text(json.dumps(params))
    rng = np.random.default_rng(0)
    parts = {}
    for name, values in tensors.items():
        if ".attention.w" in name or ".feed_forward.w" in name:
            made, _ = fp8_tensor(rng, *values.shape)
            parts[name] = made["weight"]
            parts[name.removesuffix("weight") + "qscale_weight"] = made["weight_scale"]
            parts[name.removesuffix("weight") + "qscale_act"] = made["weight_scale"]
        else:
            parts[name] = part(values)
    write_parts(target / "consolidated.safetensors", parts)
    compare(target, "bf16")
