"""The jobs that write, each small: what they begin with, and what they do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf_tools
from gguf_tools.conversion.extract import extract
from gguf_tools.editing import in_place
from gguf_tools.editing.changes import Changes
from gguf_tools.editing.edit import edit, recover
from tests import tiny

__all__ = ["JOBS", "RESUMABLE", "TARGET", "Job", "sources"]

TARGET = "out.gguf"

NAME = "general.name"


def _nothing(source: Path, folder: Path) -> None:
    pass


@dataclass(frozen=True)
class Job:
    """Something that writes.

    Attributes:
        run: does it; takes the directory of the `sources`, that of the outputs, and whether an interrupted
            run is to be continued.
        begin: puts into the directory of the outputs what the job begins with.
        resumable: whether it can be continued.
        in_place: it overwrites a part of `TARGET`, so that one that failed must have left it as it was.
        interrupted: what it begins with is an edit in place that did not come to its end.
        cannot: faults that cannot befall it.
    """

    run: Callable[[Path, Path, bool], Any]
    begin: Callable[[Path, Path], None] = _nothing
    resumable: bool = False
    in_place: bool = False
    interrupted: bool = False
    cannot: tuple[str, ...] = ()


def sources(folder: Path) -> Path:
    """Put a checkpoint, a GGUF file, that in parts, and one with room in its header into a directory."""
    tiny.build("llama", folder)
    gguf_tools.convert(folder / "tiny-llama", folder / "model.gguf", type="Q8_0")
    gguf_tools.split(folder / "model.gguf", folder / "part", max_tensors=15)
    edit(folder / "model.gguf", Changes(set={NAME: "Old"}), output=folder / "roomy.gguf", reserve=4000)
    return folder


def _convert(source: Path, folder: Path, resume: bool) -> None:
    gguf_tools.convert(source / "tiny-llama", folder / TARGET, type="Q8_0", resume=resume)


def _shards(source: Path, folder: Path, resume: bool) -> None:
    gguf_tools.convert(
        *(source / "tiny-llama", folder / TARGET),
        type="Q8_0",
        split_max_size=1_000_000,
        resume=resume,
    )


def _export(source: Path, folder: Path, resume: bool) -> None:
    gguf_tools.export(source / "model.gguf", folder / "out", resume=resume)


def _requantize(source: Path, folder: Path, resume: bool) -> None:
    gguf_tools.requantize(source / "model.gguf", folder / TARGET, type="Q4_0", resume=resume)


def _split(source: Path, folder: Path, resume: bool) -> None:
    gguf_tools.split(source / "model.gguf", folder / "out", max_tensors=15, resume=resume)


def _merge(source: Path, folder: Path, resume: bool) -> None:
    gguf_tools.merge(source / "part-00001-of-00002.gguf", folder / TARGET, resume=resume)


def _extract(source: Path, folder: Path, resume: bool) -> None:
    extract(source / "model.gguf", folder / "out.safetensors", ["blk.0.*"])


def _extract_arrays(source: Path, folder: Path, resume: bool) -> None:
    extract(source / "model.gguf", folder / "out", ["blk.0.*"], dtype="f16")


def _roomy(source: Path, folder: Path) -> None:
    shutil.copy(source / "roomy.gguf", folder / TARGET)


def _half_edited(source: Path, folder: Path) -> None:
    """A header overwritten in part, and the journal that tells what was there."""
    _roomy(source, folder)
    with (folder / TARGET).open("r+b") as file:
        in_place._write_journal(file.fileno(), folder / TARGET, 0, file.read(4096))
        file.seek(100)
        file.write(bytes(2000))


def _edit_anew(source: Path, folder: Path, resume: bool) -> None:
    edit(folder / TARGET, Changes(set={NAME: "x" * 6000}), resume=resume)


def _edit_moving(source: Path, folder: Path, resume: bool) -> None:
    edit(folder / TARGET, Changes(set={"general.alignment": 64}, type="uint32"), resume=resume)


def _edit_in_place(source: Path, folder: Path, resume: bool) -> None:
    edit(folder / TARGET, Changes(set={NAME: "A longer name"}), insist=True)


def _edit_a_sector(source: Path, folder: Path, resume: bool) -> None:
    edit(folder / TARGET, Changes(set={NAME: "New"}), insist=True)


def _recover(source: Path, folder: Path, resume: bool) -> None:
    recover(folder / TARGET)


JOBS: dict[str, Job] = {
    "convert": Job(_convert, resumable=True),
    "shards": Job(_shards, resumable=True),
    "export": Job(_export, resumable=True),
    "requantize": Job(_requantize, resumable=True),
    "split": Job(_split, resumable=True),
    "merge": Job(_merge, resumable=True),
    "extract": Job(_extract),
    "extract arrays": Job(_extract_arrays),
    "edit anew": Job(_edit_anew, _roomy, resumable=True),
    "edit that moves tensors": Job(_edit_moving, _roomy, resumable=True),
    "edit in place": Job(_edit_in_place, _roomy, in_place=True),
    # what this rests on is that a disk writes a sector whole or not at all
    "edit in place, one sector": Job(_edit_a_sector, _roomy, in_place=True, cannot=("short, dead",)),
    "undo an interrupted edit": Job(_recover, _half_edited, in_place=True, interrupted=True),
}

RESUMABLE = tuple(name for name, job in JOBS.items() if job.resumable)
