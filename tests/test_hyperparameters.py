"""Hyperparameters: what keys mean, what holds without them, and what becomes of values that are none."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from gguf_tools.container.metadata import Array, Metadata
from gguf_tools.conversion.build_plan import model_sizes
from gguf_tools.errors import FormatError
from gguf_tools.hyperparameters import CheckedHyperparameters, Hyperparameters
from gguf_tools.inspection.model_description import describe_model
from gguf_tools.spec import MAX_LAYERS, ValueType

SIZES = {
    "block_count": 3,
    "context_length": 4096,
    "embedding_length": 64,
    "feed_forward_length": 128,
    "attention.head_count": 4,
}
"""What every model says."""


def each(*items: Any, of: ValueType = ValueType.INT32) -> Array:
    return Array(of, items)


def keys(**changes: Any) -> dict[str, Any]:
    """The metadata of a model; ``__`` stands for a dot, and None removes a key."""
    said = SIZES | {name.replace("__", "."): value for name, value in changes.items()}
    return {"general.architecture": "x", **{f"x.{k}": v for k, v in said.items() if v is not None}}


def lenient(**changes: Any) -> Hyperparameters:
    return Hyperparameters(keys(**changes))


def checked(**changes: Any) -> CheckedHyperparameters:
    return CheckedHyperparameters(keys(**changes), path="x.gguf", use="the test")


class TestDefaults:
    def test_as_many_heads_of_keys_as_of_queries(self) -> None:
        several = each(4, 0, 8)
        for model in (lenient(), checked()):
            assert model.kv_heads is None
            assert model.kv_head_count(2) == 4
        for model in (lenient(attention__head_count=several), checked(attention__head_count=several)):
            assert [model.kv_head_count(layer) for layer in range(3)] == [4, 0, 8]
        said = checked(attention__head_count=several, attention__head_count_kv=each(2, 0, 1))
        assert said.kv_head_count_by_layer() == [2, 0, 1]
        assert checked(attention__head_count=several).kv_head_count_by_layer() == [4, 0, 8]
        assert checked(attention__head_count_kv=0).kv_head_count_by_layer() == [0, 0, 0]

    def test_a_head_has_its_share_of_the_width(self) -> None:
        model = lenient()
        assert model.key_length is None
        sizes = ("key_size", "value_size", "window_key_size", "window_value_size")
        assert [getattr(model, name) for name in sizes] == [16] * 4
        assert model.full_key_size(1) == model.full_value_size(1) == 16
        assert lenient(attention__head_count=each(8, 4, 4)).key_size == 8
        assert lenient(attention__head_count=0).key_size is None
        assert lenient(embedding_length=None).key_size is None

    def test_what_is_said_of_heads_counts(self) -> None:
        model = lenient(attention__key_length=24, attention__value_length=20)
        assert (model.key_size, model.window_key_size, model.full_key_size()) == (24, 24, 24)
        assert (model.value_size, model.window_value_size, model.full_value_size()) == (20, 20, 20)
        assert not model.latent
        swa = lenient(attention__key_length=24, attention__key_length_swa=8, attention__value_length_swa=9)
        assert (swa.key_size, swa.window_key_size, swa.value_size, swa.window_value_size) == (24, 8, 16, 9)
        latent = lenient(
            attention__key_length_mla=48, attention__value_length_mla=32, attention__key_length=9
        )
        assert latent.latent
        assert (latent.key_size, latent.full_key_size(), latent.full_value_size()) == (9, 48, 32)

    def test_experts_are_as_wide_as_other_networks(self) -> None:
        assert lenient().expert_feed_forward_length(1) == 128
        assert lenient(expert_feed_forward_length=32).expert_feed_forward_length(1) == 32
        assert lenient(feed_forward_length=each(5, 6, 7)).expert_feed_forward_length(1) == 6

    def test_layers_that_predict_further_tokens_are_no_hidden_ones(self) -> None:
        assert checked().hidden_layers == 3
        assert checked(nextn_predict_layers=1).hidden_layers == 2
        assert checked(nextn_predict_layers=9).hidden_layers == 1

    def test_the_vocabulary(self) -> None:
        tokens = {"tokenizer.ggml.tokens": each("a", "b", of=ValueType.STRING)}
        assert CheckedHyperparameters(keys(vocab_size=9) | tokens).vocabulary_size == 2
        assert checked(vocab_size=9).vocabulary_size == 9
        assert lenient(vocab_size=9).token_count is None

    def test_windows(self) -> None:
        assert checked().windowed(2, first=False) == [True, False, True]
        assert checked().windowed(3, first=True) == [False, True, True]
        assert checked().windowed(0, first=False) == [True, True, True]

        def stated(pattern: Any) -> list[bool]:
            return checked(attention__sliding_window_pattern=pattern).windowed(0, first=False)

        assert stated(3) == [True, True, False]
        assert stated(each(True, False, True, of=ValueType.BOOL)) == [True, False, True]
        assert stated(each(0, 1, 1)) == [False, True, True]
        with pytest.raises(FormatError, match="not a count or size"):
            stated(ODD["texts"])

    def test_recipes_see_the_first_layer(self) -> None:
        metadata = Metadata()
        metadata.set("general.architecture", "llama", ValueType.STRING)
        metadata.set("llama.attention.head_count", each(8, 4), ValueType.ARRAY)
        sizes = model_sizes(metadata)
        assert (sizes.layers, sizes.heads, sizes.kv_heads, sizes.experts) == (0, 8, 8, 0)
        metadata.set("llama.attention.head_count_kv", each(2, 0), ValueType.ARRAY)
        assert model_sizes(metadata).kv_heads == 2


ODD = {
    "text": "three",
    "float": 3.0,
    "truth": True,
    "no items": each(),
    "texts": each("a", "b", "c", of=ValueType.STRING),
    "floats": each(1.5, 2.5, 3.5, of=ValueType.FLOAT32),
    "truths": each(True, True, True, of=ValueType.BOOL),
    "arrays": each(each(1), each(2), each(3), of=ValueType.ARRAY),
    "below zero": -1,
    "huge": 2**64 - 1,
}
NAMES = [
    *SIZES,
    *("attention.head_count_kv", "attention.key_length", "attention.value_length"),
    *("attention.key_length_swa", "attention.key_length_mla", "attention.value_length_mla"),
    *("expert_count", "expert_used_count", "expert_feed_forward_length", "attention.sliding_window"),
    *("nextn_predict_layers", "attention.sliding_window_pattern"),
]
PROPERTIES = [name for name, kind in inspect.getmembers(Hyperparameters) if isinstance(kind, property)]
OF_A_LAYER = [
    "head_count",
    "kv_head_count",
    "feed_forward_length",
    "expert_feed_forward_length",
    "full_key_size",
    "full_value_size",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("odd", ODD)
def test_a_value_that_is_no_size_never_fails_where_nobody_computes_with_it(name: str, odd: str) -> None:
    metadata = {"general.architecture": "x", **{f"x.{k}": v for k, v in SIZES.items()}, f"x.{name}": ODD[odd]}
    model = Hyperparameters(metadata)
    for read in PROPERTIES:
        getattr(model, read)
    for read in OF_A_LAYER:
        for layer in (0, 2, 10**9):
            assert type(getattr(model, read)(layer)) in (int, type(None)), read
    if odd not in ("below zero", "huge"):
        assert model.integer(name) is None
        assert model.stated(name) in (None, [])
    assert describe_model(metadata).architecture == "x"


@pytest.mark.parametrize("architecture", [None, 5, each(1), ""])
def test_a_file_without_an_architecture_says_nothing(architecture: Any) -> None:
    model = Hyperparameters({} if architecture is None else {"general.architecture": architecture})
    assert {getattr(model, read) for read in PROPERTIES} == {None, False}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("odd", sorted(ODD.keys() - {"no items"}))
def test_a_value_that_is_no_size_is_an_error_where_somebody_does(name: str, odd: str) -> None:
    model = CheckedHyperparameters(
        {"general.architecture": "x", **{f"x.{k}": v for k, v in SIZES.items()}, f"x.{name}": ODD[odd]},
        path="x.gguf",
    )
    with pytest.raises(FormatError) as caught:
        model.by_layer(name)
    assert (caught.value.path, caught.value.key) == ("x.gguf", f"x.{name}")
    with pytest.raises(FormatError):
        model.number(name)


@pytest.mark.parametrize("layers", [0, MAX_LAYERS + 1, 4096, 2**31 - 1])
def test_no_such_count_of_layers(layers: int) -> None:
    assert lenient(block_count=layers).block_count == layers
    model = checked(block_count=layers)
    for read in (model.by_layer, model.one_for_each):
        with pytest.raises(FormatError, match="no such count of layers") as caught:
            read("attention.head_count")
        assert (caught.value.found, caught.value.expected) == (layers, f"1 to {MAX_LAYERS}")


def test_the_most_layers() -> None:
    assert checked(block_count=MAX_LAYERS).head_count_by_layer() == [4] * MAX_LAYERS


def test_errors_name_what_is_missing() -> None:
    with pytest.raises(FormatError, match="needed for the test") as caught:
        checked(attention__head_count=None).head_count_by_layer()
    assert (caught.value.path, caught.value.key) == ("x.gguf", "x.attention.head_count")
    assert checked(attention__head_count=None).head_count_by_layer(0) == [0, 0, 0]
    with pytest.raises(FormatError, match="one number per layer") as caught:
        checked(attention__head_count=each(1, 2)).kv_head_count(0)
    assert (caught.value.found, caught.value.expected) == (2, 3)
    with pytest.raises(FormatError, match="out of range"):
        checked().number("context_length", most=4095)


def test_a_config_states_exact_sizes() -> None:
    assert checked().exact_key_size == 16
    assert checked(attention__head_count=5, attention__key_length=13).exact_key_size == 13
    for heads in (5, 0, None):
        with pytest.raises(FormatError, match="not a multiple of the heads") as caught:
            _ = checked(attention__head_count=heads).exact_key_size
        assert caught.value.key == "x.attention.head_count"
        assert lenient(attention__head_count=heads).exact_key_size is None
    with pytest.raises(FormatError, match="out of range"):
        _ = checked(attention__key_length=0).exact_key_size
    assert checked(a=each(1, 0, 2)).one_for_each("a") == [1, 0, 2]
    assert checked(a=7).one_for_each("a") == [7, 7, 7]
    for wrong in (None, "b", True, -1, each(1, 2), each(1, 2, 3, 4), each(1, -1, 2)):
        with pytest.raises(FormatError, match="not a number for every layer"):
            checked(a=wrong).one_for_each("a")
