"""Rotary position embeddings: base, scaling, and the frequency factors of Llama 3.

HF has spelled them in three ways: ``rope_theta`` beside ``rope_scaling``; ``rope_parameters`` with
everything inside; ``rope_parameters`` split into ``full_attention`` and ``sliding_attention``. They are
merged as llama.cpp's converter does. Exports use the first, which old and new transformers both read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..errors import ArchitectureError, FormatError
from ..source import ArraySource, Source
from ..spec import ValueType
from .config import GGUFFacts, HFConfig, real, rounded, shortest, whole
from .keys import Entry, Remark, head_size
from .rounding import powers, square_root_of_logarithms

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = [
    "Llama3Factors",
    "LongropeFactors",
    "PartialRotary",
    "Rope",
    "fit_llama3",
    "llama3_factors",
    "longrope_scale",
]

_YARN: Final = (  # GGUF key after rope.scaling., names in HF
    ("yarn_ext_factor", ("extrapolation_factor",)),
    ("yarn_attn_factor", ("attention_factor", "attn_factor")),
    ("yarn_beta_fast", ("beta_fast",)),
    ("yarn_beta_slow", ("beta_slow",)),
)


def _parameters(config: HFConfig) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters of the global layers and of the sliding-window layers."""
    # The first key that is there counts, even when it is null.
    given = config["rope_parameters"] if "rope_parameters" in config else config.find("rope_scaling")
    if given is not None and not isinstance(given, Mapping):
        raise ArchitectureError("not an object", path="config.json", key="rope_scaling", found=given)
    rope = dict(given or {})
    if "full_attention" not in rope and "sliding_attention" not in rope:
        local = config.find("local_rope_theta", "rope_local_base_freq")
        if local is not None:
            rope["sliding_attention"] = {"rope_theta": local}
        rope.setdefault("rope_theta", config.find("rope_theta"))
        rope.setdefault("rope_type", rope.get("type"))
        rope.setdefault("original_max_position_embeddings", config.find("original_max_position_embeddings"))
    everywhere, sliding = rope.get("full_attention", rope), rope.get("sliding_attention") or {}
    if not isinstance(everywhere, Mapping) or not isinstance(sliding, Mapping):
        raise ArchitectureError("not an object", path="config.json", key="rope_parameters", found=given)
    return dict(everywhere), dict(sliding)


def _kind(parameters: Mapping[str, Any], supported: tuple[str, ...]) -> str:
    kind = parameters.get("rope_type") or "default"
    if isinstance(kind, str) and kind.lower() in ("default", *supported):
        return kind.lower()
    raise ArchitectureError(
        "RoPE scaling of a kind that GGUF cannot carry for this architecture",
        path="config.json",
        key="rope_scaling",
        found=kind,
        expected=", ".join(("default", *supported)),
    )


_KINDS: Final = ("linear", "yarn", "llama3", "longrope", "su", "dynamic")
"""All of them, with an old name of longrope."""
_DYNAMIC: Final = (
    "config.json scales RoPE dynamically in texts longer than max_position_embeddings; llama.cpp does not"
)


@dataclass(frozen=True)
class Rope:
    """The ``rope.*`` keys.

    Of the kinds of scaling, ``"longrope"`` and ``"llama3"`` say the rest in tensors, and ``"dynamic"``
    changes nothing within the context a model was trained on, beyond which llama.cpp does not follow it.

    Attributes:
        kinds: kinds of scaling the family can express besides none; others are errors.
        local: the HF key of the sliding-window layers' base, where a family has one.
        theta: the base of the global layers where neither side states one; None to state none either.
    """

    kinds: tuple[str, ...] = ("linear", "yarn")
    local: str | None = None
    theta: float | None = 10000.0

    def forward(self, config: HFConfig) -> Iterator[Entry | Remark]:
        rope, sliding = _parameters(config)
        kind = _kind(rope, self.kinds)
        if kind in ("linear", "yarn"):
            yield "rope.scaling.type", ValueType.STRING, kind
            yield "rope.scaling.factor", ValueType.FLOAT32, real(rope.get("factor"), "rope_scaling.factor")
        if kind == "yarn":
            original = rope.get("original_max_position_embeddings")
            at = "rope_scaling.original_max_position_embeddings"
            yield "rope.scaling.original_context_length", ValueType.UINT32, whole(original, at)
            for key, names in _YARN:
                name = next((name for name in names if rope.get(name) is not None), None)
                if name is not None:
                    number = real(rope[name], f"rope_scaling.{name}", least=0)
                    yield f"rope.scaling.{key}", ValueType.FLOAT32, number
        if kind == "longrope":
            yield "rope.scaling.type", ValueType.STRING, kind
        if kind == "dynamic":
            yield Remark(_DYNAMIC)
        theta = rope.get("rope_theta")
        theta = self.theta if theta is None else theta
        if theta is not None:
            yield "rope.freq_base", ValueType.FLOAT32, real(theta, "rope_theta")
        if sliding.get("rope_theta") is not None:
            name = self.local or "rope_parameters.sliding_attention.rope_theta"
            yield "rope.freq_base_swa", ValueType.FLOAT32, real(sliding["rope_theta"], name)

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        theta = facts.number("rope.freq_base") or self.theta
        if theta is not None:
            config["rope_theta"] = theta
        local = facts.number("rope.freq_base_swa")
        if self.local is not None:
            config[self.local] = local or 10000.0
        config["rope_scaling"] = None
        kind = facts.find("rope.scaling.type")
        if kind in (None, "none"):
            return
        if kind not in self.kinds or kind not in ("linear", "yarn", "longrope"):
            raise FormatError(
                "RoPE scaling of a kind that has no counterpart in config.json here",
                key=facts.key("rope.scaling.type"),
                found=kind,
                expected="none, " + ", ".join(self.kinds),
            )
        scaling: dict[str, Any] = {"rope_type": kind}
        if kind != "longrope":
            scaling["factor"] = facts.number("rope.scaling.factor")
        if kind == "yarn":
            original = facts.integer("rope.scaling.original_context_length")
            scaling["original_max_position_embeddings"] = original
            for key, names in _YARN:
                value = facts.number(f"rope.scaling.{key}")
                if value is not None:
                    scaling[names[0]] = value
        config["rope_scaling"] = scaling


