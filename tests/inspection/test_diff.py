"""Comparing models: what is found, what is decoded, and how far apart values are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.container import Metadata, open_gguf
from gguf_tools.container.reader import Tensor
from gguf_tools.editing.splitting import split
from gguf_tools.errors import GGUFToolsError
from gguf_tools.inspection.diff import diff
from gguf_tools.spec import ValueType
from tests import builders as b

DEMO = Path(__file__).resolve().parents[2] / "fixtures" / "demo"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The demo model by type."""
    folder = tmp_path_factory.mktemp("diff")
    paths = {name: folder / f"{name}.gguf" for name in ("F32", "F16", "Q8_0", "Q4_K_M")}
    for name, path in paths.items():
        gguf_tools.convert(DEMO, path, type=name)
    return paths


def model(path: Path, tensors: dict[str, Any], **keys: int) -> Path:
    metadata = Metadata([("general.architecture", ValueType.STRING, "x")])
    metadata.extend((f"x.{key}", ValueType.UINT32, value) for key, value in keys.items())
    gguf_tools.write(path, metadata, [(name, np.asarray(data)) for name, data in tensors.items()])
    return path


def test_a_model_equals_itself(models: dict[str, Path]) -> None:
    found = diff(models["Q4_K_M"], models["Q4_K_M"])
    assert found.equal
    assert (found.metadata, found.tensors, found.same) == ([], [], 20)


