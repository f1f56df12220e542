"""BitNet b1.58: weights of three values, and norms inside of attention and feed-forward.

Checkpoints have the weights as they were trained, of any value, and round them whenever they run; packed
ones have them rounded. GGUF has them rounded, so that is done here once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from ...source import Source, row_count, row_length
from ...spec import GGMLType, ValueType
from ..config import GGUFFacts, HFConfig
from ..decoder import PRE_NORMS, head_count, norms, renamed
from ..keys import (
    CAUSAL,
    KV_HEADS,
    RMS_EPS,
    SIZES,
    AssumedByRuntime,
    DerivedKey,
    Entry,
    FromTensorRows,
    HeadDim,
    Remark,
    head_size,
)
from ..rope import Rope
from ..table import Architecture, HFClass
from ..tensors import Drop
from ..views import Mapped

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rounding = Callable[[NDArray[np.float32], GGMLType | None], NDArray[np.float32]]

_CHUNK = 1 << 22  # values looked at together
_LEAST = 1e-5
"""The least scale, as BitNet's authors have it."""


class _Scale:
    """The mean of all absolute values of a tensor, found when it is first asked for, by whatever thread.

    None where there are only three values already: then they are what rounding made of others, and doing
    it again would shrink them by the share of zeros.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lock = Lock()
        self._found: tuple[np.float32 | None] | None = None

    def __call__(self) -> np.float32 | None:
        with self._lock:
            if self._found is None:
                self._found = (self._measure(),)
            return self._found[0]

    def _measure(self) -> np.float32 | None:
        rows, length = row_count(self._source.shape), row_length(self._source.shape)
        step = max(1, _CHUNK // max(1, length))
        total, largest, smallest = 0.0, np.float32(0), np.float32(np.inf)
        for start in range(0, rows, step):
            sizes = np.abs(self._source.rows(start, min(start + step, rows)))
            total += float(sizes.sum(dtype=np.float64))
            largest = max(largest, sizes.max(initial=0))
            smallest = min(smallest, sizes.min(initial=np.inf, where=sizes > 0))
        if largest <= smallest:  # one size, or nothing but zeros
            return None
        return np.float32(max(total / (rows * length), _LEAST))


@dataclass(frozen=True)
class Ternary:
    """Weights ↔ the nearest of −s, 0 and s, s being the mean of their absolute values.

    Rounded weights stay what they are: the way back has nothing to restore, and going on again changes
    nothing. The mean is rounded correctly, which torch's is not always.
    """

    def forward(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return [Mapped(source, _rounding(_Scale(source))) for source in sources]

    def inverse(self, sources: Sequence[Source], config: HFConfig) -> list[Source]:
        return list(sources)


def _rounding(scale: _Scale) -> Rounding:
    def rounded(x: NDArray[np.float32], storage: GGMLType | None) -> NDArray[np.float32]:
        mean = scale()
        if mean is None:
            return x
        # divided twice, as the authors' code does it
        over = np.float32(1) / mean
        made: NDArray[np.float32] = np.clip(np.rint(x * over), -1, 1).astype(np.float32) / over
        return made.astype(np.float16).astype(np.float32) if storage is GGMLType.F16 else made

    return rounded


class _Base:
    """The base of RoPE. Files say that it is scaled linearly, by one; configs, that it is not."""

    def forward(self, config: HFConfig) -> Iterator[Entry | Remark]:
        return Rope(kinds=()).forward(config)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        config["rope_theta"] = facts.number("rope.freq_base") or 10000.0


_DEFAULTS = {
    "max_position_embeddings": 2048,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
    "tie_word_embeddings": False,
}
_NULLS = {"num_key_value_heads": head_count}

ARCHITECTURE = Architecture(
    name="bitnet",
    classes=(
        HFClass("BitNetForCausalLM", "bitnet", _DEFAULTS | {"hidden_act": "relu2"}, _NULLS),
        HFClass(
            "BitnetForCausalLM",
            "llama",
            _DEFAULTS | {"rope_theta": 10000.0},
            _NULLS | {"head_dim": head_size},
        ),
    ),
    tokenizer_kinds=("spm", "llama-hf", "bpe"),
    # what the first models, and then transformers, call the norms inside
    renames=(
        (r"\.self_attn\.inner_attn_ln\.", ".self_attn.attn_sub_norm."),
        (r"\.mlp\.ffn_layernorm\.", ".mlp.ffn_sub_norm."),
    ),
    keys=(*SIZES, KV_HEADS, CAUSAL, _Base(), RMS_EPS, HeadDim(always=False)),
    family_keys=(
        DerivedKey("rope.scaling.type", ValueType.STRING, lambda config: "linear"),
        DerivedKey("rope.scaling.factor", ValueType.FLOAT32, lambda config: 1.0),
        FromTensorRows("vocab_size", "token_embd.weight"),
        AssumedByRuntime("hidden_act", ("silu", "swish")),
        AssumedByRuntime("attention_bias", (False,)),
        AssumedByRuntime("tie_word_embeddings", (True,)),
    ),
    drops=(
        Drop(r"lm_head\.weight", "the embedding again", lambda config: config.flag("tie_word_embeddings")),
    ),
    tensors=(
        *renamed(("model.embed_tokens", "token_embd"), ("model.norm", "output_norm")),
        *PRE_NORMS,
        *norms(("self_attn.attn_sub_norm", "attn_sub_norm"), ("mlp.ffn_sub_norm", "ffn_sub_norm")),
        *norms(
            ("self_attn.q_proj", "attn_q"),
            ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"),
            ("self_attn.o_proj", "attn_output"),
            ("mlp.gate_proj", "ffn_gate"),
            ("mlp.up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down"),
            transform=Ternary(),
        ),
    ),
    export_notes=("the weights are those after rounding to three values",),
)
