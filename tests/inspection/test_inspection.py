"""Descriptions of GGUF files, safetensors files and checkpoints, against what is in them by other means."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from math import prod
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import gguf_tools
from gguf_tools.conversion.to_gguf import plan_conversion
from gguf_tools.inspection.model_description import describe_model
from gguf_tools.inspection.opening import open_inspected
from gguf_tools.inspection.tensor_names import place_of
from tests import packing, tiny
from tests.packing import PACKINGS

SAID_BY_FILES_ONLY = {
    *("name", "file_type", "general", "base_models", "tokenizer", "pre_tokenizer", "vocabulary"),
    *("special_tokens", "chat_template", "chat_template_length", "chat_templates"),
    *("model_class", "packing"),
}
"""Facts a checkpoint states elsewhere, or otherwise, than in what becomes the architecture's keys."""


def test_floats_have_the_digits_they_need() -> None:
    bits = np.random.default_rng(0).integers(0, 0x7F80_0000, 5000, np.uint32)  # all that are finite
    for value in [*bits.view(np.float32), np.float32(1e-5), np.float32(500_000), np.float32(0)]:
        found = describe_model({"general.architecture": "x", "x.rope.freq_base": float(value)})
        assert found.rope["freq_base"] == float(str(value))
    for wide in (1 / 3, 1e300, -1e300, math.inf):
        found = describe_model({"general.architecture": "x", "x.rope.freq_base": wide})
        assert found.rope["freq_base"] == wide


@pytest.mark.parametrize("name", [*tiny.NAMES, *tiny.PACKED_NAMES])
def test_a_checkpoint_has_the_facts_of_its_gguf_file(name: str, tiny_checkpoints: dict[str, Path]) -> None:
    found = gguf_tools.inspect(tiny_checkpoints[name])
    plan = plan_conversion(tiny_checkpoints[name], recipe="F32")
    assert plan.metadata is not None
    ours, theirs = asdict(found.summary.model), asdict(describe_model(plan.metadata))
    for key in ours.keys() - SAID_BY_FILES_ONLY:
        assert ours[key] == theirs[key], key
    assert found.summary.model.chat_template == ("tokenizer.chat_template" in plan.metadata)
    assert found.notes == ()


@pytest.mark.parametrize("name", tiny.NAMES)
def test_a_plain_checkpoint_is_listed_as_stored(name: str, tiny_checkpoints: dict[str, Path]) -> None:
    found = gguf_tools.inspect(tiny_checkpoints[name])
    stored = {}
    for file in tiny_checkpoints[name].glob("*.safetensors"):
        with safe_open(file, "np") as opened:
            for tensor in opened.keys():  # noqa: SIM118 - not a mapping
                part = opened.get_slice(tensor)
                stored[tensor] = (str(file), tuple(part.get_shape()), part.get_dtype())
    assert {t.name: (t.file, t.shape, t.type) for t in found.tensors} == stored
    assert found.summary.parameters == sum(prod(shape) for _, shape, _ in stored.values())
    assert sum(found.summary.files.values()) == sum(
        file.stat().st_size for file in tiny_checkpoints[name].glob("*.safetensors")
    )
    assert (
        found.metadata["model_type"]
        == json.loads((tiny_checkpoints[name] / "config.json").read_text())["model_type"]
    )


FORMS = {
    "fp8": "F8_E4M3",
    "float8": "F8_E4M3",
    "fp8 tensor": "F8_E5M2",
    "modelopt fp8": "F8_E5M2",
    "awq": "AWQ-4",
    "int8": "INT8",
    "bitsandbytes 8": "INT8",
    "nvfp4": "NVFP4",
    "modelopt nvfp4": "NVFP4",
    "bitnet": "BITNET",
    "nf4": "NF4",
    "fp4": "FP4",
    **{f"gptq {bits}": f"GPTQ-{bits}" for bits in (2, 3, 8)},
    "gptq": "GPTQ-4",
    **{f"packed {bits}": f"INT{bits}" for bits in (3, 4, 6, 8)},
}


