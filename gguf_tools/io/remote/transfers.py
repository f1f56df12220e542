"""How patient reading is, and the count of what it transfers."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass

__all__ = ["Patience", "Transfer", "TransferCounter"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait and how often to try.

    Attributes:
        timeout: seconds without an answer, or without the next bytes, that are too long.
        retries: how often what may pass by itself is tried again: timeouts, broken connections, and the
            statuses that mean "later".
        backoff: the first retry is made at once, the n-th after ``backoff × 2**(n-1)`` seconds.
    """

    timeout: float = 30.0
    retries: int = 3
    backoff: float = 0.5


@dataclass(frozen=True, slots=True)
class Transfer:
    """What was read of remote files.

    Attributes:
        files: how many there were.
        requests: all that were sent, redirects and retries included.
        bytes: of file contents that came.
        size: of the files, in bytes.
    """

    files: int
    requests: int
    bytes: int
    size: int

    def to_dict(self) -> dict[str, int]:
        """Plain values for JSON; the key names are stable."""
        return asdict(self)


class TransferCounter:
    """Requests and bytes, counted from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.requests = 0
        self.bytes = 0

    def count_request(self) -> None:
        """One more was sent."""
        with self._lock:
            self.requests += 1

    def count_bytes(self, count: int) -> None:
        """So many bytes of a file came."""
        with self._lock:
            self.bytes += count
