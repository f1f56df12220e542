"""NVFP4: blocks are kept with their scales beside them where that type is wanted, and unpacked elsewhere."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import gguf_tools
from gguf_tools.checkpoint import SafetensorsFile, open_checkpoint, unpack
from gguf_tools.errors import CheckpointError
from gguf_tools.recipes import Overrides
from gguf_tools.source import row_count
from gguf_tools.spec import FileType, GGMLType
from gguf_tools.verification.verify import verify
from tests.floats import assert_same_floats
from tests.goldens.describe import describe
from tests.packed_models import build_nvfp4
from tests.packing import PACKINGS, Part, part, write_parts
from tests.references import newer_llama

UNPACKED = Overrides(pure=True)
KINDS = ("modelopt nvfp4", "nvfp4")
PROMPTS = ([1, 5, 9, 22, 7], [3, 4])


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_times_scale_are_the_values(kind: str, tmp_path: Path) -> None:
    """The file's decoder and its .scale give what the checkpoint's decoder gives, to float32's last bit.

    There the two scales are multiplied with one another first.
    """
    checkpoint = build_nvfp4("qwen3", tmp_path, kind)
    gguf_tools.convert(checkpoint, tmp_path / "out.gguf", type="BF16")
    compared = 0
    with open_checkpoint(checkpoint) as opened, gguf_tools.open(tmp_path / "out.gguf") as file:
        tensors = unpack(opened.config, opened.tensors).tensors
        for layer in range(2):
            for ours, theirs in (("attn_q", "self_attn.q_proj"), ("ffn_down", "mlp.down_proj")):
                source = tensors[f"model.layers.{layer}.{theirs}.weight"]
                tensor = file.tensors[f"blk.{layer}.{ours}.weight"]
                assert tensor.type_name == "NVFP4"
                scale = file.tensors.get(f"blk.{layer}.{ours}.scale")
                factor = np.float32(1) if scale is None else scale.dequantize()[0]
                made = tensor.dequantize() * factor
                expected = source.rows(0, row_count(source.shape))
                np.testing.assert_allclose(made, expected, rtol=2.0**-22, atol=0)
                compared += scale is not None
    assert compared >= 3


@pytest.mark.parametrize("model", ["qwen3", "qwen3-moe"])
@pytest.mark.parametrize("kind", KINDS)
def test_llama_cpp_computes_with_the_scales(kind: str, model: str, tmp_path: Path) -> None:
    checkpoint = build_nvfp4(model, tmp_path, kind)
    kept, plain = tmp_path / "kept.gguf", tmp_path / "plain.gguf"
    plan = gguf_tools.convert(checkpoint, kept, type="BF16")
    assert "14 tensors are in NVFP4 already and keep their bits" in plan.notes
    gguf_tools.convert(checkpoint, plain, type="F32", overrides=UNPACKED)
    assert {facts.type for facts in describe(plain).tensors.values()} == {"F32"}
    packed, values = (newer_llama.next_log_probabilities(path, PROMPTS) for path in (kept, plain))
    assert values.std() > 0.5
    # ggml rounds what it multiplies blocks with to 8 bits
    assert np.sqrt(np.mean((packed - values) ** 2)) < 0.06 * values.std()


def test_the_file_says_so_and_is_sound(tmp_path: Path) -> None:
    checkpoint = build_nvfp4("qwen3-moe", tmp_path, "modelopt nvfp4")
    gguf_tools.convert(checkpoint, tmp_path / "out.gguf", type="F16")
    with gguf_tools.open(tmp_path / "out.gguf") as file:
        assert file.metadata["general.file_type"] == FileType.NVFP4
        assert file.tensors["blk.0.ffn_up_exps.scale"].shape == (4,)
    assert not verify(tmp_path / "out.gguf")


@pytest.mark.parametrize("kind", KINDS)
def test_other_types_are_made_of_the_values(kind: str, tmp_path: Path) -> None:
    """As if the checkpoint were unpacked first; the scales do not go into the file."""
    checkpoint = build_nvfp4("qwen3", tmp_path, kind)
    plan = gguf_tools.convert(checkpoint, tmp_path / "direct.gguf", type="Q8_0")
    assert "14 tensors are in NVFP4 already, and are quantized again from there" in plan.notes
    gguf_tools.convert(checkpoint, tmp_path / "plain.gguf", type="F32", overrides=UNPACKED)
    gguf_tools.requantize(tmp_path / "plain.gguf", tmp_path / "again.gguf", type="Q8_0")
    assert (tmp_path / "direct.gguf").read_bytes() == (tmp_path / "again.gguf").read_bytes()


def test_a_tensor_that_is_asked_for_in_nvfp4_keeps_its_bits(tmp_path: Path) -> None:
    checkpoint = build_nvfp4("qwen3", tmp_path, "modelopt nvfp4")
    wanted = Overrides(tensor_types=((re.compile("attn_q"), GGMLType.NVFP4),))
    gguf_tools.convert(checkpoint, tmp_path / "some.gguf", type="Q8_0", overrides=wanted)
    gguf_tools.convert(checkpoint, tmp_path / "all.gguf", type="BF16")
    some, everything = (describe(tmp_path / f"{name}.gguf").tensors for name in ("some", "all"))
    kept = {name for name in everything if ".attn_q." in name}
    assert {name for name in some if name.endswith("scale")} == {n for n in kept if n.endswith("scale")}
    assert all(some[name] == everything[name] for name in kept)


@pytest.mark.parametrize("model", ["qwen3", "llama", "qwen3-moe"])
def test_exported_it_has_the_values(model: str, tmp_path: Path) -> None:
    checkpoint = build_nvfp4(model, tmp_path, "modelopt nvfp4")
    gguf_tools.convert(checkpoint, tmp_path / "kept.gguf", type="F32")
    plan = gguf_tools.export(tmp_path / "kept.gguf", tmp_path / "back", dtype="f32")
    assert any(".input_scale" in note for note in plan.notes)
    gguf_tools.convert(tmp_path / "back", tmp_path / "again.gguf", type="F32")
    gguf_tools.convert(checkpoint, tmp_path / "plain.gguf", type="F32", overrides=UNPACKED)
    with gguf_tools.open(tmp_path / "again.gguf") as a, gguf_tools.open(tmp_path / "plain.gguf") as b:
        assert set(a.tensors) == set(b.tensors)
        for name, tensor in b.tensors.items():
            found = a.tensors[name].dequantize()
            np.testing.assert_allclose(found, tensor.dequantize(), rtol=2.0**-22, atol=0, err_msg=name)


def tagged(path: Path) -> list[str]:
    """Names of the tensors whose inputs llama.cpp must not round to 4 bits."""
    with gguf_tools.open(path) as file:
        names = file.metadata.get("general.tensor_extra.name", ())
        values = file.metadata.get("general.tensor_extra.prec_a4", ())
        assert len(values) == len(names)
        assert not any(values)
        return list(names)


def test_inputs_of_packed_weights_only_stay_as_they_are(tmp_path: Path) -> None:
    """The file says so of the tensors that keep their blocks, and of no others."""
    checkpoint = build_nvfp4("qwen3-moe", tmp_path, "modelopt nvfp4, weights only")
    gguf_tools.convert(checkpoint, tmp_path / "kept.gguf", type="F16")
    kept = [name for name, facts in describe(tmp_path / "kept.gguf").tensors.items() if facts.type == "NVFP4"]
    assert len(kept) == 14
    assert tagged(tmp_path / "kept.gguf") == sorted(kept)
    assert not verify(tmp_path / "kept.gguf")
    some = Overrides(tensor_types=((re.compile("attn_q"), GGMLType.NVFP4),))
    gguf_tools.convert(checkpoint, tmp_path / "some.gguf", type="Q8_0", overrides=some)
    assert tagged(tmp_path / "some.gguf") == ["blk.0.attn_q.weight", "blk.1.attn_q.weight"]
    gguf_tools.convert(checkpoint, tmp_path / "none.gguf", type="Q8_0")
    gguf_tools.convert(checkpoint, tmp_path / "plain.gguf", type="F16", overrides=UNPACKED)
    assert tagged(tmp_path / "none.gguf") == tagged(tmp_path / "plain.gguf") == []


def test_layers_that_are_said_apart(tmp_path: Path) -> None:
    """The nearest module counts that is spoken of; an expert's word is that of all of them."""
    checkpoint = build_nvfp4("qwen3-moe", tmp_path, "modelopt nvfp4, weights only")
    config = json.loads((checkpoint / "config.json").read_text())
    weights, inputs = {"quant_algo": "W4A16_NVFP4"}, {"quant_algo": "NVFP4"}
    config["quantization_config"]["quant_algo"] = "MIXED_PRECISION"
    config["quantization_config"]["quantized_layers"] = {
        "model.layers.0": weights,
        "model.layers.0.self_attn": inputs,
        "model.layers.0.self_attn.o_proj": weights,
        "model.layers.1.mlp.experts.3.up_proj": weights,
        "model.layers.1.self_attn.k_proj": "of another shape",
    }
    (checkpoint / "config.json").write_text(json.dumps(config))
    gguf_tools.convert(checkpoint, tmp_path / "out.gguf", type="BF16")
    assert tagged(tmp_path / "out.gguf") == [
        "blk.0.attn_output.weight",
        "blk.0.ffn_down_exps.weight",
        "blk.0.ffn_gate_exps.weight",
        "blk.0.ffn_up_exps.weight",
        "blk.1.ffn_up_exps.weight",
    ]


