"""Edits of parsed JSON: what `tests.fuzz.checkpoints` does to a checkpoint's files, and how chance chooses.

An edit is a list ``[file, operation, path, argument]``, itself JSON, so that a finding is a few short lines:

- ``set``: the argument in place of the value at the path, or as a new key of an object;
- ``drop``: without the value;
- ``rename``: under another key, the argument;
- ``move``: out of here, and under its own key into the object or list at another path, the argument;
- ``copy``: the value at another path, the argument, in place of this one;
- ``wrap``: in a list (argument 0) or as an object's only value, under the argument;
- ``unwrap``: the first value of a list or object in place of it;
- ``twice``: the key a second time, with the argument as its value;
- ``cut``: the file's text up to that many bytes, the argument; the path is not looked at.

``{"$raw": text}`` stands for a piece of JSON that no value of Python's is written as: ``NaN``, ``1e999``, or
what is not JSON at all.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

__all__ = ["Edit", "Pool", "edited", "places"]

Edit = Sequence[Any]
Path = tuple[Any, ...]

_TWICE: Final = "\0twice"
"""Ends the key of a pair that is written under the key without it, after that one."""


def edited(documents: Mapping[str, Any], edits: Sequence[Edit]) -> dict[str, bytes]:
    """The texts of the files that are edited. An edit at a path that is not there does nothing."""
    changed: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    for name, operation, path, argument in edits:
        if name not in changed:
            changed[name] = copy.deepcopy(documents.get(name, {}))
        if operation == "cut":
            lengths[name] = argument
        else:
            root = [changed[name]]
            try:
                _edit(root, operation, (0, *path), argument)
            except (LookupError, TypeError, ValueError, AttributeError):
                continue
            changed[name] = root[0]
    return {name: written(document)[: lengths.get(name)] for name, document in changed.items()}


def _edit(root: list[Any], operation: str, path: Path, argument: Any) -> None:
    """Carry out one edit; the document is the only item of ``root``."""
    holder, key = _at(root, path[:-1]), path[-1]
    if isinstance(holder, dict):
        key = str(key)
    if holder is root and operation in ("drop", "rename", "move", "twice"):
        return
    match operation:
        case "set":
            holder[key] = argument
        case "drop":
            del holder[key]
        case "rename":
            _rename(holder, key, argument)
        case "move":
            target, value = _at(root, (0, *argument)), holder[key]
            if target is value or _is_inside(target, value):
                return  # nothing can be inside itself
            del holder[key]
            if isinstance(target, list):
                target.append(value)
            else:
                target[str(key)] = value
        case "copy":
            holder[key] = copy.deepcopy(_at(root, (0, *argument)))
        case "wrap":
            holder[key] = [holder[key]] if argument == 0 else {str(argument): holder[key]}
        case "unwrap":
            holder[key] = next(
                iter(holder[key].values() if isinstance(holder[key], dict) else holder[key]), None
            )
        case "twice":
            if isinstance(holder, dict):
                holder[f"{key}{_TWICE}"] = argument


def _at(value: Any, path: Path) -> Any:
    for key in path:
        value = value[key]
    return value


def _is_inside(sought: Any, value: Any) -> bool:
    return any(inner is sought or _is_inside(sought, inner) for inner in _values(value))


def _values(value: Any) -> Sequence[Any]:
    return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()


def _rename(holder: dict[str, Any], old: str, new: str) -> None:
    """Keep the key's place: the order may matter."""
    items = [(new if key == old else key, value) for key, value in holder.items()]
    holder.clear()
    holder.update(items)


def written(document: Any) -> bytes:
    """The JSON text of a document; lone surrogates as escapes."""
    return _text(document).encode("utf-8", "surrogatepass")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        if value.keys() == {"$raw"} and isinstance(value["$raw"], str):
            return value["$raw"]
        return "{" + ", ".join(f"{_key(key)}: {_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_text, value)) + "]"
    return json.dumps(value)


def _key(key: str) -> str:
    return json.dumps(key.removesuffix(_TWICE))


# Chance ------------------------------------------------------------------------------------------------

VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, -1, 0, 1, 2, 3, 7, 32, 255, 256, 1 << 31, (1 << 32) - 1, 1 << 32, 1 << 63, 1 << 64),
    *(-(1 << 31), -(1 << 63), 10**30, 10**400, 0.0, -0.0, 0.5, 1.0, 1.5, -1.5, 1e-300, 1e38, 1e39, 1e300),
    *({"$raw": "NaN"}, {"$raw": "Infinity"}, {"$raw": "-Infinity"}, {"$raw": "1e999"}, {"$raw": "9" * 5000}),
    *({"$raw": "[" * 5000 + "]" * 5000}, {"$raw": ""}, {"$raw": "\x1b"}, {"$raw": "'x'"}),
    *(
        "",
        " ",
        "x",
        "0",
        "1",
        "true",
        "none",
        "auto",
        "float16",
        "▁",
        "é",
        "\ud800",
        "\0",
        "a\0b",
        "\n",
        "a\nb",
    ),
    *(
        "\x1b[2J\x1b[31m",
        "\u202egnp",
        "\u2028",
        "../x",
        "/etc/passwd",
        "../../config.json",
        "x" * 5000,
        "{{ x",
    ),
    *([], [None], [[]], [{}], [0], [1, 2], [-1, 0], ["a"], ["a", "b"], [1.5, "x"], [0] * 5000),
    *({}, {"x": 1}, {"": {}}, {"type": "x"}, {"type": "Sequence"}, {"rope_type": "yarn"}, {"content": "x"}),
)
"""Values that some key is not made for."""

