"""``hf://`` URLs: where the Hugging Face Hub has a file, and which files it has.

huggingface_hub knows: endpoint, token, offline mode, the addresses of files and the listing of repositories.
The bytes themselves are ranges over HTTP, of which it only reads whole files.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from huggingface_hub import HfApi, constants, get_token, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from ...errors import RemoteError

if TYPE_CHECKING:
    from .location import HubPath, Location

__all__ = ["list_names", "resolve"]


def resolve(location: Location) -> tuple[str, dict[str, str]]:
    """The ``https`` URL of an ``hf`` one, and the headers that its host wants.

    Raises:
        RemoteError: no file is named, the name is unusable, or the environment says to stay offline.
    """
    parts = _parts(location)
    if not parts.file:
        raise RemoteError("names no file: expected hf://ORG/NAME/FILE", path=str(location))
    try:
        url = hf_hub_url(
            parts.repository, parts.file, repo_type=parts.kind, revision=parts.revision, endpoint=_endpoint()
        )
        token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    except Exception as cause:  # of its checks, or from fetching a token
        message = f"cannot be asked of the Hub: {location.describe(cause)}"
        raise RemoteError(message, path=str(location)) from cause
    return url, {"Authorization": f"Bearer {token}"} if token else {}


def list_names(directory: Location, timeout: float) -> list[str]:
    """Names of the files in a directory of a repository; none where it is not there, or private.

    Raises:
        RemoteError: the Hub does not say.
    """
    parts = _parts(directory)
    api = HfApi(endpoint=_endpoint(), library_name="gguf-tools")
    try:
        info = api.repo_info(parts.repository, repo_type=parts.kind, revision=parts.revision, timeout=timeout)
    except Exception as cause:  # of httpx or requests, depending on the package's version
        status = cause.response.status_code if isinstance(cause, HfHubHTTPError) else None
        if status == 404 or isinstance(cause, RepositoryNotFoundError):
            return []
        message = f"the Hub does not list the files: {directory.describe(cause)}"
        raise RemoteError(message, path=str(directory), status=status) from cause
    folder = f"{parts.file}/" if parts.file else ""
    names = (
        file.rfilename.removeprefix(folder)
        for file in info.siblings or ()
        if file.rfilename.startswith(folder)
    )
    return [name for name in names if "/" not in name]


def _parts(location: Location) -> HubPath:
    if constants.HF_HUB_OFFLINE:
        raise RemoteError("HF_HUB_OFFLINE is set", path=str(location))
    parts = location.hub
    if parts is None:
        raise RemoteError("names no file of the Hub: expected hf://ORG/NAME/FILE", path=str(location))
    return parts


def _endpoint() -> str:
    """Where the Hub is; the package reads the variable only when it is imported."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or constants.ENDPOINT
