"""Commands that read URLs: how long they wait, and telling what they transferred."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from .console import console, size

if TYPE_CHECKING:
    from ..io.remote.session import Transfer

__all__ = ["counting"]


def counting(callback: Callable[..., Any]) -> Callable[..., Any]:
    """A command's callback that says at its end, where anything remote was read, how much that was.

    On stderr, so that it is in nobody's way; not with ``--quiet``. With ``--json`` it is in the document.
    """

    @wraps(callback)
    def counted(**parameters: Any) -> Any:
        from ..io.remote.session import session

        timeout = click.get_current_context().find_root().params.get("timeout")
        with session(**({} if timeout is None else {"timeout": timeout})) as opened:
            try:
                return callback(**parameters)
            finally:
                transfer = opened.transfer()
                if transfer and not (parameters.get("quiet") or parameters.get("as_json")):
                    console(stderr=True).print(_described(transfer), style="dim")

    return counted


def _described(transfer: Transfer) -> str:
    requests = "1 request" if transfer.requests == 1 else f"{transfer.requests:,} requests"
    return f"read {size(transfer.bytes)} in {requests} of {size(transfer.size)}"