def test_a_scale_with_a_sign(tmp_path: Path) -> None:
    """GGUF has no room for it: refused where blocks are kept, and right where they are unpacked."""
    settings, packer = PACKINGS["modelopt nvfp4"]
    parts, values = packer(np.random.default_rng(0), 32, 64)
    scale = np.frombuffer(parts["weight_scale"].data, np.uint8).reshape(32, 4).copy()
    scale[2, 3] = 0xB8
    parts["weight_scale"] = Part("F8_E4M3", (32, 4), scale.tobytes())
    write_parts(tmp_path / "a.safetensors", {f"a.{ending}": one for ending, one in parts.items()})
    tensors = SafetensorsFile(tmp_path / "a.safetensors").tensors
    source = unpack({"quantization_config": settings}, tensors).tensors["a.weight"]
    with pytest.raises(CheckpointError, match=r"has a sign at \(2, 3\)") as caught:
        source.raw(0, 32)
    assert caught.value.tensor == "a.weight_scale"
    assert_same_floats(source.rows(0, 2), values[:2])


def test_groups_that_are_no_whole_blocks_are_unpacked(tmp_path: Path) -> None:
    settings, packer = PACKINGS["modelopt nvfp4"]
    parts, values = packer(np.random.default_rng(0), 8, 48)
    write_parts(tmp_path / "a.safetensors", {f"a.{e}": one for e, one in parts.items()} | {"b": part(values)})
    tensors = SafetensorsFile(tmp_path / "a.safetensors").tensors
    source = unpack({"quantization_config": settings}, tensors).tensors["a.weight"]
    assert source.storage is None
    assert_same_floats(source.rows(0, 8), values)
