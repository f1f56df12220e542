"""How large tensors are and how they are aligned: what reading and writing have to agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ..errors import FormatError
from ..source import row_count, row_length
from ..spec import DEFAULT_ALIGNMENT, MAX_ALIGNMENT, GGMLType, ValueType, row_bytes

if TYPE_CHECKING:
    from .metadata import Metadata

__all__ = ["ALIGNMENT_KEY", "alignment_of", "tensor_bytes"]

ALIGNMENT_KEY: Final = "general.alignment"


def alignment_of(metadata: Metadata) -> int:
    """The alignment metadata asks for, in bytes.

    Raises:
        FormatError: ``general.alignment`` is not a UINT32 or not a power of two up to `MAX_ALIGNMENT`.
    """
    if ALIGNMENT_KEY not in metadata:
        return DEFAULT_ALIGNMENT
    facts: dict[str, Any] = {"path": metadata.path, "key": ALIGNMENT_KEY}
    kind, value = metadata.type_of(ALIGNMENT_KEY), metadata[ALIGNMENT_KEY]
    if kind is not ValueType.UINT32 or not isinstance(value, int):
        raise FormatError("the alignment is of the wrong type", found=kind.name, expected="UINT32", **facts)
    if value <= 0 or value & (value - 1) or value > MAX_ALIGNMENT:
        raise FormatError(
            "the alignment is not usable",
            found=value,
            expected=f"a power of two up to {MAX_ALIGNMENT}",
            **facts,
        )
    return value


def tensor_bytes(shape: tuple[int, ...], tensor_type: GGMLType) -> int:
    """Bytes of a tensor, without padding.

    Raises:
        ValueError: its rows are not whole blocks.
    """
    return row_count(shape) * row_bytes(tensor_type, row_length(shape))
