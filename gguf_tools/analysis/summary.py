"""What a GGUF file holds, in numbers: read from the header alone, no tensor data and no vocabulary."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..container.metadata import Array
from ..conversion.plan import TypeShare, type_shares
from ..spec import FileType

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..container.reader import GGUFFile

__all__ = ["Summary", "summarize"]


@dataclass(frozen=True, slots=True)
class Summary:
    """The facts ``gguf-tools inspect`` shows; ``None`` is what the file does not say."""

    path: str
    file_bytes: int
    version: int
    byte_order: str
    alignment: int
    metadata_keys: int
    tensors: int
    parameters: int
    tensor_bytes: int
    types: list[TypeShare]
    architecture: str | None
    name: str | None
    file_type: str | None
    layers: int | None
    context_length: int | None
    embedding_length: int | None
    feed_forward_length: int | list[int] | None
    heads: int | list[int] | None
    kv_heads: int | list[int] | None
    experts: int | None
    experts_used: int | None
    tokenizer: str | None
    pre_tokenizer: str | None
    vocabulary: int | None
    chat_template: bool

    @property
    def bits_per_weight(self) -> float | None:
        """Tensor bits over parameters: what the types cost, without header and padding."""
        return 8 * self.tensor_bytes / self.parameters if self.parameters else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the key names are stable."""
        result = asdict(self)
        result["bits_per_weight"] = self.bits_per_weight
        result["types"] = [share.to_dict() for share in self.types]
        return result


def summarize(file: GGUFFile) -> Summary:
    """Gather the facts of an open file. Values of unexpected types count as not said."""
    shares = type_shares((t.type_name, t.shape, t.nbytes) for t in file.tensors.values())
    known = _Reader(file.metadata)
    architecture = known.text("general.architecture")
    tokens = file.metadata.get("tokenizer.ggml.tokens")
    template = file.metadata.get("tokenizer.chat_template")
    file_type = known.integer("general.file_type")
    return Summary(
        path=str(file.path),
        file_bytes=file.file_size,
        version=file.version,
        byte_order=file.byte_order,
        alignment=file.alignment,
        metadata_keys=len(file.metadata),
        tensors=len(file.tensors),
        parameters=sum(share.parameters for share in shares),
        tensor_bytes=sum(share.bytes or 0 for share in shares),
        types=shares,
        architecture=architecture,
        name=known.text("general.name"),
        file_type=_file_type_name(file_type),
        layers=known.integer(f"{architecture}.block_count"),
        context_length=known.integer(f"{architecture}.context_length"),
        embedding_length=known.integer(f"{architecture}.embedding_length"),
        feed_forward_length=known.integers(f"{architecture}.feed_forward_length"),
        heads=known.integers(f"{architecture}.attention.head_count"),
        kv_heads=known.integers(f"{architecture}.attention.head_count_kv"),
        experts=known.integer(f"{architecture}.expert_count"),
        experts_used=known.integer(f"{architecture}.expert_used_count"),
        tokenizer=known.text("tokenizer.ggml.model"),
        pre_tokenizer=known.text("tokenizer.ggml.pre"),
        vocabulary=len(tokens) if isinstance(tokens, Array) else None,
        chat_template=isinstance(template, str),
    )


class _Reader:
    """Values of the expected kind, or None: a summary of an odd file is still a summary."""

    def __init__(self, metadata: Mapping[str, object]) -> None:
        self._metadata = metadata

    def text(self, key: str) -> str | None:
        value = self._metadata.get(key)
        return value if isinstance(value, str) else None

    def integer(self, key: str) -> int | None:
        value = self._metadata.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def integers(self, key: str) -> int | list[int] | None:
        value = self._metadata.get(key)
        if isinstance(value, Array):
            items = list(value)
            return items if all(isinstance(item, int) for item in items) else None
        return self.integer(key)


def _file_type_name(file_type: int | None) -> str | None:
    if file_type is None:
        return None
    try:
        return FileType(file_type).name
    except ValueError:
        return f"unknown ({file_type})"
