"""A server for every test, connections that are not proxied, and no waiting before retries."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from gguf_tools.io.remote.session import Session, session
from tests.io.remote.server import Server, serving


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the user's: proxies, tokens, clouds."""
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HF_TOKEN", "HF_ENDPOINT", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", "/nonexistent/token")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def opened() -> Iterator[Session]:
    """A session that retries twice and at once."""
    with session(retries=2, backoff=0.001) as opened:
        yield opened