KEYS: Final = (
    *("", "x", "type", "text_config", "model", "rope_scaling", "quantization_config", "__class__", "\x1b[2J"),
    *("num_hidden_layers", "0", "\ud800"),
)

FILES: Final[Mapping[str, int]] = {
    "config.json": 14,
    "tokenizer.json": 8,
    "tokenizer_config.json": 5,
    "model.safetensors.index.json": 6,
    "adapter_config.json": 14,
    "special_tokens_map.json": 2,
    "generation_config.json": 2,
}
"""How often a file is edited; others once."""


def places(value: Any, at: Path = (), most: int = 4) -> Iterator[Path]:
    """Paths to the values inside; of a list to the first few and the last."""
    if isinstance(value, dict):
        keys: Sequence[Any] = list(value)
    elif isinstance(value, list):
        keys = [*range(len(value))][:most] + [*range(len(value))][most:][-1:]
    else:
        return
    for key in keys:
        yield (*at, key)
        yield from places(value[key], (*at, key), most)


class Pool:
    """All files' documents together, out of which chance takes keys and values of other models."""

    def __init__(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        self.documents = documents
        self.pairs: dict[str, list[tuple[Any, Any]]] = {}
        self.places: dict[tuple[str, str], list[Path]] = {}
        for model, files in documents.items():
            for name, document in files.items():
                found = self.places[model, name] = list(places(document))
                self.pairs.setdefault(name, []).extend(
                    (path[-1], _at(document, path)) for path in found if len(path) < 3
                )

    def edits(self, model: str, dice: random.Random) -> list[Edit]:
        """One to three edits of a model's files."""
        names = sorted({*self.documents[model], "generation_config.json", "special_tokens_map.json"})
        weights = [FILES.get(name, 1) for name in names]
        return [
            self.edit(model, dice.choices(names, weights)[0], dice)
            for _ in range(dice.choice([1, 1, 1, 2, 3]))
        ]

    def edit(self, model: str, name: str, dice: random.Random) -> Edit:
        """One edit of a file, which may not be there yet."""
        document = self.documents[model].get(name, {})
        found = self.places.get((model, name)) or [()]
        # half of the time near the root: tokenizers are deep, and what decides is not
        shallow = [path for path in found if len(path) < 3]
        path = dice.choice(shallow if shallow and dice.random() < 0.5 else found)
        old = _at(document, path)
        operation = dice.choice(
            ["set"] * 8
            + ["graft"] * 3
            + ["drop"] * 4
            + ["rename", "move", "copy", "wrap", "wrap", "unwrap"]
            + ["twice"]
        )
        if dice.random() < 0.01:
            return [name, "cut", [], dice.randrange(200)]
        if dice.random() < 0.01:
            return [name, "set", [], dice.choice(VALUES)]
        match operation:
            case "set":
                return [name, "set", list(path), self._value(old, dice)]
            case "graft":
                key, value = dice.choice(self.pairs.get(name) or [("x", 1)])
                inside = path[:-1] if dice.random() < 0.7 else path
                return [name, "set", [*inside, key], value]
            case "rename":
                known = [key for key, _ in self.pairs.get(name, ()) if isinstance(key, str)]
                return [
                    name,
                    "rename",
                    list(path),
                    dice.choice([*KEYS, *dice.sample(known, min(8, len(known)))]),
                ]
            case "move":
                objects = [at for at in [(), *found] if isinstance(_at(document, at), dict | list)]
                return [name, "move", list(path), list(dice.choice(objects))]
            case "copy":
                return [name, "copy", list(path), list(dice.choice(found))]
            case "wrap":
                return [name, "wrap", list(path), dice.choice([0, 0, "text_config", "x"])]
            case "twice":
                return [name, "twice", list(path), self._value(old, dice)]
        return [name, operation, list(path), None]

    def _value(self, old: Any, dice: random.Random) -> Any:
        """A value to take another's place: any, or one that is close to it."""
        if isinstance(old, bool) or not isinstance(old, int | float) or dice.random() < 0.4:
            if isinstance(old, str) and dice.random() < 0.3:
                return dice.choice([old + "x", old[:-1], old.upper(), old * 2, [old], {old: old}, old + "\n"])
            return dice.choice(VALUES)
        near = [old + 1, old - 1, -old, old * 2, old // 2, old + 0.5, float(old), str(old), [old], [old, old]]
        return dice.choice([*near, {"x": old}, old * 1000, not old])
