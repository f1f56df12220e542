"""Where a plan's bytes go: files that appear complete, one by one or as a directory, and the journal of them.

Each file is opened when its first rows arrive and gets its name when its last ones are there, so that the
shards of a model are final as soon as they are complete, and a thousand of them do not need a thousand
descriptors. Files that belong together (``plan.together``) are closed as soon as they are complete and get
their names when all are; a directory gets its name when all of its files are complete.
"""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import OutputError, reported
from ..io.atomic_files import AtomicDirectory, AtomicFile, check_target, require_space
from ..io.input_guard import NO_INPUTS, Inputs
from ..io.temp_names import hidden_sibling
from ..source import row_count
from ..system import allocated_bytes
from .journal import Journal, Run
from .plan import Plan, PlannedFile
from .run_options import RunOptions

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Finishing", "Output", "tidy"]

Finishing = Callable[[], None]
"""Called when a file is complete, before it gets its name."""

_PARTIAL = ".partial"


class _File:
    """One file of the output: whether it is open, and how many of its rows are still to come."""

    def __init__(self, planned: PlannedFile, path: Path, partial: Path) -> None:
        self.planned = planned
        self.path = path
        self.partial = partial
        self.open: AtomicFile | None = None
        self.missing = sum(row_count(tensor.shape) for tensor in planned.tensors)
        self.is_final = False
        self.lock = threading.Lock()

    def was_completed(self) -> bool:
        """Whether an earlier run, which wrote all rows, gave it its name too."""
        if self.missing or not self.path.exists() or self.path.stat().st_size != self.planned.size:
            return False
        if self.partial.exists():  # between its two names
            if not self.partial.samefile(self.path):
                return False
            self.partial.unlink()
        return True

    def was_begun(self) -> bool:
        """Whether there is what an earlier run wrote: somebody may have tidied up, all but the journal."""
        try:
            status = os.lstat(self.partial)
        except OSError:
            return False
        return stat.S_ISREG(status.st_mode) and status.st_size == self.planned.size


