"""Real models behind a server: what of them is read, and that it is understood as the file itself is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gguf_tools.container import open_gguf
from gguf_tools.container.array import Array
from gguf_tools.inspection.summary import summarize
from gguf_tools.io.remote.session import session
from tests.io.remote.server import Server
from tests.references import oracles

NUMBERS = ("tokenizer.ggml.scores", "tokenizer.ggml.token_type")


def vocabulary(name: str) -> Path:
    return oracles.llama_cpp() / "models" / f"ggml-vocab-{name}.gguf"


@pytest.mark.parametrize(
    ("path", "tokens", "most_requests"),
    [
        (oracles.gemma3, 262_144, 6),
        (oracles.smollm2, 49_152, 8),
        (lambda: vocabulary("llama-bpe"), 128_256, 10),
        (lambda: vocabulary("gemma-4"), 262_144, 10),
    ],
    ids=["gemma3-270m", "smollm2", "llama-bpe", "gemma-4"],
)
def test_little_more_than_the_strings_is_read(
    server: Server,
    measured: Callable[[str], None],
    path: Callable[[], Path],
    tokens: int,
    most_requests: int,
) -> None:
    server.files["m.gguf"] = path().read_bytes()
    with open_gguf(path()) as here, session() as opened, open_gguf(server.url("m.gguf")) as there:
        transfer = opened.transfer()
        assert transfer is not None
        assert len(there.metadata["tokenizer.ggml.tokens"]) == tokens
        assert transfer.bytes == server.sent
        jumped = sum(
            value.numpy().nbytes for value in map(here.metadata.get, NUMBERS) if isinstance(value, Array)
        )
        needed = here.header.end - jumped
        assert transfer.bytes < needed + (1 << 18)
        assert transfer.requests <= most_requests
        assert summarize(here).to_dict() | {"path": "", "files": []} == summarize(there).to_dict() | {
            "path": "",
            "files": [],
        }
        assert here.metadata == there.metadata
        assert here.header.entries == there.header.entries
        measured(
            f"{path().name}: header {here.header.end:,} bytes, of which numbers {jumped:,}; read "
            f"{transfer.bytes:,} in {transfer.requests} requests of {transfer.size:,}"
        )
