"""``hf://`` URLs: where the Hugging Face Hub has a file, and which files it has.

huggingface_hub knows: endpoint, token, offline mode, the addresses of files and the listing of repositories.
The bytes themselves are ranges over HTTP, of which it only reads whole files.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from huggingface_hub import HfApi, constants, hf_hub_url
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError
from huggingface_hub.utils import build_hf_headers

from ..errors import RemoteError

if TYPE_CHECKING:
    from .location import HubPath, Location

__all__ = ["list_files", "resolve"]


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
        token = build_hf_headers(library_name="gguf-tools").get("authorization")
    except Exception as cause:  # of its checks, or from fetching a token
        raise RemoteError(
            f"cannot be asked of the Hub: {location.describe(cause)}", path=str(location)
        ) from cause
    return url, {"Authorization": token} if token else {}


def list_files(location: Location, timeout: float) -> list[str]:
    """Paths of all files of a repository; none where there is no such repository, or it is private.

    Raises:
        RemoteError: the Hub does not say.
    """
    parts = _parts(location)
    api = HfApi(endpoint=_endpoint(), library_name="gguf-tools")
    try:
        info = api.repo_info(
            parts.repository,
            repo_type=parts.kind,
            revision=parts.revision,
            timeout=timeout,
            files_metadata=False,
        )
    except (RepositoryNotFoundError, RevisionNotFoundError):
        return []
    except Exception as cause:  # of httpx or requests, depending on its version
        status = cause.response.status_code if isinstance(cause, HfHubHTTPError) else None
        if status == 404:
            return []
        message = f"the Hub does not list the files: {location.describe(cause)}"
        raise RemoteError(message, path=str(location), status=status) from cause
    return [file.rfilename for file in info.siblings or ()]


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
