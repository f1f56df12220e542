"""``hf://`` URLs: files of the Hugging Face Hub, at the address they are downloaded from.

As huggingface_hub's ``HfFileSystem`` spells them: ``hf://[datasets/|spaces/]ORG/NAME[@REVISION]/PATH``, a
slash in a revision written ``%2F``. That package is not needed: the address is a rule, and what its file
system adds (listing, caching, uploading) is not wanted here. Its environment variables are obeyed:
``HF_ENDPOINT``, ``HF_TOKEN``, ``HF_TOKEN_PATH``, ``HF_HOME``, ``HF_HUB_OFFLINE``.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from ..errors import RemoteError

if TYPE_CHECKING:
    from .location import Location

__all__ = ["resolve"]

_ENDPOINT: Final = "https://huggingface.co"
_KINDS: Final = ("datasets", "spaces")
_TRUE: Final = frozenset({"1", "ON", "YES", "TRUE"})
_MOST_TOKEN: Final = 4096


def resolve(location: Location) -> tuple[str, dict[str, str]]:
    """The ``https`` URL of an ``hf`` one, and the headers that its host wants.

    Raises:
        RemoteError: no file is named, or the environment says to stay offline.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in _TRUE:
        raise RemoteError("HF_HUB_OFFLINE is set", path=str(location))
    parts = [part for part in location.url.partition("://")[2].split("/") if part]
    kind = parts.pop(0) if parts and parts[0] in _KINDS else None
    if len(parts) < 3 or ".." in parts:
        raise RemoteError("names no file: expected hf://ORG/NAME/FILE", path=str(location))
    name, _, revision = parts[1].partition("@")
    repository = "/".join([*([kind] if kind else []), parts[0], name])
    file = "/".join(quote(part) for part in parts[2:])
    endpoint = os.environ.get("HF_ENDPOINT", "").rstrip("/") or _ENDPOINT
    url = f"{endpoint}/{repository}/resolve/{quote(unquote(revision) or 'main', safe='')}/{file}"
    token = _token()
    return url, {"Authorization": f"Bearer {token}"} if token else {}


def _token() -> str | None:
    """The user's token, from where huggingface_hub has it."""
    if token := os.environ.get("HF_TOKEN", "").strip():
        return token
    home = os.environ.get("HF_HOME") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface"
    )
    path = Path(os.environ.get("HF_TOKEN_PATH") or os.path.join(home, "token")).expanduser()
    try:
        with path.open(encoding="utf-8") as file:
            token = file.read(_MOST_TOKEN).strip()
    except (OSError, UnicodeDecodeError):
        return None
    return token if token.isprintable() else None
