"""Recipes against llama.cpp's own quantizer, and the rules it is too old or too strict to show."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gguf_tools.errors import QuantizationError
from gguf_tools.recipes import (
    RECIPES,
    Choice,
    Overrides,
    TensorFacts,
    choose,
    combine,
    find_recipe,
    needs_weights,
    parse_tensor_type,
    read_overrides_file,
    visiting_order,
)
from gguf_tools.recipes.select import fallback
from gguf_tools.spec import BLOCK_SIZES, FileType, GGMLType
from tests.goldens.record_recipes import GOLDEN, OPTIONS, REFUSED, WHOLE, summary
from tests.recipes.models import IN_PROCESS, MODELS, asked, model_of
from tests.references.quantizer import model_keys, oracle_quantize, random_weights, write_model


@cache
def source_file(directory: Path, model: str) -> Path:
    facts, shapes = MODELS[model]
    path = directory / f"{model}.gguf"
    write_model(path, facts.architecture, model_keys(facts), random_weights(shapes))
    return path


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recipes")


def types_of(path: Path) -> dict[str, GGMLType]:
    """Tensor types in file order, read by the ``gguf`` package."""
    import gguf

    return {t.name: GGMLType(t.tensor_type) for t in gguf.GGUFReader(path).tensors}


@pytest.mark.parametrize("recipe", IN_PROCESS)
@pytest.mark.parametrize("model", MODELS)
def test_types_and_order_are_llama_cpp_s(model: str, recipe: str, directory: Path, tmp_path: Path) -> None:
    facts, shapes = MODELS[model]
    target = tmp_path / "quantized.gguf"
    oracle_quantize(source_file(directory, model), target, recipe)
    theirs = types_of(target)
    tensors = [TensorFacts(name, shape, GGMLType.F32) for name, shape in shapes.items()]
    ours = dict(zip(shapes, choose(recipe, tensors, facts), strict=True))
    assert {name: choice.type.name for name, choice in ours.items()} == {n: t.name for n, t in theirs.items()}
    assert visiting_order(shapes) == list(theirs)
    assert all(choice.rule for choice in ours.values())
    for name, choice in ours.items():
        fits = shapes[name][-1] % BLOCK_SIZES[choice.wanted].elements == 0
        assert choice.fell_back == (not fits)


@cache
def recorded() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(GOLDEN.read_text())["types"]
    return found


def chosen(model: str, recipe: str, *, weighted: bool) -> list[tuple[str, Choice]]:
    """Choices in the order of the file llama.cpp writes."""
    facts, shapes = MODELS[model]
    tensors = [TensorFacts(name, shape, GGMLType.F32) for name, shape in shapes.items()]
    ours = dict(zip(shapes, choose(recipe, tensors, facts, weighted=weighted), strict=True))
    return [(name, ours[name]) for name in visiting_order(shapes)]


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("model", MODELS)
def test_types_are_those_recorded_of_llama_quantize(model: str, weighted: bool) -> None:
    """Every recipe, with and without an importance matrix, by b11434's own program."""
    ours, theirs = {}, {}
    for name, recipe in RECIPES.items():
        found = chosen(model, name, weighted=weighted)
        words = f"{name} weighted" if weighted else name
        theirs[name] = recorded()[model][words]
        needed = not weighted and any(needs_weights(n, c.type, recipe) for n, c in found)
        ours[name] = REFUSED if needed else summary(choice.type.name for _, choice in found)
        if name == "Q1_0" and theirs[name] == REFUSED:
            # rows of other lengths than its blocks': llama.cpp has no fallback, and stops
            assert any(choice.fell_back for _, choice in found)
            theirs.pop(name), ours.pop(name)
    assert ours == theirs


