"""What transformers assumes where config.json leaves a key out, by class name.

The table is recorded from the config classes of transformers 4.57.6 (``make goldens``); tests compare it
with the installed transformers, old and new. Families state further defaults: of classes that transformers
does not have, and of keys that only their own code reads.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["hf_defaults"]


def hf_defaults(class_name: str) -> Mapping[str, Any]:
    """The defaults of a class; none where transformers has no such class."""
    return _table().get(class_name, {})


@cache
def _table() -> dict[str, dict[str, Any]]:
    text = files(__package__).joinpath("data", "hf_defaults.json").read_text(encoding="utf-8")
    table: dict[str, dict[str, Any]] = json.loads(text)
    return table
