"""What we assume where a checkpoint leaves something out is what the installed transformers assumes."""

from __future__ import annotations

import json

import pytest

from gguf_tools.architectures.hf_defaults import hf_defaults

pytestmark = pytest.mark.parity


def test_the_table_is_what_transformers_states() -> None:
    from tests.goldens.record_defaults import FILE, record

    made = record()
    assert len(made) > 80
    assert made == json.loads(FILE.read_text(encoding="utf-8"))
    assert hf_defaults("Qwen3ForCausalLM") == made["Qwen3ForCausalLM"]
    assert hf_defaults("NobodyForCausalLM") == {}


def test_the_tokenizer_classes_are_those_transformers_takes() -> None:
    from tests.goldens.record_tokenizer_classes import FILE, record

    made = record()
    assert len(made) > 200
    assert made == json.loads(FILE.read_text(encoding="utf-8"))
