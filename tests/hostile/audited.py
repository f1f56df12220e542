"""Run commands of the program and report what Python was made to do that no command should.

    python -m tests.hostile.audited FOLDER '[["inspect", "model.gguf"], …]'

Python tells an audit hook of every file opened, module imported, code executed, object unpickled, process
started and connection made. FOLDER is a checkpoint: none of its code or pickles may as much as be opened.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from types import CodeType
from typing import Any, Final

CODE: Final = frozenset({".py", ".pyc", ".so", ".bin", ".pkl", ".pt", ".pth", ".ckpt", ".pickle"})

_NEVER: Final = (
    *("subprocess.", "os.exec", "os.posix_spawn", "os.system", "os.fork", "urllib."),
    *("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"),
)
"""Beginnings of events. A socket by itself is none: urllib3, which the ``gguf`` package imports, opens one to
see whether there is IPv6."""

_FOREIGN: Final = ("torch", "transformers")

_found: list[str] = []


def watch(folder: Path) -> None:
    """Take note from now on."""
    inside = os.fspath(folder.resolve()) + os.sep

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(_NEVER):
            _found.append(event)
        elif event == "open" and isinstance(arguments[0], str):
            path = Path(os.path.realpath(arguments[0]))
            if path.suffix in CODE and os.fspath(path).startswith(inside):
                _found.append(f"opened {path.name}")
        elif event == "exec" and isinstance(arguments[0], CodeType):
            if os.path.realpath(arguments[0].co_filename).startswith(inside):
                _found.append(f"executed {arguments[0].co_filename}")
        elif event == "pickle.find_class" and not _by_numba():
            _found.append(f"unpickled {arguments}")

    sys.addaudithook(hook)


def _by_numba() -> bool:
    """Whether numba is reading its cache of compiled kernels, which are pickles that it wrote itself."""
    frame = sys._getframe(1)
    while frame is not None:
        if f"{os.sep}numba{os.sep}" in frame.f_code.co_filename:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


def main() -> None:
    """Run them one after the other; print exit codes and findings as JSON."""
    from gguf_tools.cli import main as program

    watch(Path(sys.argv[1]))
    codes = []
    printed, sys.stdout = sys.stdout, sys.stderr
    for command in json.loads(sys.argv[2]):
        try:
            program(command, prog_name="gguf-tools")
        except SystemExit as end:
            codes.append(end.code or 0)
    foreign = [name for name in _FOREIGN if name in sys.modules]
    json.dump({"codes": codes, "found": _found, "foreign": foreign}, printed)


if __name__ == "__main__":
    main()
