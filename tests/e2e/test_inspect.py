"""``inspect`` on real files: a vocabulary of 262,144 tokens, a Llama, and a BERT checkpoint."""

from __future__ import annotations

import gguf_tools
from gguf_tools.inspection.type_map import grouped, layer_ranges, type_maps
from tests.cli.invoking import said
from tests.references.oracles import gemma3, minilm, smollm2


def rows(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_gemma() -> None:
    found = rows(said("inspect", gemma3()))
    for line in (
        "name Gemma 3 270m",
        "attention heads 4 × 256, kv heads 1 (GQA 4:1), sliding window 512",
        "tokenizer llama, pre default, 262,144 tokens",
        "tokens bos 2 '<bos>', eos 1 '<eos>', unknown 3 '<unk>', padding 0 '<pad>'",
        "layer q k v output gate up down norms",
        "0-1,4,7,10,13,15-17 Q5_0 Q5_0 Q8_0 Q4_K Q5_0 Q5_0 Q6_K F32",
        "2-3,5-6,8-9,11-12,14 Q5_0 Q5_0 Q5_0 Q4_K Q5_0 Q5_0 Q4_K F32",
        "output_norm F32 token_embd Q8_0",
    ):
        assert line in found
    assert said("inspect", gemma3(), "--key", "tokenizer.ggml.tokens").count("\n") >= 262_144


def test_gemma_would_have_the_size_it_has() -> None:
    """The file was made by llama.cpp with this recipe: quantizing it again would make one as large."""
    (found,) = [one for one in gguf_tools.predict_sizes(gemma3()) if one.recipe == "Q4_K_M"]
    assert found.size == gemma3().stat().st_size
    assert found.bits_per_weight == gguf_tools.inspect(gemma3()).summary.bits_per_weight


def test_smollm2() -> None:
    found = gguf_tools.inspect(smollm2())
    (stack,) = type_maps(found.tensors)
    (row,) = grouped(stack.rows)
    assert layer_ranges(row.layers) == ["0-29"]
    assert found.summary.model.query_groups == 3
    template = found.metadata["tokenizer.chat_template"]
    assert said("inspect", smollm2(), "--key", "tokenizer.chat_template") == template


def test_minilm() -> None:
    found = rows(said("inspect", minilm()))
    assert "format safetensors, BertModel" in found
    assert "pooling MEAN, not causal" in found
    assert "0-5 F32 F32 F32 F32 F32 F32 F32" in found
