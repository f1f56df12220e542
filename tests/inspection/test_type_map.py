"""The map of types: what stands where, and what is folded."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import gguf_tools
from gguf_tools.inspection.inspect import TensorDescription
from gguf_tools.inspection.tensor_names import place_of
from gguf_tools.inspection.type_map import Cell, Row, folded, grouped, layer_ranges, type_maps
from tests import tiny


def tensor(name: str, type_: str = "Q4_K", shape: tuple[int, ...] = (8, 256)) -> TensorDescription:
    return TensorDescription(name, shape, type_, 144 * 8, 0, "a.gguf", *place_of(name))


def names(tensors: list[TensorDescription]) -> list[str]:
    (found,) = type_maps(tensors)
    return [f"{column.group} {column.name}".strip() for column in found.columns]


def test_columns_stand_in_the_order_of_the_network() -> None:
    stored = (  # sorted by name, as llama.cpp's quantizer leaves them
        *("attn_k", "attn_k_norm", "attn_norm", "attn_output", "attn_q", "attn_v", "ffn_down"),
        *("ffn_down_exps", "ffn_down_shexp", "ffn_gate", "ffn_gate_exps", "ffn_gate_inp", "ffn_up"),
        *("ffn_up_exps", "something", "ssm_in", "ssm_out"),
    )
    found = names([tensor(f"blk.0.{role}.weight") for role in stored])
    assert found == [
        *("attn q", "attn k", "attn v", "attn output", "ssm in", "ssm out"),
        *("ffn gate_inp", "ffn gate", "ffn up", "ffn down"),
        *("ffn_exps gate", "ffn_exps up", "ffn_exps down", "ffn_shexp down", "something", "norms"),
    ]


def test_columns_of_a_checkpoint() -> None:
    stored = (
        *("input_layernorm", "mlp.down_proj", "mlp.experts.0.up_proj", "mlp.experts.1.up_proj"),
        *("mlp.gate_proj", "mlp.up_proj", "self_attn.k_proj", "self_attn.q_proj"),
    )
    found = names([tensor(f"model.layers.0.{role}.weight") for role in stored])
    assert found == [
        *("self_attn q_proj", "self_attn k_proj", "mlp gate_proj", "mlp up_proj", "mlp down_proj"),
        *("mlp.experts.* up_proj", "norms"),
    ]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("blk.0.attn_norm.weight", (256,)),
        ("blk.0.ssm_norm.weight", (2, 256)),
        ("blk.0.attn_q.bias", (256,)),
        ("blk.0.ffn_down_exps.bias", (4, 256)),
        ("blk.0.ssm_a", (8, 1)),
        ("model.layers.0.mlp.experts.down_proj_bias", (4, 256)),
    ],
)
def test_vectors_share_a_column(name: str, shape: tuple[int, ...]) -> None:
    assert names([tensor(name, "F32", shape)]) == ["norms"]


def test_cells_tell_types_and_bits() -> None:
    mixed = [tensor(f"model.layers.0.mlp.experts.{i}.up_proj.weight", kind) for i, kind in enumerate("ABAB")]
    (found,) = type_maps([*mixed, tensor("model.layers.1.mlp.down_proj.weight")])
    assert found.rows == (
        Row((0,), (None, Cell(("A", "B"), 4.5))),
        Row((1,), (Cell(("Q4_K",), 4.5), None)),
    )


def rows_of(cells: str) -> list[Row]:
    return [Row((i,), (Cell((cell,), None),)) for i, cell in enumerate(cells)]


def test_alike_rows_are_one() -> None:
    rows = rows_of("aabbaba")
    assert [(row.layers, row.cells[0]) for row in folded(rows)] == [
        *(((0, 1), Cell(("a",), None)), ((2, 3), Cell(("b",), None)), ((4,), Cell(("a",), None))),
        *(((5,), Cell(("b",), None)), ((6,), Cell(("a",), None))),
    ]
    assert [row.layers for row in grouped(rows)] == [(0, 1, 4, 6), (2, 3, 5)]


def test_layers_with_one_missing_between_are_not_folded() -> None:
    rows = [row for row in rows_of("aaaa") if row.layers != (2,)]
    assert [row.layers for row in folded(rows)] == [(0, 1), (3,)]


@pytest.mark.parametrize(
    ("layers", "words"),
    [((0,), ["0"]), ((0, 1, 2), ["0-2"]), ((0, 2, 3, 7), ["0", "2-3", "7"]), ((), [])],
)
def test_ranges(layers: tuple[int, ...], words: list[str]) -> None:
    assert layer_ranges(layers) == words


@pytest.mark.parametrize("name", tiny.NAMES)
def test_every_tensor_has_its_cell(name: str, tiny_checkpoints: dict[str, Path]) -> None:
    """Of every family: what stands in a layer stands in its row, with its type."""
    found = gguf_tools.inspect(tiny_checkpoints[name])
    inside = [one for one in found.tensors if one.layer is not None]
    assert inside
    wanted = Counter((one.stack, one.layer, one.type) for one in inside)
    seen = {
        (each.stack, row.layers[0], kind)
        for each in type_maps(found.tensors)
        for row in each.rows
        for cell in row.cells
        if cell is not None
        for kind in cell.types
    }
    assert seen == wanted.keys()
    for each in type_maps(found.tensors):
        assert len(set(each.columns)) == len(each.columns)
        together = [layer for row in folded(each.rows) for layer in row.layers]
        assert together == sorted({one.layer for one in inside if one.stack == each.stack})
        assert sorted(layer for row in grouped(each.rows) for layer in row.layers) == together
