"""What `verify` reports: findings, each with a code, a severity, a place, a message and a remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

from ..errors import GGUFToolsError
from ..io.remote import Location
from ..spec import MAX_NAME_BYTES

__all__ = ["Finding", "error", "of_error", "place", "warning"]

_FILE: Final = "file"

_REMEDIES: Final = {
    "truncated": "download or copy the file again",
    "alignment": "set general.alignment to what the data was written with (gguf-tools edit)",
    "gap": "write the model again with a tool that follows the file's alignment",
    "misaligned": "write the model again with a tool that follows the file's alignment",
    "order": "write the model again with its tensors in the header's order",
    "overlap": "convert the model again; its data cannot be trusted",
    "duplicate-tensor": "convert the model again",
    "non-finite": "convert the model again, and check the original weights for NaN",
    "long-name": f"rename the tensor; llama.cpp takes at most {MAX_NAME_BYTES} bytes",
    "removed-type": "convert the model again: ggml no longer has this type",
    "shards": "put all files of the model, under their original names, in one directory",
    "missing-architecture": "set general.architecture",
    "missing-key": "set the key (gguf-tools edit --set KEY=VALUE --type TYPE), or convert the model again",
    "key-value": "set the key to a value that fits (gguf-tools edit), or convert the model again",
    "key-type": "delete the key and set it again with that type (gguf-tools edit --delete, --set, --type)",
    "missing-tensor": "convert the model again; if it is split, check that all files are of this model",
    "unknown-tensor": "check general.architecture; llama.cpp refuses tensors it has no use for",
    "shape": "check the metadata named, and whether the file's parts are of one model",
    "vocabulary": "convert the model again with its own tokenizer files",
    "vocabulary-size": "convert the model again with its own tokenizer files",
    "token-id": "set the key to the right token (gguf-tools edit)",
    "chat-template": "set a template that parses (gguf-tools edit --set-template FILE)",
    "interrupted-edit": "gguf-tools edit FILE --recover",
    "hash-mismatch": "download or copy the file again",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or odd.

    Attributes:
        code: a stable word for programs; see the docstring of `gguf_tools.verification.verify`.
        severity: "error" or "warning".
        place: where: a file, key, tensor, byte.
        message: what.
        remedy: what to do about it, or None.
    """

    code: str
    severity: Literal["error", "warning"]
    place: str
    message: str
    remedy: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """Plain values for JSON."""
        return asdict(self)


def place(
    path: Path | Location | None = None,
    *,
    key: str | None = None,
    tensor: str | None = None,
    offset: int | None = None,
) -> str:
    """Where, in words; "file" where nothing narrower is known."""
    parts: Iterable[str | None] = (
        None if path is None else path.name,
        None if key is None else f"key {key!r}",
        None if tensor is None else f"tensor {tensor!r}",
        None if offset is None else f"byte {offset}",
    )
    return ", ".join(part for part in parts if part) or _FILE


def error(code: str, where: str, message: str) -> Finding:
    """An error with the remedy that its code has."""
    return Finding(code, "error", where, message, _REMEDIES.get(code))


def warning(code: str, where: str, message: str) -> Finding:
    """A warning with the remedy that its code has."""
    return Finding(code, "warning", where, message, _REMEDIES.get(code))


def of_error(code: str, fault: GGUFToolsError, path: Path | Location | None = None) -> Finding:
    """A finding from an error; its place is told apart from its message."""
    where = place(path, key=fault.key, tensor=fault.tensor, offset=fault.offset)
    bare = GGUFToolsError(fault.message, found=fault.found, expected=fault.expected)
    return error(code, where, str(bare))