@pytest.mark.parametrize("recipe", ["F32", "F16", "BF16", "Q4_K_M", "Q8_0"])
def test_a_source_of_many_types_becomes_what_llama_cpp_makes_of_it(recipe: str, tmp_path: Path) -> None:
    import gguf

    stored = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K"]
    facts = model_of("llama", len(stored), 8, 8)
    names = [
        f"blk.{i}.{part}" for i in range(len(stored)) for part in ("attn_q.weight", "attn_q_norm.weight")
    ]
    rng = np.random.default_rng(1)
    tensors: list[tuple[str, Any, Any]] = []
    for name in names:
        kind = GGMLType[stored[int(name.split(".")[1])]]
        if kind is GGMLType.F32:
            data: Any = rng.normal(size=(2, 256)).astype(np.float32)
        else:  # zero blocks are valid blocks of every type
            block = BLOCK_SIZES[kind]
            data = np.zeros((2, 256 // block.elements * block.bytes), np.uint8)
        tensors.append((name, data, gguf.GGMLQuantizationType(kind)))
    write_model(tmp_path / "a.gguf", "llama", model_keys(facts), tensors)
    oracle_quantize(tmp_path / "a.gguf", tmp_path / "b.gguf", recipe, requantize=True)
    given = [TensorFacts(name, (2, 256), GGMLType(raw)) for name, _, raw in tensors]
    ours = {t.name: c.type.name for t, c in zip(given, choose(recipe, given, facts), strict=True)}
    assert ours == {name: t.name for name, t in types_of(tmp_path / "b.gguf").items()}


@pytest.mark.parametrize("recipe", ["Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K"])
def test_rows_even_the_fallback_does_not_divide(recipe: str, tmp_path: Path) -> None:
    facts = model_of("llama", 2, 8, 8)
    names = ("attn_q", "attn_v", "ffn_down")
    shapes = {f"blk.{i}.{name}.weight": (4, row) for i, row in enumerate((40, 1)) for name in names}
    write_model(tmp_path / "a.gguf", "llama", model_keys(facts), random_weights(shapes))
    oracle_quantize(tmp_path / "a.gguf", tmp_path / "b.gguf", recipe)
    given = [TensorFacts(name, shape, GGMLType.F32) for name, shape in shapes.items()]
    ours = {t.name: c.type for t, c in zip(given, choose(recipe, given, facts), strict=True)}
    assert ours == types_of(tmp_path / "b.gguf") == dict.fromkeys(visiting_order(shapes), GGMLType.F16)


# What b11434's source says and the packaged quantizer (b9190) does not do yet.


@pytest.mark.parametrize("recipe", ["Q8_0", "Q4_0", "Q5_1", "Q4_K_M", "Q6_K"])
@pytest.mark.parametrize("name", ["blk.0.attn_q.weight", "output.weight", "blk.0.attn_v.weight"])
def test_rows_no_block_divides_become_f16(recipe: str, name: str) -> None:
    (choice,) = choose(recipe, [TensorFacts(name, (8, 40), GGMLType.F32)], model_of("llama", 1))
    assert choice.type is GGMLType.F16
    assert choice.fell_back
    assert "40" in choice.rule


@pytest.mark.parametrize(
    "name",
    [
        "blk.0.ffn_gate_tid2eid.weight",
        "blk.0.indexer.k_proj.weight",
        "blk.0.indexer.q_proj.weight",
        "v.position_embd.weight",
        "v.patch_embd.weight",
        "v.patch_merger.weight",
        "v.sam.pos_embd.weight",
        "v.sam.neck.0.weight",
        "v.sam.net_2.weight",
        "v.blk.0.attn.rel_pos_h.weight",
        "a.rvq.codebook.0.weight",
        "mm.a.code_embd.weight",
    ],
)
def test_newer_exceptions_stay_as_they_are(name: str) -> None:
    (choice,) = choose("Q4_K_M", [TensorFacts(name, (8, 256), GGMLType.F16)], model_of("llama", 1))
    assert choice.type is choice.wanted is GGMLType.F16
    assert choice.rule.startswith("kept as it is")


def test_glm5_next_has_its_own_exceptions() -> None:
    names = [
        "blk.0.attn_q_a.weight",
        "blk.0.nextn.eh_proj.weight",
        "blk.0.attn_k_b.weight",
        "blk.0.ffn_up.weight",
    ]
    tensors = [TensorFacts(name, (8, 256), GGMLType.BF16) for name in names]
    found = [c.type.name for c in choose("Q4_K_M", tensors, model_of("glm5-next", 1))]
    assert found == ["Q8_0", "Q8_0", "BF16", "Q4_K"]
    other = [c.type.name for c in choose("Q4_K_M", tensors, model_of("llama", 1))]
    assert other == ["Q4_K"] * 4


def test_integers_stay() -> None:
    (choice,) = choose("Q4_K_M", [TensorFacts("ids.weight", (8, 256), GGMLType.I32)], model_of("llama", 1))
    assert choice == Choice(GGMLType.I32, GGMLType.I32, "kept as it is: holds integers")


def test_a_feed_forward_tensor_outside_the_layers_of_an_expert_model_is_refused() -> None:
    facts = model_of("llama", 4, 8, 8, experts=8)
    for name, found in (("ffn_down.weight", "no layer"), ("blk.4.ffn_down.weight", 4)):
        with pytest.raises(QuantizationError, match="in one of its layers") as caught:
            choose("Q4_K_M", [TensorFacts(name, (8, 256), GGMLType.F32)], facts)
        assert caught.value.tensor == name
        assert caught.value.found == found


# A checkpoint's tensors: as llama.cpp's converter writes them, then quantized.

CONVERTED = {
    "token_embd.weight": ((8, 256), None),
    "blk.0.attn_q.weight": ((8, 256), None),
    "blk.0.attn_q.bias": ((8,), "F32"),
    "blk.0.attn_norm.weight": ((256,), "F32"),
    "blk.0.odd_norm.weight": ((8, 256), "F32"),
    "blk.0.attn_q.scale": ((8, 256), "F32"),
    "blk.0.ffn_gate_inp.weight": ((8, 256), "F32"),
    "blk.0.ffn_gate_inp_shexp.weight": ((8, 256), "F32"),
    "blk.0.ssm_conv1d.weight": ((8, 256), "F32"),
    "position_embd.weight": ((8, 256), "F32"),
    "token_types.weight": ((2, 256), "F32"),
    "cls.output.weight": ((1, 256), None),
    "blk.0.laurel_l.weight": ((8, 256), None),
}


@pytest.mark.parametrize("recipe", ["F32", "F16", "BF16"])
def test_float_recipes_follow_the_converter(recipe: str) -> None:
    tensors = [TensorFacts(name, shape) for name, (shape, _) in CONVERTED.items()]
    found = {t.name: c for t, c in zip(tensors, choose(recipe, tensors, model_of("llama", 1)), strict=True)}
    assert {n: c.type.name for n, c in found.items()} == {n: t or recipe for n, (_, t) in CONVERTED.items()}
    assert not any(choice.fell_back for choice in found.values())


def test_a_quantizing_recipe_starts_from_what_the_converter_would_write() -> None:
    tensors = [TensorFacts(name, shape) for name, (shape, _) in CONVERTED.items()]
    chosen = choose("Q4_K_M", tensors, model_of("llama", 1), intermediate=GGMLType.F16)
    found = {t.name: c.type.name for t, c in zip(tensors, chosen, strict=True)}
    assert found == {
        **{name: "F32" for name, (_, kind) in CONVERTED.items() if kind},
        "token_embd.weight": "Q6_K",
        "blk.0.attn_q.weight": "Q4_K",
        "blk.0.ffn_gate_inp_shexp.weight": "Q4_K",  # F32 to the converter, a weight to the quantizer
        "cls.output.weight": "F16",  # one row: a matrix to the converter, a vector to the quantizer
        "blk.0.laurel_l.weight": "F16",
    }


def test_choices_come_in_the_order_given_and_do_not_depend_on_it() -> None:
    facts, shapes = MODELS["llama of 22"]
    tensors = [TensorFacts(name, shape, GGMLType.F32) for name, shape in shapes.items()]
    forwards = choose("Q4_K_M", tensors, facts)
    assert choose("Q4_K_M", tensors[::-1], facts) == forwards[::-1]


def test_rules_are_told_in_words() -> None:
    facts, shapes = MODELS["llama of 16"]
    tensors = [TensorFacts(name, shape, GGMLType.F32) for name, shape in shapes.items()]
    rules = {t.name: c.rule for t, c in zip(tensors, choose("Q4_K_M", tensors, facts), strict=True)}
    assert (
        rules["blk.0.attn_v.weight"]
        == "attn_v: more bits in the first and last eighth and every third between"
    )
    assert rules["blk.2.attn_v.weight"] == "everything else: Q4_K"
    assert rules["output.weight"] == "output: Q6_K"
    assert rules["output_norm.weight"] == "kept as it is: has one dimension"
    assert rules["blk.0.attn_q.bias"] == "kept as it is: has one dimension"


@pytest.mark.parametrize(
    ("wanted", "row", "found"),
    [
        ("Q4_K", 512, "Q4_K"),
        ("Q4_K", 288, "Q5_0"),
        ("Q5_K", 288, "Q5_1"),
        ("Q6_K", 288, "Q8_0"),
        ("Q2_K", 288, "Q4_0"),
        ("Q3_K", 288, "Q4_0"),
        ("IQ4_XS", 288, "IQ4_NL"),
        ("TQ1_0", 288, "Q4_0"),
        ("Q4_K", 257, "F16"),
        ("Q4_0", 257, "F16"),
        ("F16", 257, "F16"),
    ],
)
def test_fallback(wanted: str, row: int, found: str) -> None:
    kind, why = fallback(GGMLType[wanted], row)
    assert kind is GGMLType[found]
    assert (why is None) == (kind is GGMLType[wanted])


# Looking recipes up.


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("q4_k_m", "Q4_K_M"), ("Q4_K", "Q4_K_M"), ("q5_k", "Q5_K_M"), ("bf16", "BF16"), (" F16 ", "F16")],
)
def test_names_in_any_case_and_aliases(typed: str, meant: str) -> None:
    assert find_recipe(typed).name == meant


