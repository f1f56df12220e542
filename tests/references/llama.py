"""llama.cpp in this process, through the ``cyllama`` package: the judge of what our files are worth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cyllama.llama.llama_cpp as llama_cpp
import numpy as np
from numpy.typing import NDArray

from gguf_tools.io.closing import Closing
from gguf_tools.spec import FileType

THREADS = 2
CONTEXT_TOKENS = 512
POOLING_NONE = 0
"""``LLAMA_POOLING_TYPE_NONE``: one embedding per token; we pool them ourselves."""
FLASH_ATTENTION_OFF = 0
F32_CACHE = 0
"""Keys and values in float32 (``GGML_TYPE_F32``), so that comparisons measure the weights only."""

ENCODERS = frozenset(
    {"bert", "gemma-embedding", "jina-bert-v2", "modern-bert", "nomic-bert", "nomic-bert-moe", "t5encoder"}
)

llama_cpp.disable_logging()
llama_cpp.llama_backend_init()


class LlamaError(RuntimeError):
    """llama.cpp refused a file or a batch."""


class _Model(llama_cpp.LlamaModel):
    """cyllama 0.2.18 asks the model for a property only its vocabulary has."""

    n_vocab = property(lambda self: self.get_vocab().n_vocab)


class Llama(Closing):
    """One loaded GGUF file. Deterministic: two threads, no GPU, greedy generation.

    ``Llama(path, vocab_only=True)`` loads no weights and can only ``tokenize`` and ``detokenize``.
    """

    def __init__(self, path: Path, *, vocab_only: bool = False) -> None:
        params = llama_cpp.LlamaModelParams()
        params.vocab_only = vocab_only
        params.n_gpu_layers = 0
        # cyllama answers a file it cannot load with an exception of its own, without llama.cpp's reason
        try:
            self._model = _Model(str(path), params)
        except Exception as error:
            raise LlamaError(f"llama.cpp does not load {path}: {error}") from error
        self._vocabulary = self._model.get_vocab()
        self._context: llama_cpp.LlamaContext | None = None

    def close(self) -> None:
        """Free the model now rather than some time later."""
        if self._context is not None:
            self._context.close()
            self._context = None
        self._model.close()

    @property
    def metadata(self) -> dict[str, str]:
        """Keys as llama.cpp understands them, every value as text."""
        return dict(self._model.metadata())

    @property
    def is_encoder(self) -> bool:
        """Whether the model makes embeddings rather than text."""
        return self.metadata["general.architecture"] in ENCODERS

    @property
    def n_vocab(self) -> int:
        """Tokens in the vocabulary."""
        return int(self._vocabulary.n_vocab)

    def tokenize(self, text: str, *, special: bool = True, parse_special: bool = False) -> list[int]:
        """Token ids of ``text``; ``special`` adds BOS and EOS where the model wants them."""
        return list(self._vocabulary.tokenize(text, special, parse_special))

    def detokenize(self, tokens: Sequence[int]) -> str:
        """Text of ``tokens``, special ones left out."""
        return str(self._vocabulary.detokenize(list(tokens), len(tokens) * 64 + 64, False, False))

    def logits(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Logits after each of ``tokens``: (tokens, vocabulary).

        A model with both an encoder and a decoder encodes ``tokens`` and then decodes the same, as far as
        they precede what is predicted: after its start token all but the last.
        """
        if self._model.has_encoder() and self._model.has_decoder():
            self._decode(tokens, encode=True)
            tokens = [self._model.decoder_start_token(), *tokens[:-1]]
        context = self._decode(tokens)
        return np.array([context.get_logits_ith(i) for i in range(len(tokens))], dtype=np.float32)

    def token_embeddings(self, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Last hidden states: (tokens, width)."""
        context = self._decode(tokens, encode=self._model.has_encoder())
        return np.array([context.get_embeddings_ith(i) for i in range(len(tokens))], dtype=np.float32)

    def embed(self, text: str) -> NDArray[np.float32]:
        """Mean of the token embeddings of ``text``, scaled to length one: (width,)."""
        mean = self.token_embeddings(self.tokenize(text)).mean(axis=0)
        return (mean / np.linalg.norm(mean)).astype(np.float32)

    def generate(self, prompt: str, tokens: int) -> str:
        """The most likely continuation of ``prompt``, at most ``tokens`` long, up to an end token."""
        ids = self.tokenize(prompt)
        made: list[int] = []
        context = self._decode(ids, every=False)
        while len(made) < tokens:
            best = int(np.argmax(context.get_logits_ith(-1)))
            if self._vocabulary.is_eog(best):
                break
            context = self._decode([best], after=len(ids) + len(made))
            made.append(best)
        return self.detokenize([*ids, *made])[len(self.detokenize(ids)) :]

    def _decode(
        self, tokens: Sequence[int], *, after: int = 0, every: bool = True, encode: bool = False
    ) -> llama_cpp.LlamaContext:
        """Run the model over ``tokens``, ``after`` so many others; outputs for each of them or the last."""
        if self._context is None:
            self._context = self._new_context()
        if not after:
            self._context.kv_cache_clear()
        batch = llama_cpp.LlamaBatch(n_tokens=len(tokens), embd=0, n_seq_max=1)
        for index, token in enumerate(tokens):
            batch.add(int(token), after + index, [0], every or index == len(tokens) - 1)
        try:
            (self._context.encode if encode else self._context.decode)(batch)
        except (ValueError, RuntimeError) as error:
            raise LlamaError(f"llama.cpp does not decode {len(tokens)} tokens: {error}") from error
        return self._context

    def _new_context(self) -> llama_cpp.LlamaContext:
        params = llama_cpp.LlamaContextParams()
        params.n_ctx = params.n_batch = params.n_ubatch = CONTEXT_TOKENS
        params.n_threads = params.n_threads_batch = THREADS
        params.type_k = params.type_v = F32_CACHE
        params.flash_attn_type = FLASH_ATTENTION_OFF
        params.embeddings = self.is_encoder
        if self.is_encoder:
            params.pooling_type = POOLING_NONE
        return llama_cpp.LlamaContext(self._model, params)


def quantize(source: Path, target: Path, recipe: str) -> None:
    """Write ``source`` quantized to ``target`` as ``llama-quantize`` would; ``recipe`` names a file type."""
    params = llama_cpp.LlamaModelQuantizeParams()
    params.ftype = int(FileType[recipe])
    params.nthread = THREADS
    llama_cpp.model_quantize(str(source), str(target), params)
