"""One target under atheris: ``python -m tests.fuzz.guided TARGET CORPUS [libFuzzer's options]``.

The modules are instrumented as they are imported, so nothing of the package may be imported before. The
kernels are left alone: numba compiles them, and cannot compile what atheris makes of them.
"""

from __future__ import annotations

import json
import random
import sys
from collections.abc import Callable
from typing import Any

import atheris

INSTRUMENTED = [
    f"gguf_tools.{name}"
    for name in (
        *("architectures", "checkpoint", "container", "conversion", "errors", "hyperparameters"),
        *("inspection", "io", "recipes", "source", "tokenizers", "verification"),
    )
]


JSON_TARGETS = {"config", "index", "tekken", "tokenizer_config", "tokenizer_json"}

VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2, 7, 1 << 31, 1 << 64, 1.5, 1e300, float("nan"), float("inf")),
    *("", "x", "▁", "\ud800", "../x", [], [None], [[]], ["a", "b"], {}, {"x": 1}, {"type": "Sequence"}),
)


def mutate_json(data: bytes, most: int, seed: int) -> bytes:
    """Another value, one more, one less or one from elsewhere at a place of a JSON text; else any bytes.

    Random bytes rarely are JSON, and a reader's checks come after its parser's.
    """
    dice = random.Random(seed)
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict | list) or dice.random() < 0.05:
        return bytes(atheris.Mutate(data, most))
    places = list(_places(document))
    if not places:
        return bytes(atheris.Mutate(data, most))
    for _ in range(dice.choice([1, 1, 2])):
        holder, key = dice.choice(places)
        match dice.randrange(4):
            case 0:
                holder[key] = _value(dice, *dice.choice(places))
            case 1 if isinstance(holder, dict):
                holder.pop(key, None)
            case _:
                holder[key] = dice.choice(VALUES)
    try:
        changed = json.dumps(document).encode()
    except (ValueError, RecursionError):  # it has come to contain itself
        return data
    return changed if len(changed) <= most else data


def _value(dice: random.Random, holder: Any, key: Any) -> Any:
    try:
        return holder[key]
    except (KeyError, IndexError):
        return dice.choice(VALUES)


def _places(value: Any) -> Any:
    """Where values stand: pairs of a dict or list and a key in it."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _places(inner)


def mutate_gguf(data: bytes, most: int, seed: int) -> bytes:
    """A GGUF file changed as its structure has it, or by a few bytes; else any bytes."""
    from tests.fuzz.gguf_structure import mutated

    dice = random.Random(seed)
    if dice.random() < 0.2:
        return bytes(atheris.Mutate(data, most))
    changed = mutated(data, dice)
    return changed if len(changed) <= most else data


def mutate_checkpoint(data: bytes, most: int, seed: int) -> bytes:
    """Other edits of a checkpoint's files."""
    from tests.fuzz.targets import edited_checkpoint

    changed = edited_checkpoint(data, random.Random(seed))
    return changed if len(changed) <= most else data


MUTATORS: dict[str, Callable[[bytes, int, int], bytes]] = {
    **dict.fromkeys(JSON_TARGETS, mutate_json),
    **dict.fromkeys(("gguf", "differential"), mutate_gguf),
    "checkpoint": mutate_checkpoint,
}


def main() -> None:
    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[sys.argv[1]]
    mutator = MUTATORS.get(sys.argv[1])
    options: dict[str, Any] = {} if mutator is None else {"custom_mutator": mutator}
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target, **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