def test_every_recipe_has_llama_cpp_s_file_type() -> None:
    assert {name: recipe.file_type for name, recipe in RECIPES.items()} == {n: FileType[n] for n in RECIPES}


@pytest.mark.parametrize(
    ("typed", "near"),
    [("Q4_KM", "Q4_K_M"), ("q4-k-m", "Q4_K_M"), ("fp16", "F16"), ("Q8", "Q8_0"), ("Q6K", "Q6_K")],
)
def test_an_unknown_name_lists_all_and_suggests_the_nearest(typed: str, near: str) -> None:
    with pytest.raises(QuantizationError) as caught:
        find_recipe(typed)
    assert f"did you mean {near}?" in str(caught.value)
    assert typed in str(caught.value)
    assert all(name in str(caught.value) for name in RECIPES)


def test_an_unknown_name_far_from_all_has_no_suggestion() -> None:
    with pytest.raises(QuantizationError) as caught:
        find_recipe("gibberish")
    assert "mean" not in str(caught.value)


# What users want otherwise.


@pytest.mark.parametrize("words", OPTIONS)
@pytest.mark.parametrize("model", WHOLE)
def test_options_lead_to_the_types_recorded_of_llama_quantize(model: str, words: str) -> None:
    theirs = json.loads(GOLDEN.read_text())["options"][model][words]
    facts, shapes = MODELS[model]
    tensors = [TensorFacts(name, shape, GGMLType.F32) for name, shape in shapes.items()]
    ours = dict(zip(shapes, choose("Q4_K_M", tensors, facts, overrides=asked(words)), strict=True))
    if theirs == REFUSED:  # a type that was asked for by name has no fallback in llama.cpp
        assert any(choice.fell_back and choice.rule.startswith("asked for: ") for choice in ours.values())
        return
    assert summary(ours[name].type.name for name in visiting_order(shapes)) == theirs
    assert any(choice.rule.startswith("asked for: ") for choice in ours.values()) or "norm" in words


