"""Our refusals of malformed safetensors (`tests.hostile`) against those of the safetensors package."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors import SafetensorError, safe_open

from tests.hostile.case import Case
from tests.hostile.safetensors_files import CASES

STRICTER_HERE = {
    "36 header over the limit": "theirs is four times as high",
    "36 header preceded by a space": "the format's description forbids it",
    "36 tensor twice": "the last one counts for them, and the first one's bytes are nobody's",
    "37 shape of rows without end": "its loops over rows are not ours",
    "37 shape of more than numpy counts, times 0": "numpy cannot have it",
    "37 shape of 10,000 dimensions": "no library has tensors of more than 64",
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_safetensors_package_refuses_the_same_files_but_for_a_few(case: Case, tmp_path: Path) -> None:
    """So that none of the cases is a file somebody could have made in good faith."""
    path = case.make(tmp_path)
    try:
        with safe_open(path, "np"):
            refused = False
    except (SafetensorError, OSError):
        refused = True
    assert refused == (case.name not in STRICTER_HERE)
