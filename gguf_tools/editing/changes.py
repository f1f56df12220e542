"""What an edit does to metadata: the changes asked for, carried out on a copy, and told before and after.

Changes are carried out in this order, whatever the order they were asked for: the architecture's new name,
renames, deletions, new values. A new value keeps the type the key has; a new key needs one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from ..checkpoint.json_files import parse_json
from ..container.array import Array, encode_text
from ..container.metadata import Metadata, Value
from ..errors import CheckpointError, FormatError, GGUFToolsError
from ..spec import ValueType

__all__ = [
    "TEMPLATE_KEY",
    "TYPES",
    "Changes",
    "Difference",
    "Kind",
    "apply",
    "differences",
]

TEMPLATE_KEY: Final = "tokenizer.chat_template"

_ARCHITECTURE: Final = "general.architecture"
_INTEGERS: Final = frozenset(kind for kind in ValueType if "INT" in kind.name)


@dataclass(frozen=True, slots=True)
class Kind:
    """A value's type; for arrays also that of its items."""

    type: ValueType
    element: ValueType | None = None


TYPES: Final[dict[str, Kind]] = {
    **{kind.name.lower(): Kind(kind) for kind in ValueType if kind is not ValueType.ARRAY},
    **{
        f"{kind.name.lower()}[]": Kind(ValueType.ARRAY, kind)
        for kind in ValueType
        if kind is not ValueType.ARRAY
    },
}
"""Types as the command line spells them: ``uint32``, ``string``, ``int32[]``."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be changed.

    Attributes:
        architecture: the new ``general.architecture``; keys that begin with the old one follow.
        rename: new names by old ones.
        delete: keys to remove.
        set: new values by key. A text is read as the key's type demands (arrays as JSON); other Python
            values must fit the type as they are. Bytes are taken as a file's contents.
        type: what new keys are stored as; see `TYPES`.
        files: those that values were read from, which the output must not replace.
    """

    architecture: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    delete: Sequence[str] = ()
    set: Mapping[str, Any] = field(default_factory=dict)
    type: str | None = None
    files: Sequence[str | os.PathLike[str]] = ()


@dataclass(frozen=True, slots=True)
class Difference:
    """One key before and after; None where it is not there.

    ``renamed_from`` is the key's old name. Values are plain: arrays are lists.
    """

    key: str
    before: Any
    after: Any
    before_type: str | None
    after_type: str | None
    renamed_from: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the key names are stable."""
        return {
            "key": self.key,
            "renamed_from": self.renamed_from,
            "before": self.before,
            "before_type": self.before_type,
            "after": self.after,
            "after_type": self.after_type,
        }


def apply(changes: Changes, metadata: Metadata) -> tuple[Metadata, list[Difference]]:
    """A changed copy of metadata, and what became different.

    Raises:
        FormatError: a key to rename or delete is missing, a new name is taken, or a value does not fit.
        GGUFToolsError: a new key has no type, or the type is unknown.
    """
    renames = _renames(changes, metadata)
    result = metadata.renamed(renames)
    origin = {new: old for old, new in renames.items()}
    for key in changes.delete:
        if key not in result:
            raise _missing(metadata, key)
        del result[key]
    values = dict(changes.set)
    if changes.architecture is not None:
        values[_ARCHITECTURE] = changes.architecture
    for key, value in values.items():
        kind_ = _kind_for(key, result, changes.type)
        try:
            result.set(key, _value(value, kind_), kind_.type)
        except FormatError as error:
            error.key, error.path = key, metadata.path
            raise
    return result, list(differences(metadata, result, origin))


def _parse_kind(name: str) -> Kind:
    """A type by its name.

    Raises:
        GGUFToolsError: there is none.
    """
    try:
        return TYPES[name.lower().replace(" ", "")]
    except KeyError:
        raise GGUFToolsError("unknown type", found=name, expected=", ".join(TYPES)) from None


def _kind_name(metadata: Metadata, key: str) -> str:
    """How a stored value's type is spelled: ``uint32``, ``string[]``."""
    value = metadata[key]
    if isinstance(value, Array):
        return f"{value.element_type.name.lower()}[]"
    return metadata.type_of(key).name.lower()


def _renames(changes: Changes, metadata: Metadata) -> dict[str, str]:
    """New name by old one, those that follow from the architecture's name included."""
    renames: dict[str, str] = {}
    if changes.architecture is not None:
        old = f"{metadata.require(_ARCHITECTURE, str)}."
        new = f"{changes.architecture}."
        renames = {key: new + key.removeprefix(old) for key in metadata if key.startswith(old)}
    for key, name in changes.rename.items():
        if key not in metadata:
            raise _missing(metadata, key)
        renames[key] = name
    return {key: name for key, name in renames.items() if key != name}


