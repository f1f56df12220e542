"""Threads where memory is short: they begin, or there is an error at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gguf_tools.compute import threads
from gguf_tools.compute.threads import Workers

ROOT = Path(__file__).resolve().parent.parent.parent

EXHAUSTED = """
import mmap, resource, sys, threading
from gguf_tools.compute.threads import Workers
# a thread that ended leaves its stack for the next, which can then be created without memory
for _ in range(4):
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
held = []
try:
    while True:
        held.append(mmap.mmap(-1, mmap.PAGESIZE))
except OSError:
    pass
pool = Workers(1)
try:
    pool.submit(int)
except MemoryError as error:
    print(error)
"""


def test_without_memory_there_is_an_error_and_not_a_wait() -> None:
    """The first call of a thread needs memory; one that finds none would be waited for for ever."""
    command = [sys.executable, "-c", EXHAUSTED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "no memory for a thread\n", done.stderr


def test_a_stack_that_cannot_be_made_is_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(self: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threads.ThreadPoolExecutor, "_adjust_thread_count", start)
    with Workers(1) as pool, pytest.raises(MemoryError, match="no memory for a thread"):
        pool.submit(int)


def test_other_errors_stay_what_they_are() -> None:
    pool = Workers(1)
    assert pool.submit(int, "7").result() == 7
    pool.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        pool.submit(int)
