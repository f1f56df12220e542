"""``verify``, with and without checksums, against reading the same file and against SHA-256 alone.

Of a cached file, which shows what the work costs, and of one that is not, which shows what the disk allows.
That one is made: the tensors of the file again and again. Before each run the kernel is asked to forget it,
and its own count of bytes fetched tells whether it did. What lies below, such as the host of a virtual
machine, may have a cache of its own; nothing in here can tell.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final

from .measure import measure, table

__all__ = ["cached", "show", "uncached"]

_TIMED: Final = """
import os, sys, time
from bench.checking import fetched, forget
{prepare}
if {forgetting}: forget(sys.argv[1])
before, begun = fetched(), time.perf_counter()
{call}
print(time.perf_counter() - begun, fetched() - before)
"""

_CHECKS: Final = {
    "read": (
        "import os\nfd, buffer = os.open(sys.argv[1], os.O_RDONLY), bytearray(1 << 21)",
        "while os.readv(fd, [buffer]): pass",
    ),
    "SHA-256 (hashlib)": ("import hashlib", "hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256')"),
    "verify": ("from gguf_tools.verification.verify import verify", "assert not verify(sys.argv[1])"),
    "verify --hash": (
        "from gguf_tools.verification.verify import verify\n"
        "from gguf_tools.verification.hashing import Hashing",
        "hashing = Hashing('sha256')\nassert not verify(sys.argv[1], hashing=hashing)\nhashing.result()",
    ),
    "verify --hash blake3": (
        "import blake3\nfrom gguf_tools.verification.verify import verify\n"
        "from gguf_tools.verification.hashing import Hashing",
        "hashing = Hashing('blake3')\nassert not verify(sys.argv[1], hashing=hashing)\nhashing.result()",
    ),
}
"""What is imported beforehand, and what is timed."""

_DIRECT: Final = {
    "read past the cache": (
        "import mmap\nfd, buffer = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECT), mmap.mmap(-1, 1 << 22)",
        "while os.readv(fd, [buffer]): pass",
    ),
}
"""The disk alone: straight into memory, without the kernel's copying. Not every file system has it."""


def cached(file: Path, runs: int) -> dict[str, Any]:
    """Medians of alternating calls on a file that was just read: seconds and bytes per second."""
    return _alternating(_CHECKS, file, runs, forgetting=False)


def uncached(file: Path, runs: int, size: int) -> dict[str, Any]:
    """As `cached`, of a file of about ``size`` bytes that is on the disk only; None where that cannot be.

    ``fetched`` is how much of it the kernel counted as read from the disk, 1.0 for all, in the median.
    """
    with tempfile.TemporaryDirectory(prefix="gguf-tools-bench-") as folder:
        large = Path(folder) / "large.gguf"
        copies = -(-size // file.stat().st_size)
        code = f"from bench.checking import repeat; repeat({str(file)!r}, {str(large)!r}, {copies})"
        measure([sys.executable, "-c", code])
        direct = _DIRECT if _reads_directly(large) else {}
        found = _alternating(direct | _CHECKS, large, runs, forgetting=True)
        return {"size": large.stat().st_size, "calls": found}


def _alternating(
    checks: Mapping[str, tuple[str, str]], file: Path, runs: int, *, forgetting: bool
) -> dict[str, Any]:
    seconds: dict[str, list[float]] = {name: [] for name in checks}
    shares: dict[str, list[float]] = {name: [] for name in checks}
    size = file.stat().st_size
    for _ in range(runs):
        for name, (prepare, call) in checks.items():
            code = _TIMED.format(prepare=prepare, call=call, forgetting=forgetting)
            taken, count = measure([sys.executable, "-c", code, str(file)])[1].split()
            seconds[name].append(float(taken))
            shares[name].append(int(count) / size)
    return {
        name: {
            "seconds": median(taken),
            "bytes_per_second": size / median(taken),
            "fetched": median(shares[name]),
        }
        for name, taken in seconds.items()
    }


def repeat(file: str, target: str, copies: int) -> None:
    """A file with the tensors of another one several times, under other names."""
    from gguf_tools.container import Metadata, open_gguf, write_gguf
    from gguf_tools.spec import ValueType

    metadata = Metadata(
        [
            ("general.architecture", ValueType.STRING, "none"),
            ("general.quantization_version", ValueType.UINT32, 2),
        ]
    )
    with open_gguf(file) as model:
        tensors = model.tensors.items()
        write_gguf(target, metadata, [(f"{i}.{name}", one) for i in range(copies) for name, one in tensors])


def forget(file: str) -> None:
    """Ask the kernel to drop what it has of a file; it keeps what has not been written yet."""
    fd = os.open(file, os.O_RDONLY)
    os.fsync(fd)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def fetched() -> int:
    """Bytes this process has had read from a disk, as the kernel counts them."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("read_bytes"))


def _reads_directly(file: Path) -> bool:
    try:
        os.close(os.open(file, os.O_RDONLY | os.O_DIRECT))
    except OSError:
        return False
    return True


def show(found: Mapping[str, Any], title: str, *, on_disk: bool) -> str:
    """The figures as a plain table."""
    heading = [title, "call", "rate", *(["from the disk"] if on_disk else [])]
    rows = [
        [
            name,
            f"{one['seconds'] * 1e3:,.0f} ms",
            f"{one['bytes_per_second'] / 1e9:.2f} GB/s",
            *([f"{one['fetched']:.0%}"] if on_disk else []),
        ]
        for name, one in found.items()
    ]
    return table(heading, rows)
