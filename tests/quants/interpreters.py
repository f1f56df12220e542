"""Quantizing in a fresh interpreter, with its settings of numba."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from gguf_tools import quants

ROOT = Path(__file__).parents[2]


def python(code: str, environment: Mapping[str, str] | None = None, *, path: Path = ROOT) -> Any:
    """Run code in a fresh interpreter whose ``gguf_tools`` is the one in ``path``; its JSON output."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA_")}
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=clean | {"PYTHONPATH": str(path)} | (environment or {}),
        cwd=path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


ENCODE = """
import json, numpy as np, gguf_tools.quants as q
from gguf_tools.compute.jit import cache_directory
data = q.quantize(np.linspace(-1, 1, 32, dtype=np.float32), "Q4_0")
print(json.dumps([data.tolist(), str(cache_directory()), len(list(cache_directory().rglob("*.kernel")))]))
"""


EXPECTED = quants.quantize(np.linspace(-1, 1, 32, dtype=np.float32), "Q4_0").tolist()
