"""What is open, and closed at the end of a ``with`` block: always, or where the block fails."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Closing", "closed_on_error"]

_Closing = TypeVar("_Closing", bound="Closing")


class Closing(ABC):
    """Closes itself when its ``with`` block ends, in whichever way. Subclasses say how."""

    @abstractmethod
    def close(self) -> None:
        """Close it; what needs it fails afterwards."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def closed_on_error(opened: _Closing) -> Iterator[_Closing]:
    """Close something where the block fails; otherwise whoever gets the result of the block does."""
    try:
        yield opened
    except BaseException:
        opened.close()
        raise
