"""Where a GGUF file departs from a golden, subject by subject."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from tests.goldens.describe import Description, TensorFacts

ABSENT = "absent"


class Difference(NamedTuple):
    """What a file says about a subject (``key general.name``, ``tensor blk.0.attn_q.weight``)."""

    subject: str
    found: Any
    expected: Any


def expected_metadata(golden: dict[str, Any], kind: str) -> dict[str, Any]:
    """Every key a file of this kind has, with its typed value."""
    merged: dict[str, Any] = golden["metadata"] | golden["files"][kind]["metadata"]
    return merged


def expected_tensors(golden: dict[str, Any], kind: str) -> dict[str, TensorFacts]:
    """Every tensor a file of this kind has."""
    made = {}
    for name, type_name in golden["files"][kind]["types"].items():
        facts = golden["tensors"][name]
        made[name] = TensorFacts(type_name, tuple(facts["shape"]), facts["sha256"][type_name])
    return made


def differences(found: Description, golden: dict[str, Any], kind: str) -> list[Difference]:
    """All of them, keys first; and the whole file, which also has the order of keys and tensors."""
    return [
        *_between("key", found.metadata, expected_metadata(golden, kind)),
        *_between("tensor", found.tensors, expected_tensors(golden, kind)),
        *_between("file", {"bytes": found.sha256}, {"bytes": golden["files"][kind]["sha256"]}),
    ]


def _between(what: str, found: dict[str, Any], expected: dict[str, Any]) -> list[Difference]:
    return [
        Difference(f"{what} {name}", found.get(name, ABSENT), expected.get(name, ABSENT))
        for name in [*expected, *(name for name in found if name not in expected)]
        if found.get(name, ABSENT) != expected.get(name, ABSENT)
    ]


class Deliberate(NamedTuple):
    """A departure that is meant: shell patterns for checkpoint, kind and subject, and the reason."""

    checkpoint: str
    kind: str
    subject: str
    reason: str

    def covers(self, checkpoint: str, kind: str, difference: Difference) -> bool:
        return (
            fnmatchcase(checkpoint, self.checkpoint)
            and fnmatchcase(kind, self.kind)
            and fnmatchcase(difference.subject, self.subject)
        )