class Output:
    """The output of a plan while it is written. A context manager; methods may be called from many threads.

    Args:
        plan: what is to be written.
        target: the output file, or directory where ``plan.is_directory``; the shards of a split model go
            beside it.
        run: whether it replaces what exists, and whether it goes on where an interrupted run stopped.
        replaced: the input whose place the output takes, with its mode and owner.
        finishing: called when a file is complete; it may refuse.

    Raises:
        OutputError: the target exists, cannot be written, is being written by another process, or is what an
            interrupted run of another plan has left; an output, or a hidden file needed for it, would replace
            an input; or the disk is full.
    """

    def __init__(
        self,
        plan: Plan,
        target: Path,
        run: RunOptions,
        *,
        replaced: Path | None = None,
        finishing: Finishing | None = None,
    ) -> None:
        self._plan, self._target = plan, target
        self._force, self._resume = run.force, run.resume
        self._replaced, self._finishing = replaced, finishing
        self._stack = ExitStack()
        self._journal = Journal(target, plan.fingerprint(), resume=run.resume, force=run.force)
        self._files: list[_File] = []
        self._unfinished = 0
        self._counting = threading.Lock()
        self._is_split = not plan.is_directory and all(file.name for file in plan.files)
        names = [*plan.reads, *(file.path for file in plan.inputs)]
        self._inputs = Inputs(names, replaced=replaced)

    def __enter__(self) -> Self:
        plan, target = self._plan, self._target
        self._check_apart()
        self._check_target(self._force or self._resume)
        with self._stack:
            self._stack.enter_context(self._journal)
            if not self._journal.resumed:
                self._remove_leftovers()
                self._check_target(self._force)
            folder = self._opened_folder() if plan.is_directory else target.parent
            begun = self._journal.files()
            self._files = [self._file(number, folder, number in begun) for number in range(len(plan.files))]
            self._unfinished = sum(not file.is_final for file in self._files)
            self._require_space()
            self._stack.push(self._close_files)
            for file in self._files:
                if not file.missing and not file.is_final:
                    self._complete(file)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if kind is not None and self._resume:
                with suppress(OutputError):  # the disk may be what has failed: then the journal says less
                    self._journal.sync(self._sync_files)
        finally:
            self._stack.__exit__(kind, error, traceback)

    def runs(self) -> Iterator[tuple[int, int, Run]]:
        """Rows still to be written: number of the file, number of the tensor in it, first row and end.

        In file order: sequential reading and writing is what disks like.
        """
        for number, file in enumerate(self._files):
            for index, tensor in enumerate(file.planned.tensors):
                last = 0
                for start, stop in self._journal.runs(number, index):
                    if last < start:
                        yield number, index, (last, start)
                    last = max(last, stop)
                if last < row_count(tensor.shape):
                    yield number, index, (last, row_count(tensor.shape))

    def opened(self, file: int) -> AtomicFile:
        """A file that still misses rows, to write them to.

        Raises:
            OutputError: it cannot be created, or the disk is full.
        """
        return self._open(self._files[file])

    def written(self, file: int, tensor: int, start: int, stop: int) -> None:
        """Take note that rows ``start`` to ``stop`` of a tensor are there; the last of all complete the file.

        Raises:
            OutputError: the disk is full, or the file's name is taken.
            GGUFToolsError: an input file has changed, so that what was written cannot be trusted.
        """
        there = self._files[file]
        self._journal.add(file, tensor, start, stop)
        with there.lock:
            there.missing -= stop - start
            complete = not there.missing
        if complete:
            self._complete(there)
        elif self._journal.due():
            self._journal.sync(self._sync_files)

    def _check_target(self, force: bool) -> None:
        """Of shards this is only where they go."""
        inputs = NO_INPUTS if self._is_split else self._inputs
        is_directory = self._plan.is_directory
        check_target(self._target, force or self._is_split, directory=is_directory, inputs=inputs)

    def _check_apart(self) -> None:
        """Refuse to replace an input by anything that will be written, be it on the way to the output."""
        target, files = self._target, self._plan.files
        names = [target.parent / file.name for file in files] if self._is_split else [target]
        hidden = [hidden_sibling(name, _PARTIAL) for name in (target, *names)]
        for path in (*names, *hidden, self._journal.path):
            self._inputs.require_apart(path)

    def _file(self, number: int, folder: Path, begun: bool) -> _File:
        planned = self._plan.files[number]
        path = folder / planned.name if planned.name else self._target
        partial = path if self._plan.is_directory else hidden_sibling(path, _PARTIAL)
        file = _File(planned, path, partial)
        rows = file.missing
        for index in range(len(planned.tensors)):
            file.missing -= sum(stop - start for start, stop in self._journal.runs(number, index))
        if self._journal.resumed and not self._plan.is_directory:
            with reported(OutputError, "cannot look at what an earlier run left", path):
                file.is_final = file.was_completed()
        if begun and not file.is_final and not file.was_begun():
            self._journal.forget(number)
            file.missing = rows
        if not file.is_final and not self._plan.is_directory:
            check_target(path, self._force, inputs=self._inputs)
        return file

    def _open(self, file: _File) -> AtomicFile:
        if file.open is not None:  # without the lock, which is held as long as the disk takes to sync
            return file.open
        with file.lock:
            if file.open is None:
                opened = AtomicFile(
                    file.path,
                    size=file.planned.size,
                    force=self._force or self._plan.is_directory,
                    partial=file.partial,
                    like=self._replaced,
                    keep=self._resume or self._plan.is_directory,
                    inputs=self._inputs,
                )
                opened.__enter__()
                file.open = opened
                opened.write_at(0, file.planned.header)
                _write_last_byte(file.planned, opened)
            return file.open

    def _complete(self, file: _File) -> None:
        for source in self._plan.inputs:
            source.require_unchanged()
        opened = self._open(file)
        if not self._plan.is_directory:
            self._journal.sync(self._sync_files)
        with file.lock:
            if self._finishing is not None:
                self._finishing()
            if self._plan.together:
                opened.set_aside()
            else:
                file.open = None  # whether it works or not, it is closed
                opened.finish()
                file.is_final = True
        with self._counting:
            self._unfinished -= 1
            last = not self._unfinished
        if self._plan.together and last:
            self._name_all()

    def _name_all(self) -> None:
        """Give all files their names, the first one last: all or none."""
        named: list[AtomicFile] = []
        try:
            for file in reversed(self._files):
                if file.open is not None:
                    file.open.finish()
                    named.append(file.open)
        except BaseException:
            for one in named:
                one.withdraw()
            raise
        for file in self._files:
            file.open, file.is_final = None, True

    def _sync_files(self) -> None:
        for file in self._files:
            with file.lock:
                if file.open is not None:
                    file.open.sync()

    def _close_files(self, *failure: object) -> None:
        for file in self._files:
            if file.open is not None:
                file.open.abandon()
                file.open = None

    def _opened_folder(self) -> Path:
        partial = hidden_sibling(self._target, _PARTIAL)
        folder = self._stack.enter_context(
            AtomicDirectory(
                self._target, force=self._force, partial=partial, keep=self._resume, inputs=self._inputs
            )
        )
        for name, contents in self._plan.sidecars.items():
            path = folder / name
            with reported(OutputError, "cannot create the directory", path.parent):
                path.parent.mkdir(parents=True, exist_ok=True)
            # Under its own name, as the weights: else a killed run would leave another for ever.
            with AtomicFile(
                path, size=len(contents), force=True, partial=path, inputs=self._inputs
            ) as sidecar:
                sidecar.write_at(0, contents)
        return folder

    def _remove_leftovers(self) -> None:
        """What a killed run has left, which nobody writes to: the journal is locked."""
        names = [file.name for file in self._plan.files if self._is_split]
        for path in (self._target, *(self._target.parent / name for name in names)):
            partial = hidden_sibling(path, _PARTIAL)
            try:
                if partial.is_dir() and not partial.is_symlink():
                    shutil.rmtree(partial, ignore_errors=True)
                else:
                    partial.unlink(missing_ok=True)
            except OSError as error:  # in /tmp and its like, where nobody removes what is somebody else's
                raise OutputError(
                    f"cannot remove what lies under the hidden name of the output: {error.strerror}",
                    path=path,
                    found=partial.name,
                ) from error

    def _require_space(self) -> None:
        """Files are reserved one after another: ask for all of them at once beforehand."""
        files = [file for file in self._files if not file.is_final]
        wanted = sum(file.planned.size - _allocated(file.partial) for file in files)
        require_space(self._target, max(0, wanted))


def tidy(target: Path) -> None:
    """Remove the journal of a run that was killed between naming its output and removing the journal.

    Runs that can be repeated do that themselves; one that replaced its own source cannot.

    Raises:
        OutputError: another process is writing this output.
    """
    journal = Journal(target, "", resume=False, force=True)
    if journal.path.exists() and not hidden_sibling(target, _PARTIAL).exists():
        with journal:
            pass


def _allocated(path: Path) -> int:
    try:
        return allocated_bytes(os.stat(path))
    except OSError:
        return 0


def _write_last_byte(file: PlannedFile, output: AtomicFile) -> None:
    """Padding after the last tensor is part of the file even where no space could be reserved."""
    end = max((t.offset + t.nbytes for t in file.tensors), default=len(file.header))
    if file.size > end:
        output.write_at(file.size - 1, b"\0")
