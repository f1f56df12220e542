# ruff: noqa: E501 - a case a line reads as a table
"""Split models whose files do not belong together: class 30, and 28 across shards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gguf_tools.errors import FormatError
from tests import builders as b
from tests.container.split_models import model, split_pairs, tensor
from tests.hostile.case import Case, Refused, Taken
from tests.hostile.gguf_files import read_gguf

__all__ = ["CASES"]

Change = Callable[[list[Path]], Any]


def changed(change: Change, given: int = 0) -> Callable[[Path], Path]:
    """A split model of three files, one thing about it changed; a change may say what to open."""

    def make(folder: Path) -> Path:
        paths = model(folder)
        opened = change(paths)
        return opened if isinstance(opened, Path) else paths[given]

    return make


def rewritten(place: int, *pairs: Any, held: tuple[b.Tensor, ...] = ()) -> Change:
    """Another file in the place of one shard."""
    return lambda paths: paths[place].write_bytes(b.build(pairs, held))


def alone(name: str, *pairs: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(b.build(pairs, [tensor(0)]))
        return folder / name

    return make


_CASES: tuple[tuple[str, Callable[[Path], Path], str], ...] = (
    ("30 one missing", changed(lambda paths: paths[1].unlink(), 2), r"1 of the model's 3 files are missing beside it: model-00002-of"),
    ("30 the first missing", changed(lambda paths: paths[0].unlink(), 1), r"missing beside it: model-00001-of"),
    ("30 a link to nothing", changed(lambda paths: (paths[1].unlink(), paths[1].symlink_to("gone"))), r"00002-of-00003\.gguf: cannot open the file"),
    ("30 a link to itself", changed(lambda paths: (paths[1].unlink(), paths[1].symlink_to(paths[1].name))), r"00002-of-00003\.gguf: cannot open the file"),
    ("30 a directory", changed(lambda paths: (paths[1].unlink(), paths[1].mkdir())), r"00002-of-00003\.gguf: is a directory"),
    ("30 renamed", changed(lambda paths: paths[1].rename(paths[1].with_name("part2.gguf"))), r"name does not say which"),
    ("30 name and count disagree", changed(lambda paths: paths[0].rename(paths[0].with_name("model-00001-of-00002.gguf"))), r"name and its metadata disagree"),
    ("30 count of another model", changed(rewritten(1, *split_pairs(1, 4, 3), held=(tensor(1),))), r"key 'split\.count': .*found 4, expected 3"),
    ("30 wrong index", changed(rewritten(1, *split_pairs(2, 3, 3), held=(tensor(1),))), r"key 'split\.no': .*found 2, expected 1"),
    ("30 tensors of another model", changed(rewritten(2, *split_pairs(2, 3, 9), held=(tensor(2),))), r"key 'split\.tensors\.count': .*found 9, expected 3"),
    ("30 too few tensors", changed(rewritten(2, *split_pairs(2, 3, 3))), r"do not hold as many tensors .*found 2, expected 3"),
    ("30 not a shard at all", changed(rewritten(1, b.ARCHITECTURE, held=(tensor(1),))), r"key 'split\.count': named as a shard"),
    ("30 cut off", changed(lambda paths: paths[1].write_bytes(paths[1].read_bytes()[:-30])), r"00002-of-00003\.gguf: tensor 't1': .*past the end"),
    ("30 empty", changed(lambda paths: paths[2].write_bytes(b"")), r"00003-of-00003\.gguf: at byte 0: the file is empty"),
    ("30 65,535 shards", alone("model-00001-of-65535.gguf", *split_pairs(0, 65535, 1)), r"65534 of the model's 65535 files are missing"),
    ("30 count 2^64 - 1", alone("model-00001-of-00002.gguf", ("split.count", b.U64, 2**64 - 1)), r"key 'split\.count': .*found 18446744073709551615"),
    ("30 count without index", alone("part.gguf", ("split.count", b.U16, 2)), r"split\.no"),
    ("30 index a text", changed(rewritten(1, ("split.no", b.STRING, "1"), *split_pairs(1, 3, 3)[1:], held=(tensor(1),))), r"key 'split\.no': .*found STRING"),
    ("30 index huge and not named as a shard", alone("part.gguf", *split_pairs(0, 2, 1)[1:], ("split.no", b.U64, 2**64 - 1)), r"name does not say which"),
    ("28 a tensor in two shards", changed(rewritten(2, *split_pairs(2, 3, 3), held=(tensor(1),))), r"tensor 't1': the tensor is also in model-00002"),
    ("28 a tensor in the first and the last shard", changed(rewritten(2, *split_pairs(2, 3, 3), held=(tensor(0),))), r"tensor 't0': the tensor is also in model-00001"),
)  # fmt: skip

CASES = (
    *(Case(name, make, read_gguf, Refused(FormatError, message)) for name, make, message in _CASES),
    Case("30 a count of a single file", alone("part.gguf", ("split.count", b.U16, 1)), read_gguf, Taken()),
    Case("30 a count that is a text", alone("part.gguf", ("split.count", b.STRING, "3")), read_gguf, Taken()),
)
