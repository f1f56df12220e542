"""What a model's files hold, in numbers: read from headers alone, no tensor data and no vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from ..conversion.type_stats import TypeShare, type_shares
from .model_description import ModelDescription, describe_model

if TYPE_CHECKING:
    from ..container.reader import GGUFFile

__all__ = ["Kind", "Summary", "summarize"]

Kind = Literal["gguf", "safetensors", "checkpoint"]
"""A GGUF file (or a split model), one safetensors file, or a directory as Hugging Face lays it out."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The facts ``gguf-tools inspect`` shows; ``None`` is what the files do not say.

    Attributes:
        kind: of what was inspected.
        path: of it.
        files: of these it consists: one, or the shards, by name, with their sizes in bytes.
        version, byte_order, alignment: of a GGUF file.
        metadata_keys: how many.
        tensors, parameters, tensor_bytes: how many.
        types: tensors by type.
        model: what metadata, or config.json, says about the model.
    """

    kind: Kind
    path: str
    files: Mapping[str, int]
    version: int | None
    byte_order: str | None
    alignment: int | None
    metadata_keys: int
    tensors: int
    parameters: int
    tensor_bytes: int
    types: list[TypeShare]
    model: ModelDescription

    @property
    def file_bytes(self) -> int:
        """Bytes of all files with tensors together."""
        return sum(self.files.values())

    @property
    def bits_per_weight(self) -> float | None:
        """Tensor bits over parameters: what the types cost, without header and padding."""
        return 8 * self.tensor_bytes / self.parameters if self.parameters else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, facts about the model among the others; the key names are stable."""
        result = {item.name: getattr(self, item.name) for item in fields(self) if item.name != "model"}
        result["files"] = [{"name": name, "bytes": size} for name, size in self.files.items()]
        result["file_bytes"] = self.file_bytes
        result["bits_per_weight"] = self.bits_per_weight
        result["types"] = [share.to_dict() for share in self.types]
        result |= {item.name: getattr(self.model, item.name) for item in fields(self.model)}
        result["query_groups"] = self.model.query_groups
        return result


def summarize(file: GGUFFile) -> Summary:
    """Gather the facts of an open file. Values of unexpected types count as not said."""
    shares = type_shares((t.type_name, t.shape, t.nbytes) for t in file.tensors.values())
    return Summary(
        kind="gguf",
        path=str(file.path),
        files={str(part.path): part.file_size for part in file.shards or (file,)},
        version=file.version,
        byte_order=file.byte_order,
        alignment=file.alignment,
        metadata_keys=len(file.metadata),
        tensors=len(file.tensors),
        parameters=sum(share.parameters for share in shares),
        tensor_bytes=sum(share.bytes or 0 for share in shares),
        types=shares,
        model=describe_model(file.metadata),
    )