@pytest.mark.parametrize("name", PACKINGS)
def test_packed_weights_count_as_what_they_stand_for(name: str, tmp_path: Path) -> None:
    settings, packer = PACKINGS[name]
    parts, _ = packer(np.random.default_rng(3), 64, 192)
    layer = "model.layers.4.mlp.up_proj"
    stored = {f"{layer}.{ending}": one for ending, one in parts.items()}
    stored["model.norm.weight"] = packing.part(np.zeros(192, np.float32))
    packing.write_parts(tmp_path / "model.safetensors", stored)
    config = {"architectures": ["X"], "model_type": "x", "quantization_config": settings, "n_layer": 9}
    (tmp_path / "config.json").write_text(json.dumps(config))

    found = gguf_tools.inspect(tmp_path)
    weight, *unused = [tensor for tensor in found.tensors if tensor.layer is not None]
    assert (weight.name, weight.shape, weight.layer) == (f"{layer}.weight", (64, 192), 4)
    assert all(tensor.name.endswith(("input_scale", "weight_format")) for tensor in unused)
    assert weight.type == max((k for k in FORMS.items() if name.startswith(k[0])), key=lambda k: len(k[0]))[1]
    assert set(weight.parts) == stored.keys() - {"model.norm.weight"} - {tensor.name for tensor in unused}
    assert weight.nbytes == sum(len(stored[part].data) for part in weight.parts)
    assert found.summary.parameters == 64 * 192 + 192 + sum(tensor.parameters for tensor in unused)
    assert found.summary.tensor_bytes == sum(len(one.data) for one in stored.values())
    assert found.summary.model.layers == 9
    assert found.summary.model.packing
    (note,) = found.notes
    assert note == "cannot be converted as it is: unsupported architecture (X)"


