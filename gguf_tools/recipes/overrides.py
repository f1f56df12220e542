"""What users ask for besides a recipe's name: ``REGEX=TYPE`` and files of overrides."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, Final

from ..errors import QuantizationError
from ..io.input_files import read_small
from ..spec import GGMLType
from .types import Overrides

__all__ = ["combine", "parse_tensor_type", "parse_type", "read_overrides_file"]

_SUGGESTED: Final = [t.name for t in GGMLType if t.name[0] != "I" or t.name[1] == "Q"]
_SUGGESTED.remove("Q8_1")
_SUGGESTED.remove("Q8_K")

MAX_FILE_BYTES: Final = 1 << 20
"""Of a file of overrides; one that names every tensor of a large model has a tenth of that."""

_KEYS: Final = ("type", "output", "token-embedding", "pure", "fallback", "tensors")


def parse_type(name: str) -> GGMLType:
    """A tensor type by name, in upper or lower case.

    Raises:
        QuantizationError: there is none; suggests the nearest.
    """
    try:
        return GGMLType[name.strip().upper()]
    except KeyError:
        near = get_close_matches(name.strip().upper(), _SUGGESTED, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise QuantizationError(f"unknown tensor type{hint}", found=name) from None


def parse_tensor_type(text: str) -> tuple[re.Pattern[str], GGMLType]:
    """``attn_v=Q6_K``: a regular expression that may match anywhere in a name, and a type.

    Raises:
        QuantizationError: it is not of this form, or a part is not valid.
    """
    expression, equals, name = text.rpartition("=")
    if not equals or not expression:
        raise QuantizationError("not of the form REGEX=TYPE", found=text, expected="such as attn_v=Q6_K")
    return _compiled(expression), parse_type(name)


def read_overrides_file(path: str | os.PathLike[str]) -> tuple[str | None, Overrides]:
    """A file of overrides: the recipe's name, if it has one, and what is wanted otherwise.

    A TOML file with any of these keys::

        type = "Q4_K_M"
        output = "Q8_0"
        token-embedding = "Q6_K"
        pure = false
        fallback = true

        [tensors]              # expressions that may match anywhere in a name; the first match decides
        "blk\\\\.[01]\\\\." = "Q8_0"
        attn_v = "Q6_K"

    Raises:
        QuantizationError: it cannot be read, is not TOML, or has unknown keys or values.
    """
    shown = os.fspath(path)
    data = read_small(path, MAX_FILE_BYTES, QuantizationError)
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except ValueError as error:  # of TOML, of UTF-8, or a number of thousands of digits
        raise QuantizationError(f"the file of overrides is not TOML: {error}", path=shown) from error
    except RecursionError as error:
        raise QuantizationError("the file of overrides is nested too deeply", path=shown) from error
    try:
        name, overrides = _recipe(document)
    except QuantizationError as error:
        error.path = shown
        raise
    return name, replace(overrides, file=shown)


def _recipe(document: Mapping[str, Any]) -> tuple[str | None, Overrides]:
    for key in document:
        if key not in _KEYS:
            raise QuantizationError("unknown key", key=key, expected=", ".join(_KEYS))
    tensors = _value(document, "tensors", dict, {})
    types = []
    for expression, name in tensors.items():
        if not isinstance(name, str):
            raise QuantizationError("a type must be a text", key=f"tensors.{expression}", found=name)
        types.append((_compiled(expression), parse_type(name)))
    output, embedding = (_value(document, key, str, None) for key in ("output", "token-embedding"))
    overrides = Overrides(
        tensor_types=tuple(types),
        output=None if output is None else parse_type(output),
        embedding=None if embedding is None else parse_type(embedding),
        pure=_value(document, "pure", bool, False),
        fallback=_value(document, "fallback", bool, True),
    )
    return _value(document, "type", str, None), overrides


def combine(
    file: Overrides,
    *,
    tensor_types: Sequence[str] = (),
    output: str | None = None,
    embedding: str | None = None,
    pure: bool = False,
    fallback: bool = True,
) -> Overrides:
    """The wishes of a file of overrides with those of the command line, which come first.

    Raises:
        QuantizationError: a type or an expression is not valid.
    """
    return Overrides(
        tensor_types=(*map(parse_tensor_type, tensor_types), *file.tensor_types),
        output=file.output if output is None else parse_type(output),
        embedding=file.embedding if embedding is None else parse_type(embedding),
        pure=pure or file.pure,
        fallback=fallback and file.fallback,
        file=file.file,
    )


def _value(document: Mapping[str, Any], key: str, kind: type, default: Any) -> Any:
    value = document.get(key, default)
    if value is not default and not isinstance(value, kind):
        raise QuantizationError("of the wrong kind", key=key, found=value, expected=kind.__name__)
    return value


def _compiled(expression: str) -> re.Pattern[str]:
    try:
        return re.compile(expression)
    except (re.error, OverflowError, RecursionError) as error:
        raise QuantizationError(f"not a regular expression: {error}", found=expression) from error
