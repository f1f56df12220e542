"""The committed goldens are what llama.cpp b11434 makes today, and the comparison notices departures."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import tiny
from tests.goldens import record
from tests.goldens.compare import differences
from tests.goldens.converter import Job, convert
from tests.goldens.describe import describe

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("name", [*tiny.NAMES, *tiny.PACKED_NAMES])
def test_recording_again_gives_the_committed_golden(name: str, tmp_path: Path) -> None:
    committed = (record.GOLDENS / f"{name}.json").read_text(encoding="utf-8")
    assert record.dump(record.record(name, tmp_path)) == committed


def test_the_converters_own_file_has_no_differences_and_another_kind_has(tmp_path: Path) -> None:
    checkpoint = tiny.build("qwen3", tmp_path)
    path = tmp_path / "out.gguf"
    convert([Job(checkpoint, path, "f16", tiny.MODELS["qwen3"].pre)])
    golden = record.load("qwen3")
    assert differences(describe(path), golden, "F16") == []
    subjects = {difference.subject for difference in differences(describe(path), golden, "BF16")}
    assert "key general.file_type" in subjects
    assert "tensor blk.0.attn_q.weight" in subjects
    assert "tensor blk.0.attn_norm.weight" not in subjects