def _missing(metadata: Metadata, key: str) -> FormatError:
    from difflib import get_close_matches

    nearest = get_close_matches(key, list(metadata), n=1, cutoff=0.6)
    guess = f"; did you mean {nearest[0]}?" if nearest else ""
    return FormatError(f"there is no such key{guess}", path=metadata.path, key=key)


def _kind_for(key: str, metadata: Metadata, wanted: str | None) -> Kind:
    """What a key's value is stored as: the type it has, else the one wanted."""
    new = None if wanted is None else _parse_kind(wanted)
    if key not in metadata:
        if key == TEMPLATE_KEY:
            return Kind(ValueType.STRING)
        if new is None:
            raise GGUFToolsError("the key is new: say its type with --type", path=metadata.path, key=key)
        return new
    value = metadata[key]
    old = Kind(metadata.type_of(key), value.element_type if isinstance(value, Array) else None)
    if new not in (None, old):
        raise FormatError(
            "the key exists with another type; delete it as well (--delete) to change that",
            path=metadata.path,
            key=key,
            found=_kind_name(metadata, key),
            expected=wanted,
        )
    return old


def _value(value: Any, kind: Kind) -> Any:
    """A given value as `Metadata.set` takes it."""
    if kind.type is ValueType.ARRAY:
        assert kind.element is not None
        items = value if isinstance(value, Array) else _items(value)
        if kind.element is ValueType.ARRAY:
            raise FormatError("nested arrays cannot be edited")
        return items if isinstance(items, Array) else Array(kind.element, items)
    if kind.type is ValueType.STRING or not isinstance(value, str | bytes):
        return value
    text = (value.decode("utf-8", "replace") if isinstance(value, bytes) else value).strip()
    return _parsed(text, kind.type)


def _items(value: Any) -> Iterable[Any]:
    if not isinstance(value, str | bytes):
        return list(value)
    data = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    try:
        items = parse_json(data, "", strict=False)
    except CheckpointError as error:
        raise FormatError(
            f"an array is given as JSON, such as [1, 2]: {error.message}",
            offset=error.offset,
            found=error.found,
            expected=error.expected,
        ) from error
    if not isinstance(items, list):
        raise FormatError("an array is given as JSON, such as [1, 2]", found=value)
    return items


def _parsed(text: str, kind: ValueType) -> int | float | bool:
    if kind is ValueType.BOOL:
        if text.lower() not in {"true", "false"}:
            raise FormatError("a value does not fit BOOL", found=text, expected="true or false")
        return text.lower() == "true"
    try:
        return int(text, 0) if kind in _INTEGERS else float(text)
    except ValueError:
        expected = "an integer" if kind in _INTEGERS else "a number"
        raise FormatError(f"a value does not fit {kind.name}", found=text, expected=expected) from None


def differences(
    old: Metadata, new: Metadata, origin: Mapping[str, str] | None = None
) -> Iterator[Difference]:
    """What differs, in order of the new keys, then those that are gone.

    Args:
        old: before.
        new: after.
        origin: of renamed keys, the old name by the new one.
    """
    origin = origin or {}
    for key in new:
        before = origin.get(key, key)
        there = before in old and (before == key or key in origin)
        if there and before == key and _same(old, new, key):
            continue
        yield Difference(
            key,
            _plain(old[before]) if there else None,
            _plain(new[key]),
            _kind_name(old, before) if there else None,
            _kind_name(new, key),
            before if key in origin else None,
        )
    kept = {origin.get(key, key) for key in new}
    for key in old:
        if key not in kept:
            yield Difference(key, _plain(old[key]), None, _kind_name(old, key), None)


def _same(old: Metadata, new: Metadata, key: str) -> bool:
    """Equal to the bit: a NaN equals itself, and 0.0 is not -0.0."""
    a, b = old[key], new[key]
    if old.type_of(key) is not new.type_of(key) or isinstance(a, Array) is not isinstance(b, Array):
        return False
    if isinstance(a, Array) and isinstance(b, Array):
        return a is b or a.to_bytes() == b.to_bytes()
    if isinstance(a, str) and isinstance(b, str):
        return encode_text(a) == encode_text(b)
    return repr(a) == repr(b)


def _plain(value: Value) -> Any:
    return [_plain(item) for item in value] if isinstance(value, Array) else value
