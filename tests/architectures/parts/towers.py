"""Text models inside of models that see."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.architectures.parts.base import Tensors, Tiny, normal


def wrapped(
    model: Tiny,
    name: str,
    *,
    model_type: str,
    vision: dict[str, Any],
    towers: dict[str, int],
    prefix: tuple[str, str] = ("", "language_model."),
) -> Tiny:
    """A text model inside of a model that sees.

    Args:
        model: the text model.
        name: the outer class.
        model_type: the outer type.
        vision: settings of the part that sees.
        towers: some vectors of that part, enough to be left out, and their sizes.
        prefix: what the names of the text model begin with, and with what instead here.
    """

    def tensors(config: dict[str, Any]) -> Tensors:
        made = {tower: normal(tower, (size,), 1.0) for tower, size in towers.items()}
        text = model.tensors(config["text_config"])
        old, new = prefix
        return made | {
            new + name.removeprefix(old) if name.startswith(old) else name: values
            for name, values in text.items()
        }

    inner = {key: value for key, value in model.config.items() if key not in OUTSIDE}
    outer = {key: value for key, value in model.config.items() if key in OUTSIDE - {"architectures"}}
    return replace(
        model,
        config=outer
        | {
            "architectures": [name],
            "model_type": model_type,
            "text_config": inner,
            "vision_config": vision,
        },
        tensors=tensors,
        kinds=("F32", "BF16", "Q8_0", "Q4_K_M"),
    )


OUTSIDE = {
    "architectures",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
    "torch_dtype",
    "transformers_version",
}
