"""A model in Mistral's own format against llama.cpp's converter with ``--mistral-format``."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from tests.conversion.mistral_layout import as_mistral, scaling, write
from tests.goldens.converter import Job, convert
from tests.goldens.describe import describe
from tests.packing import fp8_tensor, part, write_parts
from tests.tokenizers.tekken import Tekken

pytestmark = pytest.mark.parity


FORMS = {
    "YaRN": ("mistral", ("yarn",)),
    "YaRN that scales attention": ("mistral", ("yarn",)),
    "cooling attention": ("mistral", ("yarn", "llama_4_scaling")),
    "latent attention": ("deepseek-v2", ("yarn",)),
    "latent attention that cools": ("deepseek-v2", ("yarn", "llama_4_scaling")),
}
"""A tiny model, and what else its params.json has."""


def checkpoint(target: Path, name: str = "mistral") -> tuple[dict[str, Any], Any]:
    """params.json, tekken.json and the tensors of a tiny model; nothing in transformers' form."""
    params, tensors = as_mistral(name, target)
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


def compare(target: Path, outtype: str, *, unpacked: Path | None = None) -> None:
    """Our file of ``target`` with the converter's of it, or of the same in a form that it reads."""
    ours, theirs = target.parent / "ours.gguf", target.parent / "theirs.gguf"
    gguf_tools.convert(target, ours, type=outtype.upper())
    given = unpacked or target
    # its class for experts opens a config.json, of which it only wants to know that it is no DeepSeek-OCR
    (given / "config.json").write_text('{"architectures": [null], "model_type": "llama"}')
    convert([Job(given, theirs, outtype, "tekken", ("--mistral-format",))])
    found, expected = describe(ours), describe(theirs)
    assert found.metadata == expected.metadata  # in another order: theirs has the vocabulary's keys elsewhere
    assert found.tensors == expected.tensors
    if not any("_exps." in name for name in found.tensors):  # which it writes when it has all of a layer's
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


@pytest.mark.parametrize("form", FORMS)
def test_other_attention_too(form: str, tmp_path: Path) -> None:
    target = tmp_path / "mistral"
    name, keys = FORMS[form]
    params, tensors = checkpoint(target, name)
    write(target, tensors, 1, index=False)
    made = scaling(64, apply_scale="scales" in form)
    params = {key: value for key, value in params.items() if key not in made}
    (target / "params.json").write_text(json.dumps(params | {key: made[key] for key in keys}))
    compare(target, "bf16")


@pytest.mark.parametrize("name", ["mistral", "deepseek-v2"])
def test_packed_as_fp8_too(name: str, tmp_path: Path) -> None:
    """The converter does not read latent attention in FP8: its file is that of the unpacked weights."""
    target = tmp_path / "mistral"
    params, tensors = checkpoint(target, name)
    plain = shutil.copytree(target, tmp_path / "unpacked" / "mistral") if name != "mistral" else None
    params["quantization"] = {"qformat_weight": "fp8_e4m3"}
    (target / "params.json").write_text(json.dumps(params))
    rng = np.random.default_rng(0)
    parts = {}
    for tensor, values in tensors.items():
        if re.search(r"\.w[1-3qkvo](_|\.)", tensor):
            made, tensors[tensor] = fp8_tensor(rng, *values.shape)
            parts[tensor] = made["weight"]
            parts[tensor.removesuffix("weight") + "qscale_weight"] = made["weight_scale"]
            parts[tensor.removesuffix("weight") + "qscale_act"] = made["weight_scale"]
        else:
            parts[tensor] = part(values)
    write_parts(target / "consolidated.safetensors", parts)
    if plain is not None:
        write_parts(plain / "consolidated.safetensors", {key: part(one) for key, one in tensors.items()})
    compare(target, "bf16", unpacked=plain)
