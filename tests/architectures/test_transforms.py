"""Every transform: its inverse undoes it, and any range of rows is that slice of the whole."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gguf_tools.architectures.config import HFConfig
from gguf_tools.architectures.delta_net import SplitDelta
from gguf_tools.architectures.grouped_heads import GroupHeads
from gguf_tools.architectures.interleaved_experts import Deinterleave, DeinterleaveRows
from gguf_tools.architectures.latent_attention import SplitLatent
from gguf_tools.architectures.padding import PadTokens
from gguf_tools.architectures.scaling import Scaled
from gguf_tools.architectures.transforms import (
    IDENTITY,
    AddOne,
    Chain,
    Each,
    Grouped,
    KeepTokens,
    NegativeExp,
    PermuteHeads,
    Reshape,
    Reversed,
    SkipRows,
    SplitMiddle,
    SplitRows,
    StackExperts,
    SwapHalves,
    Transform,
    Transpose,
    Twice,
    UngroupQKV,
    UnstackRows,
)
from gguf_tools.errors import ArchitectureError
from gguf_tools.source import ArraySource, Source, row_count
from gguf_tools.spec import GGMLType
from tests.architectures.sources import Computed, stored, values

SIZES = (3, 1, 4)
SPLIT = SplitRows(lambda config: SIZES)
CONFIG = HFConfig(
    {
        "heads": 3,
        "n_shared_head": 3,
        "linear_key_head_dim": 2,
        "linear_num_key_heads": 2,
        "linear_num_value_heads": 4,
        "linear_value_head_dim": 3,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "qk_nope_head_dim": 2,
        "v_head_dim": 3,
        "vocab_size": 9,
        "vocab_size_per_layer_input": 6,
    }
)
SQUEEZE = Reshape(gguf=lambda shape: (shape[0], shape[-1]), hf=lambda shape: (shape[0], 1, shape[1]))
UNGROUP = UngroupQKV("num_attention_heads", "num_key_value_heads")
HALVED = Scaled(lambda config: [(None, (0.5, 4.0))])
BY_ROWS = Scaled(lambda config: [(1, (2.0, 0.25)), (3, (2.0, 1.0)), (2, (2.0, 8.0))])
COMPUTED = {"add one", "scaled", "scaled by rows"}


def numbers(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.float32]:
    """Different small integers over 256: exact in every dtype, and exact with one added."""
    count = int(np.prod(shape))
    return ((np.arange(count) * 37 + seed) % 251 / 256).astype(np.float32).reshape(shape)


def check_rows(source: Source, data: st.DataObject) -> None:
    """A drawn range of rows, and of stored rows, is that part of the whole."""
    count = row_count(source.shape)
    start = data.draw(st.integers(0, count))
    stop = data.draw(st.integers(start, count))
    part = source.rows(start, stop)
    assert part.dtype == np.float32
    assert part.flags.c_contiguous
    np.testing.assert_array_equal(part, source.rows(0, count)[start:stop])
    if source.storage is not None:
        np.testing.assert_array_equal(source.raw(start, stop), source.raw(0, count)[start:stop])


CASES: dict[str, tuple[Transform, list[tuple[int, ...]]]] = {
    "identity": (IDENTITY, [(5, 7)]),
    "permute heads": (PermuteHeads("heads"), [(24, 5)]),
    "permute a bias": (PermuteHeads("heads"), [(24,)]),
    "permute heads of two": (PermuteHeads("heads"), [(6, 2)]),
    "add one": (AddOne(), [(9,)]),
    "keep tokens": (KeepTokens(), [(6, 4)]),
    "stack experts": (StackExperts(), [(4, 3)] * 5),
    "split rows": (SPLIT, [(8, 6)]),
    "split a bias": (SPLIT, [(8,)]),
    "fuse rows": (Reversed(SPLIT), [(size, 6) for size in SIZES]),
    "fuse biases": (Reversed(SPLIT), [(size,) for size in SIZES]),
    "unstack": (Reversed(StackExperts()), [(5, 4, 3)]),
    "stack norms": (StackExperts(), [(4,)] * 3),
    "split the middle": (SplitMiddle(), [(3, 8, 5)]),
    "split in halves": (SplitMiddle(), [(8, 5)]),
    "each its own": (Each((PermuteHeads("heads"), IDENTITY)), [(12, 5), (4, 5)]),
    "transpose": (Transpose(), [(4, 7)]),
    "transpose experts": (Transpose(), [(3, 4, 7)]),
    "ungroup heads": (UNGROUP, [(30, 4)]),
    "ungroup a bias": (UNGROUP, [(30,)]),
    "ungroup single heads": (UngroupQKV(), [(36, 4)]),
    "squeeze": (SQUEEZE, [(5, 1, 4)]),
    "columns": (Reshape(gguf=lambda shape: (*shape, 1), hf=lambda shape: shape[:1]), [(6,)]),
    "group a vector": (Grouped("heads"), [(12,)]),
    "two in a row": (Chain(Transpose(), StackExperts()), [(4, 7)]),
    "de-interleave experts": (Deinterleave(), [(3, 5, 8)]),
    "de-interleave biases": (Deinterleave(), [(3, 8)]),
    "de-interleave rows": (DeinterleaveRows(), [(3, 8, 5)]),
    "swap halves": (SwapHalves(), [(6, 5)]),
    "skip no rows": (SkipRows(lambda config: 0), [(5, 4)]),
    "unstack rows": (UnstackRows("heads"), [(6, 5)]),
    "unstack and transpose": (Chain(UnstackRows("heads"), Transpose()), [(12, 5)]),
    "group heads that take turns": (GroupHeads(lambda config: 2), [(12, 4)]),
    "group heads along rows": (GroupHeads(lambda config: 2, columns=True), [(4, 12)]),
    "split latent heads": (SplitLatent(), [(30, 4)]),
    "a copy": (Twice(), [(5, 3)]),
    "a copy of a bias": (Twice(), [(5,)]),
    "a vector of groups": (Reversed(Grouped("heads")), [(3, 4)]),
    "factors of one": (Scaled(lambda config: [(None, (1.0, 1.0))]), [(5, 3)]),
    "scaled": (HALVED, [(5, 3)]),
    "scaled by rows": (BY_ROWS, [(6, 3)]),
    "pad tokens": (PadTokens(), [(6, 4)]),
    "split a delta net": (SplitDelta(), [(32, 5)]),
}


@pytest.mark.parametrize("dtype", ["F32", "F16", "BF16"])
@pytest.mark.parametrize("case", CASES)
@given(data=st.data())
def test_the_inverse_undoes_it_for_any_rows(case: str, dtype: str, data: st.DataObject) -> None:
    transform, shapes = CASES[case]
    before = [stored(numbers(shape, seed), dtype) for seed, shape in enumerate(shapes)]
    after = transform.forward(before, CONFIG)
    back = transform.inverse(after, CONFIG)
    for source in (*after, *back):
        check_rows(source, data)
    assert len(back) == len(before)
    for old, new in zip(before, back, strict=True):
        assert new.shape == old.shape
        np.testing.assert_array_equal(values(new), values(old))


@pytest.mark.parametrize("case", [case for case in CASES if case not in COMPUTED])
def test_transforms_that_only_move_rows_hand_the_stored_bytes_on(case: str) -> None:
    transform, shapes = CASES[case]
    before = [stored(numbers(shape, seed), "BF16") for seed, shape in enumerate(shapes)]
    back = transform.inverse(transform.forward(before, CONFIG), CONFIG)
    for old, new in zip(before, back, strict=True):
        assert new.storage is GGMLType.BF16
        np.testing.assert_array_equal(
            new.raw(0, row_count(new.shape)), old.raw(0, row_count(old.shape)), strict=True
        )


@given(
    heads=st.integers(1, 6),
    half=st.integers(1, 9),
    columns=st.one_of(st.none(), st.integers(1, 5)),
    data=st.data(),
)
def test_permuted_heads_are_the_reference_permutation(
    heads: int, half: int, columns: int | None, data: st.DataObject
) -> None:
    size = heads * 2 * half
    array = numbers((size,) if columns is None else (size, columns))
    config = HFConfig({"heads": heads})
    transform = PermuteHeads("heads")
    (made,) = transform.forward([ArraySource(array)], config)
    expected = array.reshape(heads, 2, half, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)
    np.testing.assert_array_equal(values(made), expected)
    check_rows(made, data)
    (back,) = transform.inverse([made], config)
    np.testing.assert_array_equal(values(back), array)
    check_rows(back, data)


def test_ungrouped_heads_are_falcons() -> None:
    """Groups of three queries, a key and a value, as transformers' Falcon splits them."""
    array = numbers((2, 5, 4, 7))  # key heads, heads of a group, rows, columns
    (made,) = UNGROUP.forward([ArraySource(array.reshape(40, 7))], CONFIG)
    parts = [array[:, :-2], array[:, -2], array[:, -1]]
    np.testing.assert_array_equal(values(made), np.concatenate([part.reshape(-1, 7) for part in parts]))


