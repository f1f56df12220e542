"""Memory that is filled as it is asked for: the right bytes, none twice, none unasked for but ahead."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gguf_tools.errors import RemoteError
from gguf_tools.io.remote import range_cache as cache_module
from gguf_tools.io.remote.range_cache import RangeCache

SIZE = 3 << 20
DATA = bytes(i * i * 31 >> 7 & 0xFF for i in range(1 << 12)) * (SIZE >> 12)

ranges = st.tuples(st.integers(0, SIZE), st.integers(0, 300_000), st.integers(0, 2 * SIZE))


class Fetched:
    """What was fetched, each byte of which must be new."""

    def __init__(self) -> None:
        self.seen = bytearray(SIZE)
        self.spans: list[tuple[int, int]] = []

    def __call__(self, start: int, stop: int) -> bytes:
        assert 0 <= start < stop <= SIZE
        assert not any(self.seen[start:stop])
        self.seen[start:stop] = b"\1" * (stop - start)
        self.spans.append((start, stop))
        return DATA[start:stop]


@given(st.lists(ranges, max_size=12), st.booleans())
def test_any_order_of_questions(questions: list[tuple[int, int, int]], sequential: bool) -> None:
    fetched = Fetched()
    cache = RangeCache(SIZE, fetched, "x", sequential=sequential)
    for start, count, likely in questions:
        stop = min(start + count, SIZE)
        end = cache.ensure(start, stop, likely)
        assert stop <= end <= SIZE
        assert cache.buffer[start:end] == DATA[start:end]
        assert all(fetched.seen[start:end])
    if sequential:
        assert [start for start, _ in fetched.spans[1:]] == [stop for _, stop in fetched.spans[:-1]]


def test_reading_on_takes_ever_larger_blocks() -> None:
    fetched = Fetched()
    cache = RangeCache(SIZE, fetched, "x")
    for position in range(0, SIZE, 1000):
        cache.ensure(position, min(position + 1000, SIZE))
    assert len(fetched.spans) < 8
    assert all(fetched.seen)


def test_what_is_jumped_over_is_not_read() -> None:
    fetched = Fetched()
    cache = RangeCache(SIZE, fetched, "x")
    cache.ensure(0, 10)
    cache.ensure(2_000_000, 2_000_010)
    assert sum(fetched.seen) < 200_000


def test_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_module, "MAX_HEADER", 1 << 20)
    cache = RangeCache(SIZE, Fetched(), "x")
    cache.ensure(1 << 19, 1 << 20)
    with pytest.raises(RemoteError, match="beyond 1 MiB"):
        cache.ensure(1 << 19, (1 << 20) + 1)


def test_nobody_writes_into_it() -> None:
    cache = RangeCache(10, lambda start, stop: bytes(stop - start), "x")
    cache.ensure(0, 10)
    with pytest.raises(TypeError):
        cache.buffer[0] = 1
