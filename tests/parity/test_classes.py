"""Every class is what llama.cpp's converter takes it for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from gguf_tools.architectures import ARCHITECTURES
from tests.references import oracles

pytestmark = pytest.mark.parity

LISTING = """
import json, sys
sys.path[:0] = [sys.argv[1] + "/gguf-py", sys.argv[1]]
from conversion import load_all_models
from conversion.base import ModelBase, ModelType, gguf
load_all_models()
classes = ModelBase._model_classes[ModelType.TEXT]
print(json.dumps({name: gguf.MODEL_ARCH_NAMES[found.model_arch] for name, found in classes.items()}))
"""

UNREGISTERED = {
    "MptForCausalLM",  # transformers' own spelling
    "RobertaForMaskedLM",
    "XLMRobertaForMaskedLM",
}


DECIDED_LATER = {"NomicBertModel"}
"""Whose architecture the converter decides when it has read more than the class."""


def test_classes_are_registered_for_the_same_architecture() -> None:
    command = [sys.executable, "-c", LISTING, str(oracles.llama_cpp())]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    known = json.loads(done.stdout.splitlines()[-1])
    assert len(known) > 200
    ours: dict[str, set[str]] = {}
    for family in ARCHITECTURES:  # of some classes several: their configs tell which
        for name in family.hf_classes:
            ours.setdefault(name, set()).add(family.name)
    assert set(ours) - set(known) == UNREGISTERED
    compared = set(ours) - UNREGISTERED - DECIDED_LATER
    assert [name for name in compared if known[name] not in ours[name]] == []
