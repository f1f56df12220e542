"""Kinds of arguments and options that several commands take."""

from __future__ import annotations

import re
from typing import Any, Final

import click

__all__ = ["SIZE"]

_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY: Final = {"KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30, "TI": 1 << 40}


class _Size(click.ParamType):
    """Bytes: ``500M`` and ``2G`` count in thousands, as llama.cpp's tools do, ``2GiB`` in 1024s."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?I?)B?", value.strip().upper())
        scale = match and (_UNITS | _BINARY).get(match[2])
        if not match or not scale:
            self.fail(f"{value!r} is not a size such as 2G, 500M or 1.5GiB", param, ctx)
        count = int(float(match[1]) * scale)
        if count < 1:
            self.fail("a size must be positive", param, ctx)
        return count


SIZE: Final = _Size()