def test_without_fallback_a_row_that_does_not_divide_is_refused() -> None:
    tensors = [TensorFacts("blk.0.attn_q.weight", (8, 288), GGMLType.F32)]
    facts = model_of("llama", 1)
    with pytest.raises(QuantizationError, match="no other is allowed") as caught:
        choose("Q4_K_M", tensors, facts, overrides=Overrides(fallback=False))
    assert caught.value.tensor == "blk.0.attn_q.weight"
    assert "rows of 288" in str(caught.value)
    assert "a multiple of 256 for Q4_K" in str(caught.value)
    (choice,) = choose("Q8_0", tensors, facts, overrides=Overrides(fallback=False))
    assert choice.type is GGMLType.Q8_0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("attn_v", "not of the form REGEX=TYPE"),
        ("=Q8_0", "not of the form REGEX=TYPE"),
        ("attn_v=Q8", "did you mean Q8_0"),
        ("attn_(v=Q8_0", "not a regular expression"),
    ],
)
def test_overrides_that_are_not_valid(text: str, message: str) -> None:
    with pytest.raises(QuantizationError, match=message):
        parse_tensor_type(text)


def test_an_expression_may_hold_an_equals_sign() -> None:
    expression, kind = parse_tensor_type("(?=blk)blk.0=q6_k")
    assert (expression.pattern, kind) == ("(?=blk)blk.0", GGMLType.Q6_K)