def test_what_cannot_be_unpacked_is_listed_by_part(tmp_path: Path) -> None:
    packing.write_parts(tmp_path / "model.safetensors", {"a.qweight": packing.part(np.zeros(4, np.float32))})
    config = {"architectures": ["X"], "quantization_config": {"quant_method": "newest"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = gguf_tools.inspect(tmp_path)
    assert [tensor.name for tensor in found.tensors] == ["a.qweight"]
    assert "listed part by part" in found.notes[0]
    assert "weights (newest)" in found.notes[0]


def test_a_single_file_needs_nothing_beside_it(tmp_path: Path) -> None:
    with_text = {"__metadata__": {"format": "pt"}, "a": {"dtype": "I8", "shape": [3], "data_offsets": [0, 3]}}
    text = json.dumps(with_text).encode()
    (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + b"abc")
    found = gguf_tools.inspect(tmp_path / "a.safetensors")
    assert found.summary.kind == "safetensors"
    assert found.metadata == {"format": "pt"}
    assert found.summary.model.architecture is None
    assert (found.tensors[0].offset, found.tensors[0].nbytes) == (8 + len(text), 3)
    assert found.notes == ()
    (tmp_path / "config.json").write_text("{")
    (note,) = gguf_tools.inspect(tmp_path / "a.safetensors").notes
    assert "config.json beside the file cannot be used" in note


def test_a_shard_stands_for_the_whole_model(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    gguf_tools.convert(tiny_checkpoints["qwen3"], tmp_path / "whole.gguf", type="Q4_K_M")
    gguf_tools.split(tmp_path / "whole.gguf", tmp_path / "part", max_tensors=9)
    shards = sorted(tmp_path.glob("part-*.gguf"))
    assert len(shards) > 1
    whole, found = gguf_tools.inspect(tmp_path / "whole.gguf"), gguf_tools.inspect(shards[1])
    assert [t.name for t in found.tensors] == [t.name for t in whole.tensors]
    assert {t.file for t in found.tensors} <= set(map(str, shards))
    assert found.summary.files == {str(shard): shard.stat().st_size for shard in shards}


def test_descriptions_lead_to_the_data(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """Offset and size are those of the bytes in the file."""
    gguf_tools.convert(tiny_checkpoints["qwen3"], tmp_path / "a.gguf", type="Q4_K_M")
    for path in (tmp_path / "a.gguf", tiny_checkpoints["llama"]):
        with open_inspected(path) as opened:
            for tensor in opened.inspection.tensors:
                assert tensor.nbytes is not None
                data = Path(tensor.file).read_bytes()[tensor.offset : tensor.offset + tensor.nbytes]
                source = opened.sources[tensor.name]
                assert source.raw(0, prod(tensor.shape[:-1])).tobytes() == data


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("token_embd.weight", ("", None, "token_embd")),
        ("blk.10.attn_q.weight", ("blk", 10, "attn_q")),
        ("blk.0.attn_q.bias", ("blk", 0, "attn_q.bias")),
        ("enc.blk.3.attn_rel_b.weight", ("enc.blk", 3, "attn_rel_b")),
        ("v.blk.1.ln1.weight", ("v.blk", 1, "ln1")),
        ("blk.0.ssm_a", ("blk", 0, "ssm_a")),
        ("model.layers.7.mlp.experts.12.up_proj.weight", ("model.layers", 7, "mlp.experts.*.up_proj")),
        ("encoder.layer.0.output.dense.weight", ("encoder.layer", 0, "output.dense")),
        ("h.2.attn.c_attn.weight", ("h", 2, "attn.c_attn")),
        ("encoder.block.1.layer.0.SelfAttention.q.weight", ("encoder.block", 1, "layer.0.SelfAttention.q")),
        ("mm.0.weight", ("", None, "mm.0")),
        ("blk.x.weight", ("", None, "blk.x")),
        ("", ("", None, "")),
    ],
)
def test_places(name: str, place: tuple[str, int | None, str]) -> None:
    assert place_of(name) == place


@pytest.mark.parametrize("moe", [{}, {"kv_lora_rank": 8}], ids=["plain", "unsupported"])
def test_mistrals_own_format(moe: dict[str, object], tmp_path: Path) -> None:
    sizes = {"dim": 64, "n_layers": 3, "n_heads": 4, "n_kv_heads": 2, "head_dim": 16, "hidden_dim": 96}
    params = {**sizes, "vocab_size": 7, "norm_eps": 1e-5, "rope_theta": 10000.0, **moe}
    (tmp_path / "params.json").write_text(json.dumps(params))
    stored = {"layers.2.attention.wq.weight": packing.part(np.zeros((64, 64), np.float32))}
    packing.write_parts(tmp_path / "consolidated.safetensors", stored)
    found = gguf_tools.inspect(tmp_path)
    assert [(t.layer, t.role) for t in found.tensors] == [(2, "attention.wq")]
    assert found.summary.model.layers == 3
    assert found.summary.model.embedding_length == 64
    assert len(found.notes) == (2 if moe else 0)
    assert found.metadata["dim"] == 64


@pytest.mark.parametrize(
    ("settings", "length"),
    [
        ({"chat_template": "abc"}, 3),
        ({"chat_template": [{"name": ["x"]}, 7, {"name": "default", "template": "abcd"}]}, 4),
        ({"chat_template": [{"name": "tool_use", "template": "abcd"}]}, None),
        ({"chat_template": 7}, None),
        ([], None),
    ],
)
def test_templates_of_checkpoints(settings: object, length: int | None, tmp_path: Path) -> None:
    tiny.build("qwen3", tmp_path)
    path = tmp_path / "tiny-qwen3"
    for name in ("chat_template.jinja", "chat_template.json"):
        (path / name).unlink(missing_ok=True)
    (path / "tokenizer_config.json").write_text(json.dumps(settings))
    assert gguf_tools.inspect(path).summary.model.chat_template_length == length
    (path / "chat_template.jinja").write_text("12345")
    assert gguf_tools.inspect(path).summary.model.chat_template_length == 5
