"""Quantizing with an importance matrix: whole files against llama.cpp's, and what matrices do not cover."""

from __future__ import annotations

import hashlib
import json
import struct
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import gguf_tools
from gguf_tools.conversion.requantize import plan_requantization, requantize
from gguf_tools.errors import QuantizationError, UnsupportedError
from gguf_tools.recipes import Overrides, combine
from gguf_tools.spec import GGMLType
from tests.goldens.record_recipes import GOLDEN, OPTIONS, REFUSED, WHOLE, write_imatrix
from tests.recipes.models import MODELS, asked
from tests.references.quantizer import model_keys, random_weights, write_model


@cache
def recorded() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(GOLDEN.read_text())["files"]
    return found


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """For each model a folder with ``in.gguf`` and ``imatrix.dat``, as when the goldens were recorded."""
    made = {}
    for model in WHOLE:
        facts, shapes = MODELS[model]
        folder = made[model] = tmp_path_factory.mktemp("weighting")
        write_model(folder / "in.gguf", facts.architecture, model_keys(facts), random_weights(shapes))
        write_imatrix(folder / "imatrix.dat", shapes)
    return made


WORDS = sorted({words for recipes in recorded().values() for words in recipes})


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("model", WHOLE)
def test_files_are_those_recorded_of_llama_quantize(
    model: str, words: str, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All recipes, with and without a matrix, byte for byte."""
    recipe, _, weighted = words.partition(" ")
    monkeypatch.chdir(folders[model])  # the name of the matrix's file is part of the file
    imatrix = "imatrix.dat" if weighted else None
    if words not in recorded()[model]:
        golden = json.loads(GOLDEN.read_text())["types"][model][words]
        assert golden == REFUSED  # rows that do not divide, for which llama.cpp has no other type
        assert plan_requantization("in.gguf", recipe=recipe, imatrix=imatrix).fallbacks
        return
    requantize("in.gguf", tmp_path / "out.gguf", type=recipe, imatrix=imatrix, threads=2)
    digest = hashlib.sha256((tmp_path / "out.gguf").read_bytes()).hexdigest()
    assert digest == recorded()[model][words]


def test_weights_of_experts_hold_where_chunks_cut(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk may hold rows of several experts, and end in the middle of one."""
    from gguf_tools.conversion import engine

    folder = folders["4 experts"]
    for name, elements in (("usual", None), ("cut", 3 * 256)):
        if elements:
            monkeypatch.setattr(engine, "CHUNK_ELEMENTS", elements)
        requantize(folder / "in.gguf", tmp_path / name, type="Q4_K_M", imatrix=folder / "imatrix.dat")
    assert (tmp_path / "cut").read_bytes() == (tmp_path / "usual").read_bytes()


def test_recipes_that_need_a_matrix_say_so_before_anything_is_written(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    for recipe in ("IQ2_XXS", "IQ1_S", "IQ3_XXS", "Q2_K_S"):
        with pytest.raises(QuantizationError, match=r"needs an importance matrix; pass --imatrix") as caught:
            requantize(folders[WHOLE[0]] / "in.gguf", tmp_path / "out.gguf", type=recipe)
        assert caught.value.tensor
    assert not list(tmp_path.iterdir())


def matrix(path: Path, entries: dict[str, int]) -> Path:
    data = struct.pack("<i", len(entries))
    for name, columns in entries.items():
        data += struct.pack("<i", len(name)) + name.encode() + struct.pack("<ii", 1, columns)
        data += np.ones(columns, "<f4").tobytes()
    path.write_bytes(data)
    return path


def test_what_a_matrix_does_not_cover_is_listed(folders: dict[str, Path], tmp_path: Path) -> None:
    source = folders[WHOLE[0]] / "in.gguf"
    some = matrix(tmp_path / "some.dat", {"blk.0.attn_q.weight": 256, "blk.1.attn_q.weight": 256})
    plan = plan_requantization(source, recipe="Q4_K_M", imatrix=some)
    (note,) = plan.notes
    assert "has nothing for 13 tensors: " in note
    assert "and 9 more" in note
    weighted = [tensor.name for tensor in plan.tensors() if tensor.weights is not None]
    assert weighted == ["blk.0.attn_q.weight", "blk.1.attn_q.weight"]
    with pytest.raises(QuantizationError, match="the one given has nothing for this tensor"):
        plan_requantization(source, recipe="IQ2_XXS", imatrix=some)


def test_a_matrix_of_another_model(folders: dict[str, Path], tmp_path: Path) -> None:
    wrong = matrix(tmp_path / "wrong.dat", {"blk.0.attn_q.weight": 255})
    with pytest.raises(QuantizationError, match="belongs to another model") as caught:
        plan_requantization(folders[WHOLE[0]] / "in.gguf", recipe="Q4_K_M", imatrix=wrong)
    assert caught.value.tensor == "blk.0.attn_q.weight"


def test_the_matrix_is_recorded(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = folders[WHOLE[0]]
    requantize(folder / "in.gguf", tmp_path / "a.gguf", type="Q4_K_M", imatrix=folder / "imatrix.dat")
    with gguf_tools.open(tmp_path / "a.gguf") as file:
        keys = {key: value for key, value in file.metadata.items() if key.startswith("quantize.")}
    assert keys == {
        "quantize.imatrix.file": str(folder / "imatrix.dat")[:127],
        "quantize.imatrix.dataset": "calib.txt",
        "quantize.imatrix.entries_count": 15,
        "quantize.imatrix.chunks_count": 7,
    }


def test_overrides_reach_the_file(folders: dict[str, Path], tmp_path: Path) -> None:
    for words in OPTIONS[:6]:
        plan = requantize(
            folders[WHOLE[0]] / "in.gguf",
            tmp_path / "a.gguf",
            type="Q4_K_M",
            overrides=asked(words),
            force=True,
        )
        with gguf_tools.open(tmp_path / "a.gguf") as file:
            assert [t.type for t in file.tensors.values()] == [t.type for t in plan.tensors()]


@pytest.mark.parametrize("kind", ["Q8_1", "Q8_K", "F64", "I32"])
def test_a_type_nothing_is_encoded_to_is_refused(kind: str, folders: dict[str, Path]) -> None:
    overrides = combine(Overrides(), tensor_types=[f"attn_v={kind}"])
    with pytest.raises(UnsupportedError, match=f"{kind} cannot be encoded") as caught:
        plan_requantization(folders[WHOLE[0]] / "in.gguf", recipe="Q4_K_M", overrides=overrides)
    assert caught.value.tensor == "blk.0.attn_v.weight"
    assert GGMLType[kind]
