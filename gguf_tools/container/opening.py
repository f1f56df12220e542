"""Opening a GGUF file, or all files of a split model as one."""

from __future__ import annotations

import os

from .reader import GGUFFile, check_layout, is_split, open_one
from .shards import open_shards

__all__ = ["open_gguf"]


def open_gguf(path: str | os.PathLike[str], *, check: bool = True, whole: bool = True) -> GGUFFile:
    """Open a GGUF file; of a split model, given any of its files, all of them as one.

    Only the header is read; tensors decode to float32 by ``rows(a, b)`` and ``dequantize()``. Of a URL (see
    `gguf_tools.io.remote`), rows are fetched when they are asked for; how long to wait and what was
    transferred is up to a `gguf_tools.io.remote.session.session`.

    Args:
        path: the file, or its URL.
        check: refuse a file whose tensors do not lie as its header promises (truncated data, overlaps,
            gaps, misalignment, names that occur twice). Without it such a file opens, and reading a
            tensor fails where its bytes are not there; of tensors of one name the first is kept.
        whole: open all files of a split model; False opens just this one.

    Raises:
        FormatError: the file is missing, is not GGUF (says what it looks like) or is not well formed; or
            shards are missing or do not belong together.
        UnsupportedError: a version this package does not read; or a package is missing that a URL needs.
        RemoteError: what the URL leads to cannot be read.
    """
    file = open_one(path)
    try:
        if whole and is_split(file):
            model = open_shards(file, check=check)
            file.close()
            return model
        if check:
            check_layout(file)
    except BaseException:
        file.close()
        raise
    return file
