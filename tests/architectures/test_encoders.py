"""Encoders and T5 in the other layouts they are published in, and what tells tables of one name apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gguf_tools import architectures
from gguf_tools.architectures.table import GGUFParts
from gguf_tools.container.metadata import Metadata
from gguf_tools.errors import ArchitectureError, FormatError
from gguf_tools.source import ArraySource, Source
from gguf_tools.spec import ValueType
from tests import tiny
from tests.architectures.sources import checkpoint, values

WIDTH = 256


def made(**shapes: tuple[int, ...]) -> dict[str, Source]:
    """Tensors by name, with ``__`` for a dot."""
    return {
        name.replace("__", "."): ArraySource(tiny.normal(name, shape, 1)) for name, shape in shapes.items()
    }


def prefixed(prefix: str, tensors: dict[str, Source]) -> dict[str, Source]:
    return {prefix + name: source for name, source in tensors.items()}


def contents(side: GGUFParts) -> dict[str, bytes]:
    return {name: values(source).tobytes() for name, source in side.tensors}


def metadata(name: str, side: GGUFParts, **extra: Any) -> Metadata:
    entries = Metadata([("general.architecture", ValueType.STRING, name), *side.metadata])
    for key, value in extra.items():
        kind = ValueType.STRING if isinstance(value, str) else ValueType.UINT32
        entries.set(f"tokenizer.ggml.{key}", value, kind)
    return entries


@pytest.mark.parametrize(
    ("name", "hf_class", "prefix", "head"),
    [
        (
            "roberta",
            "RobertaForMaskedLM",
            "roberta.",
            made(lm_head__dense__weight=(2, 2), lm_head__bias=(2,)),
        ),
        ("xlm-roberta", "XLMRobertaForMaskedLM", "roberta.", made(lm_head__layer_norm__weight=(2,))),
        ("distilbert", "DistilBertForMaskedLM", "distilbert.", made(vocab_projector__weight=(2, 2))),
        ("jina-bert-v2", "JinaBertForMaskedLM", "bert.", made(cls__predictions__bias=(2,))),
    ],
)
def test_a_head_for_masked_words_is_left_out(
    name: str, hf_class: str, prefix: str, head: dict[str, Source]
) -> None:
    config, tensors = checkpoint(name)
    expected = architectures.find(config).to_gguf(config, tensors)
    config["architectures"] = [hf_class]
    side = architectures.find(config).to_gguf(config, prefixed(prefix, tensors) | head)
    assert contents(side) == contents(expected)
    assert side.metadata == expected.metadata
    assert set(head) <= {left_out for left_out, _ in side.dropped}


def test_modern_bert_keeps_the_dense_part_of_its_head_for_masked_words() -> None:
    config, tensors = checkpoint("modern-bert", architectures=["ModernBertForMaskedLM"])
    head = made(head__dense__weight=(WIDTH, WIDTH), head__norm__weight=(WIDTH,), decoder__bias=(480,))
    family = architectures.find(config)
    side = family.to_gguf(config, prefixed("model.", tensors) | head)
    assert {"cls.weight", "cls.norm.weight"} <= set(contents(side))
    assert [name for name, _ in side.dropped] == ["decoder.bias"]
    back = family.to_hf(metadata("modern-bert", side), dict(side.tensors))
    assert back.config["architectures"] == ["ModernBertForMaskedLM"]
    assert {name for name, _ in back.tensors} == set(prefixed("model.", tensors)) | set(head) - {
        "decoder.bias"
    }


def test_distilbert_classifies_with_two_projections() -> None:
    config, tensors = checkpoint(
        "distilbert",
        architectures=["DistilBertForSequenceClassification"],
        id2label={"0": "bad", "1": "good"},
    )
    head = made(
        pre_classifier__weight=(WIDTH, WIDTH),
        pre_classifier__bias=(WIDTH,),
        classifier__weight=(2, WIDTH),
        classifier__bias=(2,),
    )
    family = architectures.find(config)
    side = family.to_gguf(config, prefixed("distilbert.", tensors) | head)
    found = contents(side)
    assert found["cls.weight"] == values(head["pre_classifier.weight"]).tobytes()
    assert found["cls.output.weight"] == values(head["classifier.weight"]).tobytes()
    back = family.to_hf(metadata("bert", side), dict(side.tensors))
    assert back.config["architectures"] == ["DistilBertForSequenceClassification"]
    assert {name for name, _ in back.tensors} == set(prefixed("distilbert.", tensors)) | set(head)


@pytest.mark.parametrize(
    "name", ["bert", "roberta", "xlm-roberta", "distilbert", "nomic-bert-moe", "t5-encoder"]
)
def test_a_file_goes_back_by_the_table_it_came_from(name: str) -> None:
    config, tensors = checkpoint(name)
    family = architectures.find(config)
    side = family.to_gguf(config, tensors)
    tokenizer = {"bpe": "gpt2", "unigram": "t5"}.get(family.tokenizer_kinds[0], "bert")
    entries = metadata(family.name, side, model=tokenizer)
    assert architectures.of_file(entries, dict(side.tensors)) is family


def test_a_classifier_must_have_its_head() -> None:
    config, tensors = checkpoint("roberta", architectures=["RobertaForSequenceClassification"])
    with pytest.raises(ArchitectureError, match=r"4 tensors missing: classifier\.dense\.weight"):
        architectures.find(config).to_gguf(config, prefixed("roberta.", tensors))


@pytest.mark.parametrize(("padding", "rows"), [(0, 65), (1, 64), (3, 62)])
def test_positions_of_roberta_start_after_the_padding(padding: int, rows: int) -> None:
    config, tensors = checkpoint("roberta", pad_token_id=padding)
    family = architectures.find(config)
    side = family.to_gguf(config, tensors)
    assert dict(side.tensors)["position_embd.weight"].shape == (rows, WIDTH)
    assert ("bert.context_length", ValueType.UINT32, rows) in side.metadata
    back = family.to_hf(metadata("bert", side, padding_token_id=padding), dict(side.tensors))
    assert (back.config["pad_token_id"], back.config["max_position_embeddings"]) == (padding, 66)


def test_a_roberta_without_positions_of_use_is_an_error() -> None:
    config, tensors = checkpoint("roberta", max_position_embeddings=2)
    with pytest.raises(ArchitectureError, match="max_position_embeddings"):
        architectures.find(config).to_gguf(config, tensors)


@pytest.mark.parametrize("stored", ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight"])
def test_the_embedding_of_t5_goes_by_any_of_its_names(stored: str) -> None:
    config, tensors = checkpoint("t5-tied")
    family = architectures.find(config)
    expected = contents(family.to_gguf(config, tensors))
    tensors[stored] = tensors.pop("shared.weight")
    assert contents(family.to_gguf(config, tensors)) == expected


@pytest.mark.parametrize(
    ("name", "hf_class", "without"),
    [
        ("t5", "MT5ForConditionalGeneration", ()),
        ("t5-tied", "T5WithLMHeadModel", ()),
        ("umt5", "UMT5Model", ("lm_head.weight",)),
    ],
)
def test_other_classes_of_t5_give_the_same_tensors(
    name: str, hf_class: str, without: tuple[str, ...]
) -> None:
    config, tensors = checkpoint(name)
    expected = contents(architectures.find(config).to_gguf(config, tensors))
    for tensor in without:
        del tensors[tensor]
        del expected["output.weight"]
    config["architectures"] = [hf_class]
    assert contents(architectures.find(config).to_gguf(config, tensors)) == expected


def test_t5_needs_a_bias_in_the_first_layer_and_umt5_in_all() -> None:
    for name, layer, count in (("t5", 0, 1), ("umt5", 2, 1)):
        config, tensors = checkpoint(name)
        del tensors[f"encoder.block.{layer}.layer.0.SelfAttention.relative_attention_bias.weight"]
        with pytest.raises(ArchitectureError, match=f"{count} tensor missing"):
            architectures.find(config).to_gguf(config, tensors)


def test_the_decoder_has_layers_of_its_own_number() -> None:
    config, tensors = checkpoint("t5", num_decoder_layers=None)
    with pytest.raises(ArchitectureError, match=r"missing: decoder\.block\.2"):  # as many as the encoder
        architectures.find(config).to_gguf(config, tensors)


def test_what_llama_cpp_does_otherwise_in_t5_is_noted() -> None:
    config, tensors = checkpoint("t5-tied")
    (note,) = architectures.find(config).to_gguf(config, tensors).notes
    assert "temperature" in note
    config, tensors = checkpoint("t5", feed_forward_proj="gated-silu")
    (note,) = architectures.find(config).to_gguf(config, tensors).notes
    assert "feed_forward_proj" in note


@pytest.mark.parametrize(
    ("name", "changes", "word"),
    [
        ("nomic-bert", {"n_positions": 4096}, "published"),
        ("nomic-bert", {"prenorm": True}, "prenorm"),
        ("nomic-bert", {"activation_function": "gelu"}, "activation_function"),
        ("nomic-bert-moe", {"qkv_proj_bias": False}, "qkv_proj_bias"),
        ("nomic-bert-moe", {"moe_every_n_layers": 1}, "moe_every_n_layers"),
        ("nomic-bert-moe", {"num_experts": 5}, "num_experts"),
        ("modern-bert", {"classifier_pooling": "max"}, "classifier_pooling"),
        ("modern-bert", {"hidden_activation": 3}, "hidden_activation"),
    ],
)
def test_variants_llama_cpp_does_not_have(name: str, changes: dict[str, Any], word: str) -> None:
    config, tensors = checkpoint(name, **changes)
    with pytest.raises(ArchitectureError, match=word):
        architectures.find(config).to_gguf(config, tensors)


def test_an_unknown_context_of_nomics_cannot_be_exported() -> None:
    config, tensors = checkpoint("nomic-bert")
    family = architectures.find(config)
    side = family.to_gguf(config, tensors)
    entries = metadata("nomic-bert", side)
    entries.set("nomic-bert.context_length", 4096, ValueType.UINT32)
    with pytest.raises(FormatError, match="no published model"):
        family.to_hf(entries, dict(side.tensors))


def test_experts_of_nomic_are_stacked_and_transposed() -> None:
    config, tensors = checkpoint("nomic-bert-moe")
    side = architectures.find(config).to_gguf(config, tensors)
    sources = dict(side.tensors)
    for part, hf in (("up", "w1"), ("down", "w2")):
        stacked = values(tensors[f"encoder.layers.1.mlp.experts.mlp.{hf}"]).reshape(4, 96, WIDTH)
        expected = stacked if part == "up" else stacked.transpose(0, 2, 1)
        source = sources[f"blk.1.ffn_{part}_exps.weight"]
        np.testing.assert_array_equal(values(source).reshape(source.shape), expected)


def test_the_code_model_of_jina_is_known_by_its_tensors_too() -> None:
    """A copy of the checkpoint may name other code."""
    config, tensors = checkpoint("jina-bert-v2-code")
    expected = contents(architectures.find(config).to_gguf(config, tensors))
    del config["auto_map"]
    assert contents(architectures.find(config).to_gguf(config, tensors)) == expected