RECIPE = r"""
type = "Q4_K_M"
output = "q8_0"
token-embedding = "Q6_K"
fallback = false

[tensors]
'blk\.[01]\.' = "Q8_0"
attn_v = "Q6_K"
"""


def test_a_file_of_overrides(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(RECIPE)
    name, overrides = read_overrides_file(tmp_path / "mine.toml")
    assert name == "Q4_K_M"
    types = tuple((expression.pattern, kind) for expression, kind in overrides.tensor_types)
    assert types == ((r"blk\.[01]\.", GGMLType.Q8_0), ("attn_v", GGMLType.Q6_K))
    assert overrides.output is GGMLType.Q8_0
    assert overrides.embedding is GGMLType.Q6_K
    assert not overrides.pure
    assert not overrides.fallback
    (tmp_path / "empty.toml").write_text("")
    assert read_overrides_file(tmp_path / "empty.toml") == (None, Overrides())


def test_the_command_line_comes_before_a_file_of_overrides(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(RECIPE)
    _, file = read_overrides_file(tmp_path / "mine.toml")
    both = combine(file, tensor_types=["attn_v=F16"], output="F32", pure=True)
    assert [expression.pattern for expression, _ in both.tensor_types] == ["attn_v", r"blk\.[01]\.", "attn_v"]
    assert (both.output, both.embedding, both.pure, both.fallback) == (
        GGMLType.F32, GGMLType.Q6_K, True, False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type = ", "is not TOML"),
        ("typ = 'Q4_K_M'", "unknown key"),
        ("type = 4", "of the wrong kind"),
        ("pure = 'yes'", "of the wrong kind"),
        ("output = 'Q8'", "did you mean Q8_0"),
        ("tensors = ['a']", "of the wrong kind"),
        ("[tensors]\na = 1", "a type must be a text"),
        ("[tensors]\n'(' = 'Q8_0'", "not a regular expression"),
        ("x = '\udcff'", "is not TOML"),
    ],
)
def test_files_of_overrides_that_are_not_valid(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(text, "utf-8", "surrogateescape")
    with pytest.raises(QuantizationError, match=message) as caught:
        read_overrides_file(tmp_path / "mine.toml")
    assert caught.value.path == str(tmp_path / "mine.toml")


def test_a_file_of_overrides_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(QuantizationError, match="cannot open the file"):
        read_overrides_file(tmp_path / "none.toml")
