"""gpt-oss in MXFP4: its blocks are kept where that type is wanted, unpacked elsewhere, and packed again."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.checkpoint import open_checkpoint, unpack
from gguf_tools.errors import CheckpointError, UnsupportedError
from gguf_tools.recipes import Overrides
from gguf_tools.source import row_count
from gguf_tools.spec import FileType, GGMLType
from tests import tiny
from tests.floats import assert_same_floats
from tests.goldens.describe import describe
from tests.packing import E2M1, Part, write_parts
from tests.references import llama

NAME = "gpt-oss-mxfp4"
UNPACKED = Overrides(tensor_types=((re.compile("_exps.weight"), GGMLType.F32),))


def types(path: Path) -> set[str]:
    return {facts.type for name, facts in describe(path).tensors.items() if name.endswith("_exps.weight")}


def file_type(path: Path) -> int:
    with gguf_tools.open(path) as file:
        found = file.metadata["general.file_type"]
    assert isinstance(found, int)
    return found


@pytest.fixture(scope="module")
def checkpoint(tiny_checkpoints: dict[str, Path]) -> Path:
    return tiny_checkpoints[NAME]


def test_rows_are_those_of_the_format(checkpoint: Path) -> None:
    """Value by value, from the description: 2^(scale − 127) × E2M1, the low half of a byte first."""
    stored = tiny.MODELS[NAME].tensors(tiny.MODELS[NAME].config)
    with open_checkpoint(checkpoint) as opened:
        tensors = unpack(opened.config, opened.tensors).tensors
        for i, part in ((0, "gate_up_proj"), (1, "down_proj")):
            name = f"model.layers.{i}.mlp.experts.{part}"
            source = tensors[f"{name}_blocks"]
            blocks, scales = stored[f"{name}_blocks"], stored[f"{name}_scales"]
            assert source.shape == (*blocks.shape[:2], 32 * blocks.shape[2])
            expected = np.empty((*blocks.shape[:3], 32), np.float32)
            for at in np.ndindex(*blocks.shape):
                for half in range(2):
                    value = E2M1[int(blocks[at]) >> 4 * half & 15]
                    expected[(*at[:3], 2 * at[3] + half)] = value * 2.0 ** (int(scales[at[:3]]) - 127)
            expected = expected.reshape(-1, source.shape[-1])
            rows = row_count(source.shape)
            for start, stop in [(0, rows), (5, 18), (rows - 1, rows), (7, 7)]:
                assert_same_floats(source.rows(start, stop), expected[start:stop])
                again = gguf_tools.dequantize(
                    source.raw(start, stop), "MXFP4", (stop - start, source.shape[-1])
                )
                # ggml's MXFP4 has no negative zero: −0 + 0 is +0
                assert_same_floats(again, expected[start:stop] + np.float32(0))


@pytest.mark.parametrize("recipe", ["F32", "F16", "BF16", "MXFP4_MOE"])
def test_the_blocks_are_kept(recipe: str, checkpoint: Path, tmp_path: Path) -> None:
    plan = gguf_tools.convert(checkpoint, tmp_path / "out.gguf", type=recipe)
    assert types(tmp_path / "out.gguf") == {"MXFP4"}
    assert file_type(tmp_path / "out.gguf") == FileType.MXFP4_MOE
    assert "6 tensors are in MXFP4 already and keep their bits" in plan.notes


def test_mxfp4_moe_is_what_llama_cpps_quantizer_makes_of_the_kept_file(
    checkpoint: Path, tmp_path: Path
) -> None:
    gguf_tools.convert(checkpoint, tmp_path / "f32.gguf", type="F32")
    llama.quantize(tmp_path / "f32.gguf", tmp_path / "theirs.gguf", "MXFP4_MOE")
    gguf_tools.convert(checkpoint, tmp_path / "ours.gguf", type="MXFP4_MOE")
    assert (tmp_path / "ours.gguf").read_bytes() == (tmp_path / "theirs.gguf").read_bytes()


def test_other_types_are_made_of_the_values(checkpoint: Path, tmp_path: Path) -> None:
    """As if the checkpoint were unpacked first."""
    kept, unpacked, again = (tmp_path / f"{name}.gguf" for name in ("kept", "unpacked", "again"))
    plan = gguf_tools.convert(checkpoint, kept, type="Q4_K_M")
    assert "6 tensors are in MXFP4 already, and are quantized again from there" in plan.notes
    gguf_tools.convert(checkpoint, unpacked, type="F32", overrides=UNPACKED)
    assert types(unpacked) == {"F32"}
    assert file_type(unpacked) == FileType.F32
    gguf_tools.requantize(unpacked, again, type="Q4_K_M")
    assert kept.read_bytes() == again.read_bytes()


def test_one_type_for_all_leaves_nothing_packed(checkpoint: Path, tmp_path: Path) -> None:
    gguf_tools.convert(checkpoint, tmp_path / "out.gguf", type="BF16", overrides=Overrides(pure=True))
    assert types(tmp_path / "out.gguf") == {"BF16"}
    assert file_type(tmp_path / "out.gguf") == FileType.BF16


def test_llama_cpp_computes_the_same_with_blocks_and_with_values(checkpoint: Path, tmp_path: Path) -> None:
    outputs = []
    for overrides in (None, UNPACKED):
        path = tmp_path / "model.gguf"
        gguf_tools.convert(checkpoint, path, type="F32", overrides=overrides, force=True)
        with llama.Llama(path) as model:
            outputs.append(model.logits(model.tokenize("The capital of France is")))
    packed, plain = outputs
    assert plain.std() > 0.5
    # ggml rounds what it multiplies blocks with to 8 bits
    assert np.abs(packed - plain).max() < 0.1 * plain.std()


def test_exported_packed_it_is_the_checkpoint_again(checkpoint: Path, tmp_path: Path) -> None:
    gguf_tools.convert(checkpoint, tmp_path / "kept.gguf", type="BF16")
    plan = gguf_tools.export(tmp_path / "kept.gguf", tmp_path / "back", dtype="mxfp4")
    assert plan.recipe == "MXFP4"
    assert not any("unpacked" in note for note in plan.notes)
    with open_checkpoint(checkpoint) as original, open_checkpoint(tmp_path / "back") as back:
        assert set(back.tensors) == set(original.tensors)
        for name, tensor in original.tensors.items():
            other = back.tensors[name]
            assert (other.dtype, other.shape) == (tensor.dtype, tensor.shape)
            rows = row_count(tensor.shape)
            np.testing.assert_array_equal(other.raw(0, rows), tensor.raw(0, rows), err_msg=name)
        assert back.config["quantization_config"] == original.config["quantization_config"]
    gguf_tools.convert(tmp_path / "back", tmp_path / "again.gguf", type="BF16")
    assert describe(tmp_path / "again.gguf").tensors == describe(tmp_path / "kept.gguf").tensors


def test_a_small_chunk_begins_and_ends_inside_of_rows(checkpoint: Path, tmp_path: Path) -> None:
    from gguf_tools.conversion.engine import execute
    from gguf_tools.conversion.to_hf import plan_export

    gguf_tools.convert(checkpoint, tmp_path / "kept.gguf", type="BF16")
    plan = plan_export(tmp_path / "kept.gguf", dtype="mxfp4")
    execute(plan, tmp_path / "large")
    execute(plan, tmp_path / "small", chunk_elements=48)
    large, small = ((tmp_path / size / "model.safetensors").read_bytes() for size in ("large", "small"))
    assert large == small


def test_exported_plain_it_has_the_same_values(checkpoint: Path, tmp_path: Path) -> None:
    gguf_tools.convert(checkpoint, tmp_path / "kept.gguf", type="BF16")
    plan = gguf_tools.export(tmp_path / "kept.gguf", tmp_path / "plain", dtype="bf16")
    assert any("--dtype mxfp4 keeps their bits" in note for note in plan.notes)
    with open_checkpoint(tmp_path / "plain") as plain:
        assert "quantization_config" not in plain.config
        assert "model.layers.0.mlp.experts.gate_up_proj" in plain.tensors
    gguf_tools.convert(tmp_path / "plain", tmp_path / "a.gguf", type="F32", overrides=UNPACKED)
    gguf_tools.convert(checkpoint, tmp_path / "b.gguf", type="F32", overrides=UNPACKED)
    with gguf_tools.open(tmp_path / "a.gguf") as a, gguf_tools.open(tmp_path / "b.gguf") as b:
        assert set(a.tensors) == set(b.tensors)
        for (
            name,
            tensor,
        ) in a.tensors.items():  # zeros have lost their signs: ggml's MXFP4 has no negative one
            np.testing.assert_array_equal(tensor.dequantize(), b.tensors[name].dequantize(), err_msg=name)


@pytest.mark.parametrize("name", ["gpt-oss", "qwen3"])
def test_nothing_to_pack(name: str, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    gguf_tools.convert(tiny_checkpoints[name], tmp_path / "out.gguf", type="BF16")
    with pytest.raises(UnsupportedError, match="has a packed form"):
        gguf_tools.export(tmp_path / "out.gguf", tmp_path / "back", dtype="mxfp4")


def broken(checkpoint: Path, target: Path, change: Any) -> None:
    """The checkpoint with other parts: ``change`` works on a dict of them."""
    target.mkdir()
    with open_checkpoint(checkpoint) as opened:
        parts = {
            name: Part(t.dtype, t.shape, t.raw(0, row_count(t.shape)).tobytes())
            for name, t in opened.tensors.items()
        }
    change(parts)
    write_parts(target / "model.safetensors", parts)
    for file in checkpoint.iterdir():
        if file.suffix == ".json":
            (target / file.name).write_bytes(file.read_bytes())


def test_a_scale_that_is_no_number(checkpoint: Path, tmp_path: Path) -> None:
    name = "model.layers.1.mlp.experts.down_proj_scales"

    def change(parts: dict[str, Part]) -> None:
        data = bytearray(parts[name].data)
        data[4 * 3 + 2] = 255
        parts[name] = Part("U8", parts[name].shape, bytes(data))

    broken(checkpoint, tmp_path / "src", change)
    for recipe in ("BF16", "Q4_K_M"):
        with pytest.raises(CheckpointError, match="a scale is unusable at row 3, block 2") as caught:
            gguf_tools.convert(tmp_path / "src", tmp_path / "out.gguf", type=recipe)
        assert caught.value.tensor == name
        assert not (tmp_path / "out.gguf").exists()


def test_missing_scales_are_all_listed(checkpoint: Path, tmp_path: Path) -> None:
    def change(parts: dict[str, Part]) -> None:
        for name in [name for name in parts if name.endswith("_scales")]:
            del parts[name]

    broken(checkpoint, tmp_path / "src", change)
    with pytest.raises(CheckpointError, match=r"packed tensors lack their .*0.*down_proj_scales.*1.*gate_up"):
        gguf_tools.convert(tmp_path / "src", tmp_path / "out.gguf")


def test_scales_of_another_shape(checkpoint: Path, tmp_path: Path) -> None:
    name = "model.layers.0.mlp.experts.down_proj_scales"

    def change(parts: dict[str, Part]) -> None:
        parts[name] = Part("U8", (4, 128, 8), parts[name].data)

    broken(checkpoint, tmp_path / "src", change)
    with pytest.raises(CheckpointError, match="of another shape") as caught:
        gguf_tools.convert(tmp_path / "src", tmp_path / "out.gguf")
    assert caught.value.tensor == name
    assert json.loads((tmp_path / "src" / "config.json").read_text())["quantization_config"]
