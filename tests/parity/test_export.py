"""Exported directories load in transformers and compute what the original checkpoint computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gguf_tools
from gguf_tools.architectures.multimodal_prefix import unwrapped
from tests import tiny
from tests.parity.reference import hidden_states, load_model, load_state, load_tokenizer, logits
from tests.references import oracles

pytestmark = pytest.mark.parity

TEXTS = (
    "Once upon a time there was a little owl called Mia.",
    "One, two, three: 4567 été\n\n  two spaces,\ttab",
    "I've said it's what they'd expect!",
)

ROUNDED_DIFFERENCE = 1e-5
"""Norms of Gemma and Qwen3-Next are stored plus one: the smallest lose bits in float32. A_log of Mamba and
Qwen3-Next is stored as -exp of it. GLM 4.5V comes back as GLM 4.5, which rotates by one multiplication less.
Falcon H1's multipliers are part of the
weights. Regrouped experts are multiplied in another order. All others come back exactly."""


@pytest.mark.parametrize("name", tiny.KNOWN)
def test_an_export_computes_what_the_original_does(
    name: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    path, directory = tmp_path / "f32.gguf", tmp_path / f"tiny-{name}"
    gguf_tools.convert(tiny_checkpoints[name], path, type="F32")
    gguf_tools.export(path, directory, dtype="f32")
    encoder = tiny.MODELS[name].encoder
    compute = hidden_states if encoder else logits
    tokens = load_tokenizer(tiny_checkpoints[name])(TEXTS[0])["input_ids"]
    original = compute(load_model(tiny_checkpoints[name], encoder=encoder), tokens)
    exported = compute(load_model(directory, encoder=encoder), tokens)
    model = tiny.MODELS[name]
    rounded = name.startswith(("gemma", "mamba", "qwen3-next", "glm4-moe-vision"))
    tolerance = ROUNDED_DIFFERENCE if rounded or model.folded or model.regrouped else 0.0
    np.testing.assert_allclose(exported, original, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", tiny.KNOWN)
def test_an_exported_tokenizer_gives_the_same_tokens(
    name: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    path, directory = tmp_path / "f32.gguf", tmp_path / f"tiny-{name}"
    gguf_tools.convert(tiny_checkpoints[name], path, type="F32")
    gguf_tools.export(path, directory, dtype="f32")
    original, exported = load_tokenizer(tiny_checkpoints[name]), load_tokenizer(directory)
    for text in TEXTS:
        assert exported(text)["input_ids"] == original(text)["input_ids"]
    assert exported.bos_token_id == original.bos_token_id or original.bos_token_id is None
    assert exported.eos_token_id == original.eos_token_id or original.eos_token_id is None
    if original.chat_template is not None:
        chat = [{"role": "user", "content": "Hello"}]
        theirs = original.apply_chat_template(chat, tokenize=False)
        assert exported.apply_chat_template(chat, tokenize=False) == theirs


@pytest.mark.parametrize(
    "name",
    [name for name in tiny.NAMES if not tiny.MODELS[name].folded and not tiny.MODELS[name].regrouped],
)
def test_an_export_in_the_original_type_has_the_original_tensors(
    name: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """Through a BF16, F16 or F32 file, whichever the checkpoint was in, nothing is lost."""
    stored = tiny.MODELS[name].dtype
    path, directory = tmp_path / "model.gguf", tmp_path / f"tiny-{name}"
    plan = gguf_tools.convert(tiny_checkpoints[name], path, type=stored)
    gguf_tools.export(path, directory, dtype=stored.lower())
    original = load_state(tiny_checkpoints[name])
    if "text_config" in tiny.MODELS[name].config:  # comes back as the text model alone
        original = {unwrapped(tensor, "model."): values for tensor, values in original.items()}
    exported = load_state(directory)
    dropped = {tensor for tensor, _ in plan.dropped}
    unused = tiny.MODELS[name].config["pad_token_id"] + 1 if "roberta" in name else 0
    if tiny.MODELS[name].config.get("tie_word_embeddings"):
        dropped.add("lm_head.weight")  # may come back or not: it is the embedding
    assert set(exported) - dropped == set(original) - dropped
    for tensor, values in original.items():
        if tensor.endswith("A_log"):
            np.testing.assert_allclose(exported[tensor], values, rtol=0, atol=1e-7)
        elif tensor.endswith("position_embeddings.weight"):
            np.testing.assert_array_equal(exported[tensor][unused:], values[unused:])
            assert unused == 0 or not exported[tensor][:unused].any()  # rows GGUF does not have
        elif tensor not in dropped:
            np.testing.assert_array_equal(exported[tensor], values, err_msg=tensor)


def test_smollm2_exported_in_bf16_speaks_in_transformers(tmp_path: Path) -> None:
    directory = tmp_path / "SmolLM2-135M-Instruct"
    gguf_tools.export(oracles.smollm2(), directory, dtype="bf16")
    tokenizer, model = load_tokenizer(directory), load_model(directory)
    import torch

    ids = tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        made = model.generate(ids, max_new_tokens=3, do_sample=False)
    assert "Paris" in tokenizer.decode(made[0])
