"""A newer llama.cpp, that of the ``xllamacpp`` package, loads and runs what the other is too old for.

It offers a server, not logits: the test is that it accepts every tensor and key, and makes tokens of them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import gguf_tools
from tests import tiny

SERVE = """
import json, sys
import xllamacpp
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.n_gpu_layers = sys.argv[1], 128, 0
asked = {"prompt": "The capital of France is", "max_tokens": 5, "temperature": 0}
answer = xllamacpp.Server(params).handle_completions(asked)
print("answer " + json.dumps(answer["usage"]), flush=True)
"""

TOO_NEW = tuple(name for name, model in tiny.MODELS.items() if not model.loads)


@pytest.mark.parametrize("name", TOO_NEW)
def test_a_newer_llama_cpp_makes_tokens(name: str, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    gguf_tools.convert(tiny_checkpoints[name], path, type="Q8_0")
    command = [sys.executable, "-c", SERVE, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    (answer,) = [line for line in done.stdout.splitlines() if line.startswith("answer ")]
    assert json.loads(answer.removeprefix("answer "))["completion_tokens"] == 5
