"""Text models inside of models that also see or hear: how their tensors are called, and what is left out.

Such a model's config.json has the settings of the text model under ``text_config``. An export is the text
model alone.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["reason_to_leave", "unwrapped"]

_HEAD: Final = re.compile(r"(?:model\.)?language_model\.(?=lm_head\.)")
_BODY: Final = re.compile(r"(?:model\.)?(?:language_model|text_model)\.(?:model\.)?")

_PARTS: Final = (
    (
        r"(?:model\.)?(?:vision_tower|vision_model|vision_encoder|visual)\.",
        "belongs to the part that sees; the text model alone is converted",
    ),
    (
        r"(?:model\.)?(?:audio_tower|audio_model|audio_encoder)\.",
        "belongs to the part that hears; the text model alone is converted",
    ),
    (
        r"(?:model\.)?(?:multi_modal_projector|mm_projector|embed_vision|embed_audio|connector|vision_language_adapter|"
        r"patch_merger|pre_mm_projector_norm|image_newline)\b",
        "leads from what is seen or heard into the text model; that alone is converted",
    ),
)
"""Beginnings of the names of what is left out, and why."""


def reason_to_leave(name: str) -> str | None:
    """Why a wrapped model's tensor is left out, or None when it is the text model's."""
    return next((reason for pattern, reason in _PARTS if re.match(pattern, name)), None)


def unwrapped(name: str, prefix: str) -> str:
    """What the text model alone calls a tensor; ``prefix`` is that of its architecture.

    Published checkpoints have ``language_model.model.layers…`` and ``language_model.lm_head…``, newer ones
    ``model.language_model.layers…`` and ``lm_head…``; SmolVLM has ``model.text_model.layers…``.
    """
    if (head := _HEAD.match(name)) is not None:
        return name[head.end() :]
    body = _BODY.match(name)
    return name if body is None else prefix + name[body.end() :]