@dataclass(frozen=True)
class PartialRotary:
    """The share of a head that is rotated ↔ ``rope.dimension_count``.

    Attributes:
        hf: the HF key and its aliases; an export writes the first.
        whole: the share of the width is taken before it is divided among the heads, which rounds otherwise.
    """

    hf: tuple[str, ...] = ("partial_rotary_factor",)
    whole: bool = False

    def forward(self, config: HFConfig) -> Iterator[Entry]:
        config.number(*self.hf)  # refuses what is no number; rounded to float32 it would make other sizes
        share = float(config.find(*self.hf))
        width, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
        size = head_size(config)
        yield (
            "rope.dimension_count",
            ValueType.UINT32,
            int(share * width) // heads if self.whole else int(share * size),
        )

    def inverse(self, facts: GGUFFacts, config: dict[str, Any]) -> None:
        rotated = facts.integer("rope.dimension_count")
        if rotated is not None:
            config[self.hf[0]] = rotated / facts.hyperparameters.exact_key_size


_LONGROPE: Final = ("longrope", "su")


@dataclass(frozen=True)
class LongropeFactors:
    """``long_factor`` or ``short_factor`` of ``rope_scaling`` ↔ a tensor: what frequencies are divided by.

    Attributes:
        which: ``"long"`` or ``"short"``.
    """

    which: str

    @property
    def name(self) -> str:
        return f"rope_factors_{self.which}.weight"

    def forward(self, config: HFConfig) -> Source | None:
        rope, _ = _parameters(config)
        factors = rope.get(f"{self.which}_factor")
        if _kind(rope, _KINDS) not in _LONGROPE or not factors:
            return None
        at = f"rope_scaling.{self.which}_factor"
        if not isinstance(factors, list):
            raise ArchitectureError("not a list of numbers", path="config.json", key=at, found=factors)
        return ArraySource(np.array([real(factor, at) for factor in factors], np.float32))

    def inverse(self, source: Source, config: dict[str, Any], notes: list[str]) -> None:
        factors = [shortest(factor) for factor in source.rows(0, 1)[0]]
        scaling = dict(config.get("rope_scaling") or {"type": "longrope"})
        config["rope_scaling"] = scaling | {f"{self.which}_factor": factors}
        if self.which == "long" and "original_max_position_embeddings" not in config:
            notes.append("the context up to which rope_scaling's short factors hold is not in the file")


def longrope_scale(config: HFConfig) -> float | None:
    """What attention is scaled by with longrope: sqrt(1 + ln(ratio of contexts) / ln(original context))."""
    rope, _ = _parameters(config)
    if _kind(rope, _LONGROPE) not in _LONGROPE or not rope.get("long_factor"):
        return None
    longest = config.integer("max_position_embeddings")
    original = config.integer("original_max_position_embeddings", least=2)  # its logarithm is divided by
    ratio = longest / original
    return rounded(square_root_of_logarithms(ratio, original) if ratio > 1 else 1.0)


_MOST_ROTATED: Final = 1 << 16
"""Values of a head: hundreds of times what models have, before an array is made of what a file says."""


