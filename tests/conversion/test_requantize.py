"""GGUF → GGUF, byte for byte against llama.cpp's own quantizer."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.container.metadata import Array
from gguf_tools.conversion.requantize import plan_requantization, requantize
from gguf_tools.errors import FormatError, NonFiniteError, OutputError, QuantizationError, UnsupportedError
from gguf_tools.spec import FileType, GGMLType, ValueType
from tests.recipes.models import IN_PROCESS, model_of
from tests.references.quantizer import model_keys, oracle_quantize, random_weights, write_model

MODEL = model_of("llama", 3, 8, 2)

EXTRA: dict[str, tuple[str, Any]] = {
    "general.file_type": ("uint32", 1),  # in the middle, to be renewed at the end
    "general.name": ("string", "Tiny"),
    "a.bool": ("bool", True),
    "a.int8": ("int8", -3),
    "a.float64": ("float64", 0.1),
    "a.uint64": ("uint64", 2**63),
    "tokenizer.ggml.tokens": ("array", ["a", "b", "é", "<0x00>"]),
    "tokenizer.ggml.scores": ("array", [0.5, -1.0]),
}


def shapes() -> dict[str, tuple[int, ...]]:
    """Rows of many lengths, all kinds of tensors, in an order that is not llama.cpp's."""
    found: dict[str, tuple[int, ...]] = {"output.weight": (20, 512), "token_embd.weight": (20, 512)}
    for i in (2, 0, 1):
        found |= {
            f"blk.{i}.ffn_down.weight": (7, 768),
            f"blk.{i}.attn_v.weight": (6, 288),
            f"blk.{i}.attn_output.weight": (2, 3, 256),
            f"blk.{i}.attn_k.weight": (5, 96),
            f"blk.{i}.attn_norm.weight": (512,),
            f"blk.{i}.ffn_gate_inp.weight": (4, 512),
            f"blk.{i}.attn_q.bias": (33,),
        }
    return found


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same tiny model in F32, F16 and BF16, with all matrices in that type."""
    import gguf

    directory = tmp_path_factory.mktemp("sources")
    weights = random_weights(shapes(), seed=7)
    keys = model_keys(MODEL, row=512) | EXTRA
    made = {}
    for name in ("F32", "F16", "BF16"):
        kind = gguf.GGMLQuantizationType[name]
        tensors: list[tuple[str, Any, Any]] = []
        for tensor, array in weights.items():
            if array.ndim == 1 or name == "F32":
                tensors.append((tensor, array, None))
            else:
                tensors.append((tensor, gguf.quants.quantize(array, kind), kind))
        made[name] = directory / f"{name}.gguf"
        write_model(made[name], "llama", keys, tensors)
    return made


@pytest.mark.parametrize("stored", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("recipe", IN_PROCESS)
def test_the_file_is_llama_cpp_s_byte_for_byte(
    recipe: str, stored: str, sources: dict[str, Path], tmp_path: Path
) -> None:
    oracle_quantize(sources[stored], tmp_path / "theirs.gguf", recipe)
    plan = requantize(sources[stored], tmp_path / "ours.gguf", type=recipe, threads=2)
    ours = (tmp_path / "ours.gguf").read_bytes()
    assert len(ours) == plan.size
    assert ours == (tmp_path / "theirs.gguf").read_bytes()


@pytest.mark.parametrize("first", ["Q8_0", "Q4_0", "Q5_1", "Q4_K_M", "Q6_K"])
def test_quantizing_again_is_allowed_and_noted(first: str, sources: dict[str, Path], tmp_path: Path) -> None:
    once = tmp_path / "once.gguf"
    oracle_quantize(sources["F32"], once, first)
    for recipe in ("Q5_K_S", "F16"):
        oracle_quantize(once, tmp_path / "theirs.gguf", recipe, requantize=True)
        plan = requantize(once, tmp_path / "ours.gguf", type=recipe, force=True)
        assert (tmp_path / "ours.gguf").read_bytes() == (tmp_path / "theirs.gguf").read_bytes()
        (note,) = plan.notes
        assert "quantized already" in note
        assert first[:4] in note


def test_nothing_is_noted_of_a_float_source(sources: dict[str, Path]) -> None:
    assert plan_requantization(sources["BF16"], recipe="Q4_K_M").notes == ()


def test_a_plan_needs_no_weights_and_tells_its_fallbacks(sources: dict[str, Path]) -> None:
    plan = plan_requantization(sources["F32"], recipe="Q4_K_M")
    fallbacks = {tensor.name: (tensor.wanted.name, tensor.type.name) for tensor in plan.fallbacks}
    assert fallbacks == {
        **{f"blk.{i}.attn_k.weight": ("Q4_K", "Q5_0") for i in range(3)},
        **{f"blk.{i}.attn_v.weight": ("Q4_K", "Q5_0") for i in (0, 1)},
        "blk.2.attn_v.weight": ("Q6_K", "Q8_0"),
    }
    assert plan.architecture == "llama"
    assert plan.recipe == "Q4_K_M"
    assert all(tensor.rule for tensor in plan.tensors())


def test_tensors_that_keep_their_type_keep_their_bits(tmp_path: Path) -> None:
    odd = np.array([0x7FC12345, 0xFFA00001, 0x7F800000, 0x80000000, 1], np.uint32).view(np.float32)
    write_model(tmp_path / "a.gguf", "llama", model_keys(MODEL), {"blk.0.attn_norm.weight": odd})
    requantize(tmp_path / "a.gguf", tmp_path / "b.gguf", type="Q4_K_M")
    with gguf_tools.open(tmp_path / "b.gguf") as file:
        assert file.tensors["blk.0.attn_norm.weight"].raw(0, 1).tobytes() == odd.tobytes()


def test_keys_keep_their_order_and_types(sources: dict[str, Path], tmp_path: Path) -> None:
    requantize(sources["F32"], tmp_path / "b.gguf", type="q6_k")
    with gguf_tools.open(sources["F32"]) as before, gguf_tools.open(tmp_path / "b.gguf") as after:
        renewed = ["general.quantization_version", "general.file_type"]
        assert list(after.metadata) == [k for k in before.metadata if k not in renewed] + renewed
        for key in before.metadata:
            assert after.metadata.type_of(key) is before.metadata.type_of(key)
            if key not in renewed:
                assert after.metadata[key] == before.metadata[key]
        assert after.metadata["general.file_type"] == FileType.Q6_K
        assert after.metadata["general.quantization_version"] == 2


def test_what_llama_cpp_would_damage_is_kept(tmp_path: Path) -> None:
    metadata = gguf_tools.Metadata(
        [
            ("general.architecture", ValueType.STRING, "llama"),
            ("llama.block_count", ValueType.UINT32, 1),
            ("nul", ValueType.STRING, "a\0b"),
            ("bytes", ValueType.STRING, "\udcff\udcfe"),  # not UTF-8
            ("empty", ValueType.ARRAY, Array(ValueType.STRING)),
            ("nested", ValueType.ARRAY, Array(ValueType.ARRAY, [Array(ValueType.INT8, [1, -1])])),
        ]
    )
    rng = np.random.default_rng(3)
    four = rng.normal(size=(2, 3, 2, 256)).astype(np.float32)
    integers = np.arange(512, dtype=np.int32).reshape(2, 256)
    double = rng.normal(size=(2, 256))
    tensors = [("four.weight", four), ("integers.weight", integers), ("double.weight", double)]
    gguf_tools.write(tmp_path / "a.gguf", metadata, tensors)
    requantize(tmp_path / "a.gguf", tmp_path / "b.gguf", type="Q8_0")
    with gguf_tools.open(tmp_path / "b.gguf") as file:
        assert [file.metadata[key] for key in list(metadata)[2:]] == [
            metadata[key] for key in list(metadata)[2:]
        ]
        for name, given in (("four.weight", four), ("double.weight", double.astype(np.float32))):
            rows = given.reshape(-1, 256)
            stored = file.tensors[name]
            assert stored.type is GGMLType.Q8_0
            assert stored.raw(0, len(rows)).tobytes() == gguf_tools.quantize(rows, "Q8_0").tobytes()
        assert file.tensors["integers.weight"].type is GGMLType.I32
        assert file.tensors["integers.weight"].raw(0, 2).tobytes() == integers.tobytes()


@pytest.mark.parametrize("alignment", [8, 64, 4096])
def test_other_alignments(alignment: int, tmp_path: Path) -> None:
    weights = random_weights(shapes(), seed=9)
    keys = model_keys(MODEL, row=512)
    write_model(tmp_path / "a.gguf", "llama", keys, weights)
    write_model(tmp_path / "b.gguf", "llama", keys | {"general.alignment": ("uint32", alignment)}, weights)
    for name in "ab":
        requantize(tmp_path / f"{name}.gguf", tmp_path / f"{name}.out.gguf", type="Q4_K_M")
    with gguf_tools.open(tmp_path / "a.out.gguf") as usual, gguf_tools.open(tmp_path / "b.out.gguf") as other:
        assert other.alignment == other.metadata["general.alignment"] == alignment
        assert list(other.tensors) == list(usual.tensors)
        for name, tensor in other.tensors.items():
            rows = int(np.prod(tensor.shape[:-1]))
            assert tensor.offset % alignment == 0
            assert tensor.raw(0, rows).tobytes() == usual.tensors[name].raw(0, rows).tobytes()


def test_version_2_and_big_endian_sources_give_the_same_file(
    sources: dict[str, Path], tmp_path: Path
) -> None:
    requantize(sources["F32"], tmp_path / "usual.gguf", type="Q5_K_M")
    old = bytearray(sources["F32"].read_bytes())
    old[4:8] = struct.pack("<I", 2)
    (tmp_path / "old.gguf").write_bytes(old)
    import gguf

    writer = gguf.GGUFWriter(tmp_path / "big.gguf", "llama", endianess=gguf.GGUFEndian.BIG)
    for key, (kind, value) in (model_keys(MODEL, row=512) | EXTRA).items():
        getattr(writer, f"add_{kind}")(key, value)
    for name, array in random_weights(shapes(), seed=7).items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    for name in ("old", "big"):
        requantize(tmp_path / f"{name}.gguf", tmp_path / f"{name}.out.gguf", type="Q5_K_M")
        assert (tmp_path / f"{name}.out.gguf").read_bytes() == (tmp_path / "usual.gguf").read_bytes()


def test_a_split_source_becomes_one_file(sources: dict[str, Path], tmp_path: Path) -> None:
    import gguf

    writer = gguf.GGUFWriter(tmp_path / "split.gguf", "llama", split_max_tensors=9)
    for key, (kind, value) in (model_keys(MODEL, row=512) | EXTRA).items():
        getattr(writer, f"add_{kind}")(key, value)
    for name, array in random_weights(shapes(), seed=7).items():
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    first = tmp_path / "split-00001-of-00003.gguf"
    plan = requantize(first, tmp_path / "b.gguf", type="Q4_K_S")
    requantize(sources["F32"], tmp_path / "usual.gguf", type="Q4_K_S")
    assert any("3 files" in note for note in plan.notes)
    assert (tmp_path / "b.gguf").read_bytes() == (tmp_path / "usual.gguf").read_bytes()


# Bad input.


def test_unknown_recipe(sources: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(QuantizationError, match="did you mean Q4_K_M"):
        requantize(sources["F32"], tmp_path / "b.gguf", type="Q4_KM")
    assert not list(tmp_path.iterdir())


def test_a_model_of_unknown_depth(tmp_path: Path) -> None:
    write_model(tmp_path / "a.gguf", "llama", {}, random_weights({"blk.0.ffn_down.weight": (2, 256)}))
    with pytest.raises(FormatError) as caught:
        plan_requantization(tmp_path / "a.gguf", recipe="Q4_K_M")
    assert caught.value.key == "llama.block_count"
    # Rules of these recipes count no layers.
    assert plan_requantization(tmp_path / "a.gguf", recipe="Q8_0").types()[0].type == "Q8_0"


def test_integers_are_copied(tmp_path: Path) -> None:
    whole = np.arange(512, dtype=np.int16).reshape(2, 256)
    write_model(tmp_path / "a.gguf", "llama", model_keys(MODEL), [("blk.0.attn_q.weight", whole, None)])
    requantize(tmp_path / "a.gguf", tmp_path / "b.gguf", type="Q8_0")
    with gguf_tools.open(tmp_path / "b.gguf") as file:
        assert file.tensors["blk.0.attn_q.weight"].raw(0, 2).tobytes() == whole.tobytes()


def test_blocks_are_copied_where_the_type_stays(tmp_path: Path) -> None:
    import gguf

    kind = gguf.GGMLQuantizationType.IQ2_XXS
    blocks = np.random.default_rng(5).integers(0, 256, (2, 66), np.uint8)
    write_model(tmp_path / "a.gguf", "llama", model_keys(MODEL), [("a_norm.weight", blocks, kind)])
    requantize(tmp_path / "a.gguf", tmp_path / "b.gguf", type="Q8_0")
    with gguf_tools.open(tmp_path / "b.gguf") as file:
        assert file.tensors["a_norm.weight"].raw(0, 2).tobytes() == blocks.tobytes()


def test_an_unknown_type_cannot_be_carried_over(tmp_path: Path) -> None:
    write_model(
        tmp_path / "a.gguf", "llama", model_keys(MODEL), {"a_norm.weight": np.zeros((2, 256), np.float32)}
    )
    data = bytearray((tmp_path / "a.gguf").read_bytes())
    place = data.index(b"a_norm.weight") + len(b"a_norm.weight") + 4 + 16
    data[place : place + 4] = struct.pack("<I", 99)
    (tmp_path / "a.gguf").write_bytes(data)
    with pytest.raises(UnsupportedError, match="unknown type") as caught:
        plan_requantization(tmp_path / "a.gguf", recipe="Q8_0")
    assert caught.value.tensor == "a_norm.weight"


def test_nan_leaves_nothing_behind(tmp_path: Path) -> None:
    weights = random_weights({"blk.0.attn_q.weight": (4, 256)})
    weights["blk.0.attn_q.weight"][3, 17] = np.nan
    write_model(tmp_path / "a.gguf", "llama", model_keys(MODEL), weights)
    with pytest.raises(NonFiniteError, match=r"blk\.0\.attn_q\.weight"):
        requantize(tmp_path / "a.gguf", tmp_path / "b.gguf", type="Q4_K_M")
    assert [path.name for path in tmp_path.iterdir()] == ["a.gguf"]


def test_an_existing_output_stays_unless_forced(sources: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "b.gguf"
    target.write_text("mine")
    with pytest.raises(OutputError, match="--force"):
        requantize(sources["F32"], target, type="Q8_0")
    assert target.read_text() == "mine"
    requantize(sources["F32"], target, type="Q8_0", force=True)
    assert target.read_bytes()[:4] == b"GGUF"
