"""transformers in float32 on one thread: what the models are supposed to compute."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TEXT = (
    "Once upon a time there was a little owl called Mia. The capital of France is Paris; "
    "one, two, three, 4567."
)
"""Longer than the sliding window of the tiny Gemma."""


MEDIAN_DIVERGENCE = 1e-5
"""Nats. Measured: about 1e-12, for Gemma 6e-8."""


LARGEST_DIFFERENCE = 1e-4
"""Of a logit; measured 1e-5 or less."""


def load_state(directory: Path) -> dict[str, np.ndarray]:
    """All tensors of a checkpoint as float32."""
    from safetensors.torch import load_file

    made = {}
    for path in sorted(directory.glob("*.safetensors")):
        made.update({name: tensor.float().numpy() for name, tensor in load_file(path).items()})
    return made


def load_model(directory: Path, *, encoder: bool = False) -> Any:
    """The checkpoint as a float32 model, ready for inference; without its head if it is an ``encoder``."""
    import torch
    from transformers import (
        AutoConfig,
        AutoModel,
        AutoModelForCausalLM,
        AutoModelForImageTextToText,
        AutoModelForSeq2SeqLM,
        T5EncoderModel,
    )

    torch.set_num_threads(1)
    config = AutoConfig.from_pretrained(directory)
    kind = AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM
    if "text_config" in json.loads((directory / "config.json").read_text(encoding="utf-8")):
        kind = AutoModelForImageTextToText
    if encoder:
        kind = T5EncoderModel if config.model_type == "t5" else AutoModel
    model = kind.from_pretrained(directory, dtype=torch.float32, attn_implementation="eager")
    return model.float().eval()  # xIELU keeps its parameters in bfloat16 whatever it is asked for


def load_tokenizer(directory: Path) -> Any:
    """The checkpoint's tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(directory)


def logits(model: Any, tokens: Sequence[int]) -> NDArray[np.float32]:
    """Logits after each token: (tokens, vocabulary).

    A model with encoder and decoder gets the tokens twice, see `references.llama`. That of T5 is without
    the factor width^-0.5 before a tied head, which llama.cpp does not know of.
    """
    import torch

    inputs = torch.tensor([list(tokens)])
    factor, more = 1.0, {}
    if model.config.is_encoder_decoder:
        more["decoder_input_ids"] = torch.tensor([[model.config.decoder_start_token_id, *tokens[:-1]]])
        factor = model.config.d_model**0.5 if model.config.tie_word_embeddings else 1.0
    with torch.inference_mode():
        made: NDArray[np.float32] = (model(inputs, **more).logits[0] * factor).numpy()
    return made


def hidden_states(model: Any, tokens: Sequence[int]) -> NDArray[np.float32]:
    """Last hidden states: (tokens, width)."""
    import torch

    with torch.inference_mode():
        made: NDArray[np.float32] = model(torch.tensor([list(tokens)])).last_hidden_state[0].numpy()
    return made


def log_softmax(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-probabilities of each row of logits."""
    wide = values.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))


def divergence(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Kullback–Leibler divergence of our next-token distribution from theirs, per position, in nats."""
    ours_log, theirs_log = log_softmax(ours), log_softmax(theirs)
    return (np.exp(theirs_log) * (theirs_log - ours_log)).sum(axis=1)


def load_sentencepiece(path: Path) -> Any:
    """A tokenizer.model in the sentencepiece package."""
    from sentencepiece import SentencePieceProcessor

    return SentencePieceProcessor(model_file=str(path))