@dataclass(frozen=True)
class Llama3Factors:
    """``rope_scaling`` of type llama3 ↔ ``rope_freqs.weight``: what each frequency is divided by."""

    name: str = "rope_freqs.weight"

    def forward(self, config: HFConfig) -> Source | None:
        rope, _ = _parameters(config)
        if rope.get("rope_type") is None or _kind(rope, _KINDS) != "llama3":
            return None
        base, size = rope.get("rope_theta"), head_size(config)
        if size > _MOST_ROTATED:
            raise ArchitectureError(
                "heads too large to be rotated",
                path="config.json",
                key="head_dim",
                found=size,
                expected=f"at most {_MOST_ROTATED}",
            )
        factors = llama3_factors(
            real(10000.0 if base is None else base, "rope_theta"),
            size,
            real(rope.get("factor", 8.0), "rope_scaling.factor"),
            real(rope.get("low_freq_factor", 1.0), "rope_scaling.low_freq_factor"),
            real(rope.get("high_freq_factor", 4.0), "rope_scaling.high_freq_factor"),
            whole(
                rope.get("original_max_position_embeddings", 8192),
                "rope_scaling.original_max_position_embeddings",
            ),
        )
        return ArraySource(factors)

    def inverse(self, source: Source, config: dict[str, Any], notes: list[str]) -> None:
        size = head_size(HFConfig(config))
        if source.shape != (size // 2,):
            raise ArchitectureError(
                "one factor per pair of a head's values is needed",
                tensor=self.name,
                found=source.shape,
                expected=(size // 2,),
            )
        factors = source.rows(0, 1)[0]
        if np.all(factors == 1):
            notes.append(f"{self.name} holds only ones: it changes nothing and is left out")
            return
        config["rope_scaling"] = fit_llama3(factors, config["rope_theta"], size)
        notes.append(f"rope_scaling was derived from {self.name}; other numbers give the same frequencies")


def llama3_factors(
    base: float, size: int, factor: float, low: float, high: float, original: int
) -> NDArray[np.float32]:
    """What each of the ``size // 2`` rotary frequencies is divided by, float32.

    High frequencies stay (1), low ones are divided by ``factor``, those between go over smoothly, by the
    wavelength's place between ``original / high`` and ``original / low`` positions. The steps are float32
    in the order torch takes them in llama.cpp's converter (x / tensor is a reciprocal, then a product).
    The power is rounded correctly, torch's sometimes is not: factors of the smooth part may differ from
    the converter's in the last bits where the head size is no power of two.
    """
    one, f32 = np.float32(1), np.float32
    exponents = np.arange(0, size, 2, dtype=f32) / f32(size)
    frequencies = one / powers(float(f32(base)), exponents)
    wavelengths = one / frequencies * f32(2 * np.pi)
    with np.errstate(divide="ignore", invalid="ignore"):  # low = high: the smooth part is empty
        smooth = (one / wavelengths * f32(original) - f32(low)) / f32(high - low)
        between = one / ((one - smooth) / f32(factor) + smooth)
    factors = np.where(wavelengths > f32(original / low), f32(factor), between)
    return np.where(wavelengths < f32(original / high), one, factors).astype(f32)


_TOLERANCE: Final = 4e-6
"""Relative. Factors computed with another library's power function differ in their last bits."""

_LOWS: Final = (1.0, 2.0, 0.5, 1.5, 3.0, 4.0, 0.25, 0.75, 1.25, 2.5)
_HIGHS: Final = (4.0, 2.0, 8.0, 16.0)
_ORIGINALS: Final = (8192, *(2**n for n in range(5, 21)))
"""Parameters in the wild; Llama 3.1 to 3.3 all use 1, 4 and 8192."""


def fit_llama3(factors: NDArray[np.float32], base: float, size: int) -> dict[str, Any]:
    """The ``rope_scaling`` object whose factors these are.

    Scaling the original context and both frequency factors alike changes nothing, so the low factor is
    taken as 1 first; then common values are tried. Bit-equal candidates win over close ones.

    Raises:
        ArchitectureError: no parameters that were tried give these factors (nothing is invented).
    """
    factor = shortest(factors.max())
    close = None
    for low, high, original in [
        *_solved(factors, base, size),
        *(tried for tried in product(_LOWS[:3], _HIGHS, _ORIGINALS) if tried[0] < tried[1]),
        *((1.0, 1.0, original) for original in _ORIGINALS),  # Llama 4 has no smooth part at all
    ]:
        if not 0 < low <= high or original < 1 or factor <= 1:
            continue
        made = llama3_factors(base, size, factor, low, high, original)
        found = {
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low,
            "high_freq_factor": high,
            "original_max_position_embeddings": original,
        }
        if np.array_equal(made, factors):
            return found
        if close is None and np.allclose(made, factors, rtol=_TOLERANCE, atol=0):
            close = found
    if close is None:
        raise ArchitectureError(
            "these frequency factors are not of the llama3 kind, and config.json has no other place for them",
            tensor="rope_freqs.weight",
            found=[shortest(x) for x in factors[:8]],
        )
    return close


def _solved(factors: NDArray[np.float32], base: float, size: int) -> list[tuple[float, float, int]]:
    """Candidates (low, high, original) from the smooth part, where 1/f is linear in the frequency."""
    factor = float(factors.max())
    inside = (factors > 1) & (factors < factor)
    if np.count_nonzero(inside) < 2 or not np.all(np.isfinite(factors)):
        return []
    turns = base ** -(np.arange(0, size, 2) / size)[inside] / (2 * np.pi)  # 1 / wavelength
    smooth = (1 / factors[inside].astype(np.float64) - 1 / factor) / (1 - 1 / factor)
    slope, offset = np.polyfit(turns, smooth, 1)  # original / (high − low), −low / (high − low)
    if slope <= 0 or offset >= 0:
        return []
    ratio = 1 - 1 / offset  # high / low
    return [(low, float(np.round(low * ratio, 4)), round(slope * low * (ratio - 1))) for low in _LOWS]
