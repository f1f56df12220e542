"""Record the bytes of everything that is made of the inputs of `tests.goldens.outputs`.

    python -m tests.goldens.record_outputs             records ``fixtures/outputs.json``
    python -m tests.goldens.record_outputs --print …   prints what these jobs make here, and records nothing

Tests run the second in processes with other settings, and only read what the first one recorded.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tests.goldens.outputs import EDITS, JOBS, digests, inputs, plainly

GOLDEN = Path(__file__).resolve().parent.parent.parent / "fixtures" / "outputs.json"

Digests = dict[str, str]


def load() -> dict[str, Digests]:
    """SHA-256 of each file of each job, as recorded; a missing golden is an error."""
    golden: dict[str, Digests] = json.loads(GOLDEN.read_text(encoding="utf-8"))
    return golden


def made(names: Iterable[str]) -> dict[str, Digests]:
    """What the named jobs make here and now."""
    found = {}
    with tempfile.TemporaryDirectory() as scratch, inputs(Path(scratch)):
        for number, name in enumerate(names):
            folder = Path(str(number))
            folder.mkdir()
            if name in JOBS:
                plainly(JOBS[name], folder / JOBS[name].target)
            else:
                EDITS[name](folder)
            found[name] = digests(folder)
    return found


def main() -> None:
    """Record, or print as JSON."""
    if sys.argv[1:2] == ["--print"]:
        print(json.dumps(made(sys.argv[2:])))
        return
    lines = [f"{json.dumps(name)}: {json.dumps(files)}" for name, files in made([*JOBS, *EDITS]).items()]
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
