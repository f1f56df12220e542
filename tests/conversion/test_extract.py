"""Tensors taken out of GGUF files, read by numpy and the safetensors package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

import gguf_tools
from gguf_tools.container import open_gguf
from gguf_tools.conversion.extract import extract, plan_extraction
from gguf_tools.editing.splitting import split
from gguf_tools.errors import GGUFToolsError, OutputError, UnsupportedError
from tests import builders as b

DEMO = Path(__file__).resolve().parents[2] / "fixtures" / "demo"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("extract") / "demo.gguf"
    gguf_tools.convert(DEMO, path, type="Q4_K_M")
    return path


def test_all_as_safetensors(model: Path, tmp_path: Path) -> None:
    extract(model, tmp_path / "all.safetensors")
    found = load_file(tmp_path / "all.safetensors")
    with gguf_tools.open(model) as file:
        assert sorted(found) == sorted(file.tensors)
        for name, tensor in file.tensors.items():
            assert found[name].dtype == np.float32
            assert np.array_equal(found[name], tensor.dequantize())


@pytest.mark.parametrize(("dtype", "kind"), [("f32", np.float32), ("F16", np.float16)])
def test_one_as_npy(model: Path, tmp_path: Path, dtype: str, kind: type) -> None:
    extract(model, tmp_path / "x.npy", ["blk.0.attn_q.weight"], dtype=dtype)
    found = np.load(tmp_path / "x.npy", allow_pickle=False)
    with gguf_tools.open(model) as file:
        expected = file.tensors["blk.0.attn_q.weight"].dequantize()
    assert found.dtype == kind
    assert np.array_equal(found, expected.astype(kind))


def test_several_as_a_directory(model: Path, tmp_path: Path) -> None:
    extract(model, tmp_path / "some", ["blk.1.ffn_*", "output_norm.weight"])
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == [
        *(f"blk.1.ffn_{part}.weight.npy" for part in ("down", "gate", "norm", "up")),
        "output_norm.weight.npy",
    ]
    assert np.load(tmp_path / "some" / "output_norm.weight.npy").shape == (256,)


def test_bf16_as_safetensors(model: Path, tmp_path: Path) -> None:
    extract(model, tmp_path / "x.safetensors", ["output_norm.weight"], dtype="bf16")
    gguf_tools.convert(DEMO, tmp_path / "f32.gguf", type="F32")
    with gguf_tools.open(tmp_path / "f32.gguf") as file:
        bits = file.tensors["output_norm.weight"].dequantize().view(np.uint32)
    # these norms are bfloat16 in the checkpoint, so nothing is rounded
    assert (tmp_path / "x.safetensors").read_bytes().endswith((bits >> 16).astype("<u2").tobytes())


class TestRaw:
    def test_blocks_as_npy(self, model: Path, tmp_path: Path) -> None:
        extract(model, tmp_path / "x.npy", ["blk.0.attn_q.weight"], dtype="raw")
        found = np.load(tmp_path / "x.npy")
        with open_gguf(model) as file:
            assert np.array_equal(found, file.tensors["blk.0.attn_q.weight"].raw(0, 256))
        assert found.shape == (256, 144)
        decoded = gguf_tools.dequantize(found, "Q4_K", (256, 256))
        extract(model, tmp_path / "y.npy", ["blk.0.attn_q.weight"])
        assert np.array_equal(decoded, np.load(tmp_path / "y.npy"))

    def test_blocks_as_safetensors_tell_their_type(self, model: Path, tmp_path: Path) -> None:
        extract(model, tmp_path / "x.safetensors", ["blk.0.attn_[qk].weight"], dtype="raw")
        with safe_open(tmp_path / "x.safetensors", "numpy") as found:
            assert found.metadata()["blk.0.attn_q.weight"] == "Q4_K [256, 256]"
            assert found.get_tensor("blk.0.attn_k.weight").shape == (128, 144)

    def test_numbers_stay_numbers(self, tmp_path: Path) -> None:
        tensors = [
            b.Tensor("i32", (3, 2), 26, np.arange(6, dtype="<i4").tobytes()),
            b.Tensor("f64", (2,), 28, np.array([1, 0.1], "<f8").tobytes()),
            b.Tensor("bf16", (2,), 30, b"\x80\x3f\x00\x40"),
        ]
        (tmp_path / "a.gguf").write_bytes(b.build([b.ARCHITECTURE], tensors))
        extract(tmp_path / "a.gguf", tmp_path / "out", dtype="raw")
        assert np.array_equal(np.load(tmp_path / "out" / "i32.npy"), np.arange(6, dtype="i4").reshape(2, 3))
        assert np.load(tmp_path / "out" / "f64.npy").tolist() == [1, 0.1]
        assert np.load(tmp_path / "out" / "bf16.npy").tolist() == [0x80, 0x3F, 0, 0x40]
        extract(tmp_path / "a.gguf", tmp_path / "out.safetensors", ["i*", "f64"], dtype="raw")
        assert load_file(tmp_path / "out.safetensors")["i32"].dtype == np.int32


class TestRows:
    @pytest.mark.parametrize("rows", [(0, 1), (100, 108), (524, 525), (0, 525)])
    def test_of_a_matrix(self, model: Path, tmp_path: Path, rows: tuple[int, int]) -> None:
        extract(model, tmp_path / "x.npy", ["token_embd.weight"], rows=rows)
        with gguf_tools.open(model) as file:
            expected = file.tensors["token_embd.weight"].rows(*rows)
        assert np.array_equal(np.load(tmp_path / "x.npy"), expected)

    def test_over_all_leading_dimensions(self, tmp_path: Path) -> None:
        values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
        with open_gguf(_written(tmp_path / "a.gguf", values)) as file:
            assert file.tensors["t"].shape == (2, 3, 4)
        extract(tmp_path / "a.gguf", tmp_path / "x.npy", rows=(2, 5))
        assert np.array_equal(np.load(tmp_path / "x.npy"), values.reshape(6, 4)[2:5])
        extract(tmp_path / "a.gguf", tmp_path / "y.npy")
        assert np.array_equal(np.load(tmp_path / "y.npy"), values)

    @pytest.mark.parametrize("rows", [(0, 526), (525, 526), (5, 5), (-1, 3)])
    def test_that_are_not_there(self, model: Path, tmp_path: Path, rows: tuple[int, int]) -> None:
        with pytest.raises(GGUFToolsError, match=r"'token_embd\.weight': .*these rows.*within 0:525"):
            extract(model, tmp_path / "x.npy", ["token_embd.weight"], rows=rows)


def _written(path: Path, values: np.ndarray) -> Path:  # type: ignore[type-arg]
    tensor = b.Tensor("t", tuple(reversed(values.shape)), 0, values.tobytes())
    path.write_bytes(b.build([b.ARCHITECTURE], [tensor]))
    return path


def test_from_a_split_model(model: Path, tmp_path: Path) -> None:
    *_, last = split(model, tmp_path / "m", max_tensors=7)
    extract(last.path, tmp_path / "x.npy", ["token_embd.weight"])
    extract(model, tmp_path / "y.npy", ["token_embd.weight"])
    assert (tmp_path / "x.npy").read_bytes() == (tmp_path / "y.npy").read_bytes()


def test_the_plan_is_exact(model: Path, tmp_path: Path) -> None:
    plan = plan_extraction(model, tmp_path / "x.safetensors", ["blk.*"])
    assert list(tmp_path.iterdir()) == []
    extract(model, tmp_path / "x.safetensors", ["blk.*"])
    assert (tmp_path / "x.safetensors").stat().st_size == plan.size


class TestRefusals:
    def test_a_pattern_without_match(self, model: Path, tmp_path: Path) -> None:
        message = r"no tensor's name matches \(found blk\.9\.\*, expected .* … \(20 tensors\)\)"
        with pytest.raises(GGUFToolsError, match=message):
            extract(model, tmp_path / "x", ["output*", "blk.9.*"])

    def test_several_for_one_npy(self, model: Path, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match=r"x\.npy: a \.npy file holds a single array"):
            extract(model, tmp_path / "x.npy", ["blk.*"])

    def test_bf16_for_npy(self, model: Path, tmp_path: Path) -> None:
        with pytest.raises(UnsupportedError, match="numpy has no bfloat16"):
            extract(model, tmp_path / "x.npy", ["output_norm.weight"], dtype="bf16")

    def test_unknown_dtype(self, model: Path, tmp_path: Path) -> None:
        with pytest.raises(UnsupportedError, match=r"unknown dtype \(found f8, expected f32, f16"):
            extract(model, tmp_path / "x.npy", dtype="f8")

    @pytest.mark.parametrize("name", ["../evil", "a/b", ".hidden", "x\0y"])
    def test_names_that_are_no_file_names(self, tmp_path: Path, name: str) -> None:
        tensors = [b.Tensor(name, (1,), 0, b.floats(1)), b.Tensor("ok", (1,), 0, b.floats(2))]
        (tmp_path / "a.gguf").write_bytes(b.build([b.ARCHITECTURE], tensors))
        with pytest.raises(OutputError, match="the tensor's name is no file name"):
            extract(tmp_path / "a.gguf", tmp_path / "out")
        assert [path.name for path in tmp_path.iterdir()] == ["a.gguf"]

    def test_unknown_type(self, tmp_path: Path) -> None:
        (tmp_path / "a.gguf").write_bytes(b.build([b.ARCHITECTURE], [b.Tensor("x", (32,), 99, bytes(64))]))
        with pytest.raises(UnsupportedError, match=r"'x': the tensor is of an unknown type"):
            extract(tmp_path / "a.gguf", tmp_path / "out", dtype="raw")

    def test_existing_output(self, model: Path, tmp_path: Path) -> None:
        (tmp_path / "x.npy").write_bytes(b"old")
        with pytest.raises(OutputError, match=r"x\.npy: exists already"):
            extract(model, tmp_path / "x.npy", ["output_norm.weight"])
        assert (tmp_path / "x.npy").read_bytes() == b"old"
