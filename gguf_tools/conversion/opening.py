"""Opening a GGUF file with everything needed to decode it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..container.reader import open_gguf

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..container.reader import GGUFFile
    from ..spec import GGMLType

__all__ = ["open_decoding"]


def open_decoding(path: str | os.PathLike[str]) -> GGUFFile:
    """Open a GGUF file; its tensors decode to float32 by ``rows(a, b)`` and ``dequantize()``.

    Only the header is walked. Numba is imported when the first quantized block is decoded. Given a URL, rows
    are fetched when they are asked for; how long to wait and what was transferred is up to a
    `gguf_tools.remote.session.session`.

    Raises:
        FormatError: the file is not well formed.
        UnsupportedError: it is of a version this package does not read, or a package is missing that a URL
            needs.
        RemoteError: what a URL leads to cannot be read.
    """
    return open_gguf(path, decoder=_decode)


def _decode(data: NDArray[np.uint8], tensor_type: GGMLType, row_elements: int) -> NDArray[np.float32]:
    from ..quants import decode_rows

    return decode_rows(data, tensor_type, row_elements)