def test_latent_heads_are_split_and_keys_transposed() -> None:
    array = numbers((6, 5, 4))  # heads, key and value rows, rank
    keys, found = SplitLatent().forward([ArraySource(array.reshape(30, 4))], CONFIG)
    np.testing.assert_array_equal(values(keys), array[:, :2].swapaxes(1, 2))
    np.testing.assert_array_equal(values(found), array[:, 2:])


def test_tokens_without_embeddings_get_zeros() -> None:
    array = numbers((6, 4))
    for source in (ArraySource(array), stored(array, "BF16"), Computed(array)):
        (made,) = PadTokens().forward([source], CONFIG)
        assert made.storage is source.storage
        np.testing.assert_array_equal(values(made), np.concatenate([values(source), np.zeros((3, 4))]))
    whole = ArraySource(numbers((9, 4)))
    assert PadTokens().forward([whole], CONFIG) == [whole]


def test_parts_of_a_delta_net_are_gathered_from_its_key_heads() -> None:
    array = numbers((2, 16, 5))  # key heads; rows of query, key, value and gate; columns
    mixed, gate = SplitDelta().forward([ArraySource(array.reshape(32, 5))], CONFIG)
    parts = [array[:, :2], array[:, 2:4], array[:, 4:10]]
    np.testing.assert_array_equal(values(mixed), np.concatenate([part.reshape(-1, 5) for part in parts]))
    np.testing.assert_array_equal(values(gate), array[:, 10:].reshape(-1, 5))


