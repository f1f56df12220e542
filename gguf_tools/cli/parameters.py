"""Kinds of values that several commands' options take."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any, Final

import click

from .console import print_notice

__all__ = ["expression", "pairs", "renamed_option", "row_range", "scaled_paths", "to_bytes"]

_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_BINARY: Final = {"KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30, "TI": 1 << 40}


def to_bytes(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """Callback of an option for a size: ``500M`` and ``2G`` count in thousands, as llama.cpp's tools do;
    ``2GiB`` in 1024s."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?I?)B?", value.strip().upper())
    scale = match and (_UNITS | _BINARY).get(match[2])
    if not match or not scale:
        raise click.BadParameter(f"{value!r} is not a size such as 2G, 500M or 1.5GiB")
    count = int(float(match[1]) * scale)
    if count < 1:
        raise click.BadParameter("a size must be positive")
    return count


def pairs(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    """Callback of a repeatable option ``A=B``: what stands before and after the first equals sign."""
    result = {}
    for text in value:
        left, sign, right = text.partition("=")
        if not sign or not left:
            raise click.BadParameter(f"{text!r} is not of the form {param.metavar}")
        if left in result:
            raise click.BadParameter(f"{left} is given twice")
        result[left] = right
    return result


def row_range(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, int] | None:
    """Callback of an option ``A:B``: two numbers, the first smaller."""
    if value is None:
        return None
    match = re.fullmatch(r"(\d{1,18}):(\d{1,18})", value.strip())
    if not match or int(match[1]) >= int(match[2]):
        raise click.BadParameter(f"{value!r} is not a range such as 0:8")
    return int(match[1]), int(match[2])


def scaled_paths(
    ctx: click.Context, param: click.Parameter, value: tuple[str, ...]
) -> list[tuple[str, float]]:
    """Callback of a repeatable option ``PATH[:SCALE]``: paths with their scales, 1 where there is none.

    What follows the last colon is a scale if it reads as a number, and else part of the path.
    """
    result = []
    for text in value:
        path, colon, scale = text.rpartition(":")
        try:
            result.append((path, float(scale)) if colon and path else (text, 1.0))
        except ValueError:
            result.append((text, 1.0))
    return result


def expression(ctx: click.Context, param: click.Parameter, value: str | None) -> re.Pattern[str] | None:
    """Callback of an option for a regular expression, which may match anywhere."""
    try:
        return None if value is None else re.compile(value)
    except re.error as error:
        raise click.BadParameter(f"{value!r} is not a regular expression: {error}") from error


def renamed_option(
    name: str, parameter: str, *, was: str, **settings: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option that had another name, under which it still works, says so and is not in the help.

    Args:
        name: what it is called now, such as ``--overrides``.
        parameter: the command's argument.
        was: what it was called before.
        settings: of both, see `click.option`.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @click.option(name, parameter, **settings)
        @click.option(was, f"former_{parameter}", hidden=True, **settings)
        @functools.wraps(command)
        def wrapped(*arguments: Any, **values: Any) -> Any:
            former = values.pop(f"former_{parameter}")
            if former:
                if values[parameter]:
                    raise click.UsageError(f"{was} is the former name of {name}; give one of them.")
                print_notice(f"{was} is now called {name}")
                values[parameter] = former
            return command(*arguments, **values)

        return wrapped

    return decorate
