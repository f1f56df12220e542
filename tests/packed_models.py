"""Tiny checkpoints whose linear layers are packed, as the tools that pack them leave them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import Generator

from tests import tiny
from tests.packing import PACKINGS, Packer, Parts, part, write_parts

__all__ = ["build", "build_nvfp4"]


def build(
    model: str,
    folder: Path,
    settings: dict[str, Any],
    packer: Packer,
    *,
    fits: Callable[[tuple[int, ...]], bool] = lambda shape: True,
) -> Path:
    """The tiny checkpoint called ``model`` with every projection packed whose shape ``fits``."""
    checkpoint = tiny.build(model, folder)
    config = json.loads((checkpoint / "config.json").read_text())
    rng = np.random.default_rng(3)
    parts: Parts = {}
    for name, values in tiny.MODELS[model].tensors(config).items():
        if name.endswith("proj.weight") and fits(values.shape):
            made, _ = packer(rng, *values.shape)
            parts |= {f"{name.removesuffix('.weight')}.{ending}": one for ending, one in made.items()}
        else:
            parts[name] = part(values)
    (checkpoint / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))
    for file in checkpoint.glob("*.safetensors*"):
        file.unlink()
    write_parts(checkpoint / "model.safetensors", parts)
    return checkpoint


def build_nvfp4(model: str, folder: Path, kind: str) -> Path:
    """One in ``modelopt nvfp4`` or ``nvfp4`` (compressed-tensors): scales of inputs for two layers of three,
    and the second layer's scale is 1. In the kinds that pack weights only there are no scales of inputs."""
    settings, packer = PACKINGS[kind]
    names = ("weight_scale_2", "input_scale") if kind.startswith("modelopt") else _COMPRESSED
    count = 0

    def packed(rng: Generator, rows: int, columns: int) -> tuple[Parts, Any]:
        nonlocal count
        count += 1
        parts, values = packer(rng, rows, columns)
        if parts.pop("input_scale", None) is not None and count % 3:
            parts[names[1]] = part(np.array([0.25 * count], "<f4"))
        if count == 2:
            parts[names[0]] = part(np.ones(1, "<f4"))
        return parts, values

    return build(model, folder, settings, packed, fits=lambda shape: shape[-1] % 64 == 0)


_COMPRESSED = ("weight_global_scale", "input_global_scale")