def test_experts_alternate_in_gpt_oss() -> None:
    array = numbers((3, 5, 8))
    gate, up = Deinterleave().forward([ArraySource(array)], CONFIG)
    np.testing.assert_array_equal(values(gate), array.swapaxes(1, 2)[:, ::2])
    np.testing.assert_array_equal(values(up), array.swapaxes(1, 2)[:, 1::2])


@given(data=st.data())
def test_the_negative_exponential_comes_back_closely(data: st.DataObject) -> None:
    array = numbers((6, 5)) * 8 - 4
    (made,) = NegativeExp().forward([ArraySource(array)], CONFIG)
    np.testing.assert_array_equal(values(made), -np.exp(array.astype(np.float64)).astype(np.float32))
    (back,) = NegativeExp().inverse([made], CONFIG)
    np.testing.assert_allclose(values(back), array, rtol=1e-7, atol=1e-7)
    check_rows(made, data)
    check_rows(back, data)


def test_add_one_rounds_like_the_checkpoint() -> None:
    array = np.array([0.00012345, 0.5, -0.99, 3.14159], np.float32)
    (whole,) = AddOne().forward([stored(array, "F32")], CONFIG)
    np.testing.assert_array_equal(values(whole), array + np.float32(1))
    half = array.astype(np.float16)
    (rounded,) = AddOne().forward([stored(array, "F16")], CONFIG)
    np.testing.assert_array_equal(values(rounded), (half + np.float16(1)).astype(np.float32))
    assert not np.array_equal(values(rounded), half.astype(np.float32) + 1)
    assert whole.storage is None


@pytest.mark.parametrize(("tokens", "rows"), [(None, 6), (4, 4), (6, 6), (9, 6)])
def test_keep_tokens_cuts_what_the_vocabulary_does_not_have(tokens: int | None, rows: int) -> None:
    array = numbers((6, 4))
    (made,) = KeepTokens().forward([ArraySource(array)], HFConfig({}, token_count=tokens))
    np.testing.assert_array_equal(values(made), array[:rows])


def test_skipped_rows_come_back_as_zeros() -> None:
    transform = SkipRows(lambda config: 2)
    before = stored(numbers((5, 4)), "F16")
    (after,) = transform.forward([before], CONFIG)
    np.testing.assert_array_equal(values(after), values(before)[2:])
    (back,) = transform.inverse([after], CONFIG)
    assert back.storage is GGMLType.F16
    assert back.shape == before.shape
    assert not back.rows(0, 2).any()
    assert not back.raw(0, 2).any()
    np.testing.assert_array_equal(back.raw(1, 5)[1:], before.raw(2, 5))


@given(data=st.data())
def test_any_rows_of_a_matrix_with_skipped_ones(data: st.DataObject) -> None:
    (back,) = SkipRows(lambda config: 3).inverse([stored(numbers((4, 6)), "BF16")], CONFIG)
    check_rows(back, data)