def test_equal_bytes_are_not_decoded(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other.gguf"
    data = bytearray(models["Q8_0"].read_bytes())
    with open_gguf(models["Q8_0"]) as file:
        data[file.tensors["blk.1.ffn_up.weight"].offset + 5] ^= 1
    other.write_bytes(data)
    decoded = []
    real = Tensor.rows

    def rows(self: Tensor, start: int, stop: int) -> Any:
        decoded.append(self.name)
        return real(self, start, stop)

    monkeypatch.setattr(Tensor, "rows", rows)
    found = diff(models["Q8_0"], other)
    assert set(decoded) == {"blk.1.ffn_up.weight"}
    (tensor,) = found.tensors
    assert (tensor.name, tensor.distance and tensor.distance.differing) == ("blk.1.ffn_up.weight", 1)


@pytest.mark.parametrize("pair", [("F16", "Q4_K_M"), ("Q8_0", "F32")], ids="-".join)
def test_across_types_against_numpy(models: dict[str, Path], pair: tuple[str, str]) -> None:
    found = diff(models[pair[0]], models[pair[1]])
    assert [d.key for d in found.metadata if d.key != "general.quantization_version"] == ["general.file_type"]
    with gguf_tools.open(models[pair[0]]) as a, gguf_tools.open(models[pair[1]]) as c:
        for tensor in found.tensors:
            x = a.tensors[tensor.name].dequantize().astype(np.float64)
            y = c.tensors[tensor.name].dequantize().astype(np.float64)
            assert tensor.distance is not None
            assert tensor.types == (a.tensors[tensor.name].type_name, c.tensors[tensor.name].type_name)
            assert tensor.distance.maximum == np.abs(x - y).max()
            assert tensor.distance.rms == pytest.approx(np.sqrt(np.mean((x - y) ** 2)), rel=1e-12)
            relative = np.sqrt(np.sum((x - y) ** 2) / np.sum(x**2))
            assert tensor.distance.relative_rms == pytest.approx(relative, rel=1e-12)
            assert tensor.distance.differing == np.count_nonzero(x != y)
    assert len(found.tensors) == 15


@pytest.mark.parametrize("name", ["llama", "mixtral", "gpt2", "qwen3", "bert", "gemma3", "phimoe"])
def test_a_checkpoint_equals_its_conversion(
    name: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """Names, permuted heads, stacked experts and norms plus one: all through the table."""
    gguf_tools.convert(tiny_checkpoints[name], tmp_path / "a.gguf", type="F32")
    assert diff(tiny_checkpoints[name], tmp_path / "a.gguf").equal
    assert diff(tmp_path / "a.gguf", tiny_checkpoints[name]).equal


def test_a_checkpoint_against_a_quantized_file(models: dict[str, Path]) -> None:
    found = diff(DEMO, models["Q4_K_M"])
    assert found.metadata == []
    assert len(found.tensors) == 15
    for tensor in found.tensors:
        assert tensor.distance is not None
        assert tensor.distance.relative_rms is not None
        assert 0.001 < tensor.distance.relative_rms < 0.1


def test_a_changed_checkpoint(tmp_path: Path, models: dict[str, Path]) -> None:
    """One row of one matrix: found under its GGUF name, though heads are permuted."""
    shutil.copytree(DEMO, tmp_path / "demo")
    data = bytearray((tmp_path / "demo" / "model.safetensors").read_bytes())
    head = int.from_bytes(data[:8], "little")
    entry = json.loads(data[8 : 8 + head])["model.layers.1.self_attn.q_proj.weight"]
    data[8 + head + entry["data_offsets"][0] + 1] ^= 0x40
    (tmp_path / "demo" / "model.safetensors").write_bytes(data)
    (tensor,) = diff(tmp_path / "demo", models["F32"]).tensors
    assert tensor.name == "blk.1.attn_q.weight"
    assert tensor.distance is not None
    assert tensor.distance.differing == 1


def test_split_files_are_whole(models: dict[str, Path], tmp_path: Path) -> None:
    *_, last = split(models["Q8_0"], tmp_path / "m", max_tensors=7)
    assert diff(models["Q8_0"], last.path).equal


def test_tensors_on_one_side_and_of_other_shapes(tmp_path: Path) -> None:
    ones = np.ones
    a = model(tmp_path / "a.gguf", {"one": ones(4, "f4"), "both": ones((2, 4), "f4"), "same": ones(3, "f4")})
    c = model(tmp_path / "b.gguf", {"both": ones((4, 2), "f4"), "two": ones(4, "f2"), "same": ones(3, "f4")})
    found = diff(a, c)
    assert [(t.name, t.shapes, t.types, t.distance) for t in found.tensors] == [
        ("one", ((4,), None), ("F32", None), None),
        ("both", ((2, 4), (4, 2)), ("F32", "F32"), None),
        ("two", (None, (4,)), (None, "F16"), None),
    ]
    assert found.same == 1


def test_keys(tmp_path: Path) -> None:
    a = model(tmp_path / "a.gguf", {}, same=1, other=2, gone=3)
    c = model(tmp_path / "b.gguf", {}, same=1, other=4, new=5)
    assert [(d.key, d.before, d.after) for d in diff(a, c).metadata] == [
        ("x.other", 2, 4),
        ("x.new", None, 5),
        ("x.gone", 3, None),
    ]
    assert [d.key for d in diff(a, c, ignore=["x.o*", "x.gone"]).metadata] == ["x.new"]


def test_ignored_tensors(models: dict[str, Path]) -> None:
    found = diff(models["F16"], models["Q8_0"], ignore=["general.*", "blk.*", "token_embd*"])
    assert found.equal
    assert found.same == 1


def test_without_data(models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tensor, "raw", None)
    found = diff(models["F16"], models["Q8_0"], data=False)
    assert {t.types for t in found.tensors} == {("F16", "Q8_0")}
    assert {t.distance for t in found.tensors} == {None}


@pytest.mark.parametrize(
    ("x", "y", "maximum", "differing"),
    [
        ([np.nan, 1], [np.nan, 1.5], 0.5, 1),
        ([np.nan, 1], [1, 1], np.inf, 1),
        ([np.inf, 1], [np.inf, 1], 0, 0),
        ([np.inf, 1], [-np.inf, 1], np.inf, 1),
        ([3e38, 1], [-3e38, 1], 6e38, 1),
        ([0.0, 1], [-0.0, 1], 0, 0),
    ],
    ids=str,
)
def test_odd_values(tmp_path: Path, x: list[float], y: list[float], maximum: float, differing: int) -> None:
    a = model(tmp_path / "a.gguf", {"t": np.array(x, "f4"), "u": np.float32([1])})
    c = model(tmp_path / "b.gguf", {"t": np.array(y, "f4"), "u": np.float32([2])})
    found = {t.name: t.distance for t in diff(a, c).tensors}
    if "t" not in found:  # to the bit
        assert differing == 0
        return
    distance = found["t"]
    assert distance is not None
    assert distance.maximum == pytest.approx(maximum)
    assert distance.differing == differing


def test_against_zero_there_is_no_relative_rms(tmp_path: Path) -> None:
    a = model(tmp_path / "a.gguf", {"t": np.zeros(4, "f4")})
    c = model(tmp_path / "b.gguf", {"t": np.ones(4, "f4")})
    (tensor,) = diff(a, c).tensors
    assert tensor.distance is not None
    assert (tensor.distance.rms, tensor.distance.relative_rms) == (1, None)


def test_unknown_types(tmp_path: Path) -> None:
    for name, kind in (("a", 99), ("b", 98)):
        data = b.build([b.ARCHITECTURE], [b.Tensor("x", (32,), kind, bytes(64))])
        (tmp_path / f"{name}.gguf").write_bytes(data)
    (tensor,) = diff(tmp_path / "a.gguf", tmp_path / "b.gguf").tensors
    assert tensor.types == ("unknown (99)", "unknown (98)")
    assert "cannot be decoded" in tensor.reason


def test_progress_grows_to_the_total(models: dict[str, Path]) -> None:
    seen: list[tuple[int, int]] = []
    diff(models["F16"], models["Q8_0"], progress=lambda done, total, _: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]


def test_trouble(models: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(GGUFToolsError, match=r"none\.gguf: cannot open"):
        diff(models["F16"], tmp_path / "none.gguf")
    with pytest.raises(GGUFToolsError, match="directory is empty"):
        diff(models["F16"], tmp_path)