def test_stacked_experts_are_numpys_stack() -> None:
    arrays = [numbers((4, 3), seed) for seed in range(5)]
    (made,) = StackExperts().forward([ArraySource(array) for array in arrays], CONFIG)
    np.testing.assert_array_equal(values(made), np.stack(arrays))


def test_sources_of_different_storage_join_as_values() -> None:
    arrays = [numbers((4, 3), seed) for seed in range(2)]
    (made,) = StackExperts().forward([stored(arrays[0], "F16"), stored(arrays[1], "BF16")], CONFIG)
    assert made.storage is None
    np.testing.assert_array_equal(values(made), np.stack(arrays))


def test_computed_values_can_be_permuted_but_have_no_bytes() -> None:
    array = numbers((6, 2))
    for shape in ((6, 2), (12,)):
        source = Computed(array.reshape(shape))
        (made,) = PermuteHeads("heads").forward([source], CONFIG)
        assert made.storage is None
        assert sorted(values(made).ravel()) == sorted(array.ravel())
        with pytest.raises(TypeError):
            made.raw(0, 1)


@pytest.mark.parametrize(
    ("transform", "shapes", "inverse"),
    [
        pytest.param(PermuteHeads("heads"), [(9, 2)], False, id="odd head size"),
        pytest.param(PermuteHeads("heads"), [(20,)], True, id="bias not divisible"),
        pytest.param(PermuteHeads("heads"), [(6, 2, 2)], False, id="three dimensions"),
        pytest.param(PermuteHeads("heads"), [()], False, id="a scalar"),
        pytest.param(StackExperts(), [(4, 3), (3, 3)], False, id="unequal experts"),
        pytest.param(StackExperts(), [(4,)], True, id="not stacked"),
        pytest.param(SplitMiddle(), [(3, 7, 5)], False, id="odd middle"),
        pytest.param(SplitMiddle(), [(3, 4, 5), (3, 4, 6)], True, id="halves that differ"),
        pytest.param(Transpose(), [(7,)], False, id="a vector has no transpose"),
        pytest.param(UNGROUP, [(31, 4)], False, id="rows that are no heads"),
        pytest.param(Grouped("heads"), [(13,)], False, id="a vector of no groups"),
        pytest.param(Deinterleave(), [(3, 7)], False, id="an odd number of outputs"),
        pytest.param(Deinterleave(), [(3, 4), (3, 5)], True, id="experts that differ"),
        pytest.param(DeinterleaveRows(), [(3, 7, 4)], False, id="an odd number of rows"),
        pytest.param(DeinterleaveRows(), [(3, 4, 2), (3, 5, 2)], True, id="rows that differ"),
        pytest.param(SplitLatent(), [(31, 4)], False, id="latent rows"),
        pytest.param(SplitLatent(), [(6, 4, 2), (6, 2, 4)], True, id="latent parts"),
        pytest.param(SplitDelta(), [(31, 5)], False, id="rows of a delta net"),
        pytest.param(SplitDelta(), [(19, 5), (12, 5)], True, id="parts of a delta net"),
        pytest.param(SwapHalves(), [(5, 4)], False, id="halves of an odd number"),
        pytest.param(SkipRows(lambda config: 2), [(2, 4)], False, id="nothing but unused rows"),
        pytest.param(SkipRows(lambda config: 2), [(4,)], True, id="a vector has no rows to skip"),
        pytest.param(UnstackRows("heads"), [(7, 5)], False, id="a stack that does not divide"),
        pytest.param(UnstackRows("heads"), [(3, 5)], True, id="not a stack"),
        pytest.param(Twice(), [(3, 4), (4, 3)], True, id="a copy that differs"),
        pytest.param(BY_ROWS, [(5, 3)], False, id="scaled rows of wrong number"),
        pytest.param(BY_ROWS, [(6,)], True, id="a scaled vector"),
        pytest.param(SPLIT, [(9, 6)], False, id="fused of wrong size"),
        pytest.param(SPLIT, [()], False, id="fused scalar"),
        pytest.param(SPLIT, [(3, 6), (1, 6), (5, 6)], True, id="part of wrong size"),
        pytest.param(SPLIT, [(), (1,), (4,)], True, id="scalar part"),
    ],
)
def test_shapes_that_do_not_fit_are_errors(
    transform: Transform, shapes: Sequence[tuple[int, ...]], inverse: bool
) -> None:
    sources: list[Source] = [ArraySource(numbers(shape)) for shape in shapes]
    with pytest.raises(ArchitectureError) as caught:
        (transform.inverse if inverse else transform.forward)(sources, CONFIG)
    assert caught.value.found is not None
