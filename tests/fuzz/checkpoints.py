"""Checkpoints whose JSON files are edited (`tests.fuzz.edits`): planned, converted, verified.

Whatever a file says, a conversion is planned, or refused by an error of the package that is one line. What is
planned is written, unless a weight cannot be, and `verify` finds no error in it.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

from gguf_tools.conversion.engine import RunOptions, execute
from gguf_tools.conversion.lora import plan_lora
from gguf_tools.conversion.plan import Plan
from gguf_tools.conversion.to_gguf import plan_conversion
from gguf_tools.errors import GGUFToolsError
from gguf_tools.verification.verify import verify
from tests import tiny
from tests.adapters import adapt
from tests.fuzz.edits import Edit, Pool, edited

__all__ = ["ADAPTER", "DEMO", "NAMES", "SHARDED", "Case", "Checkpoints", "FaultyError"]

ADAPTER: Final = "adapter of llama"
SHARDED: Final = "llama in shards"
DEMO: Final = "demo"
NAMES: Final = (*tiny.MODELS, ADAPTER, SHARDED, DEMO)

_ADAPTED: Final = r".*(q_proj|v_proj|down_proj)\.weight"
_FIXTURES: Final = Path(__file__).resolve().parents[2] / "fixtures"

LONGEST_LINE: Final = 6000
"""Characters of an error. The longest honest one lists all supported architectures; no text of a file's own,
which may be megabytes, is quoted whole."""

MOST_WRITTEN: Final = 1 << 26
"""Bytes of an output; a plan may ask for more where a config says so, but not of these weights."""

TYPES: Final = ("BF16", "F16", "Q8_0", "Q4_K_M")


INHERITED: Final[Mapping[str, str]] = {
    "chat-template": "a template is copied as it is: a model is worth converting without a usable one",
}
"""Errors `verify` may find in what was converted, with the reason."""


class FaultyError(AssertionError):
    """What must not happen: an error of several lines, a file that `verify` finds fault with."""


class Case(NamedTuple):
    """A model and the edits of its files."""

    model: str
    edits: list[Edit]

    @classmethod
    def of(cls, data: bytes) -> Case | None:
        """A case from JSON; None where it is none."""
        try:
            document = json.loads(data)
            model, edits = document["model"], document["edits"]
            for name, operation, path, _ in edits:
                if (
                    Path(name).suffix != ".json"
                    or Path(name).is_absolute()
                    or ".." in name
                    or not isinstance(operation, str)
                ):
                    return None
                tuple(path)
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return cls(model, edits) if model in NAMES else None

    def to_bytes(self) -> bytes:
        return json.dumps({"model": self.model, "edits": self.edits}).encode()


class Checkpoints:
    """The checkpoints, each written when it is first needed, and restored after every case.

    Args:
        folder: where to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._directories: dict[str, Path] = {}

    @cached_property
    def pool(self) -> Pool:
        """All documents."""
        return Pool({model: self._documents(model) for model in NAMES})

    def cases(self, seed: int | str, models: Sequence[str] = NAMES) -> Iterator[Case]:
        """Cases without end, always the same ones for a seed: each model in turn, edited by chance."""
        dice = random.Random(seed)
        while True:
            for model in models:
                yield Case(model, self.pool.edits(model, dice))

    def run(self, case: Case, *, convert: bool = True) -> str:
        """Plan a case and, where it is planned and wanted, convert and verify it.

        Returns:
            ``refused``, ``planned``, ``converted``, or ``unwritable`` where a weight was refused.

        Raises:
            FaultyError: an error that is not one short line, or an output that is not sound.
        """
        directory = self._directory(case.model)
        texts = edited(self.pool.documents[case.model], case.edits)
        kept = {name: _contents(directory / name) for name in texts}
        try:
            for name, text in texts.items():
                (directory / name).parent.mkdir(exist_ok=True)
                (directory / name).write_bytes(text)
            return self._convert(case, directory, convert)
        finally:
            for name, contents in kept.items():
                if contents is None:
                    (directory / name).unlink()
                else:
                    (directory / name).write_bytes(contents)

    def _convert(self, case: Case, directory: Path, convert: bool) -> str:
        try:
            plan = self._plan(case, directory)
        except GGUFToolsError as error:
            _require_one_line(error)
            return "refused"
        if not convert or plan.size > MOST_WRITTEN:
            return "planned"
        output = self.folder / "output.gguf"
        try:
            execute(plan, output, RunOptions(threads=1, force=True))
        except GGUFToolsError as error:
            _require_one_line(error)
            return "unwritable"
        for found in verify(output):
            if found.severity == "error" and found.code not in INHERITED:
                raise FaultyError(f"verify: {found.code}: {found.place}: {found.message}")
        return "converted"

    def _plan(self, case: Case, directory: Path) -> Plan:
        kind = TYPES[len(case.edits) % len(TYPES)]
        if case.model == ADAPTER:
            return plan_lora(directory, base=self._directory("llama"))
        return plan_conversion(directory, recipe=kind)

    def _directory(self, model: str) -> Path:
        if model not in self._directories:
            self._directories[model] = self._build(model)
        return self._directories[model]

    def _build(self, model: str) -> Path:
        if model == ADAPTER:
            return adapt(self._directory("llama"), self.folder / "adapter", _ADAPTED)
        if model == DEMO:
            return Path(shutil.copytree(_FIXTURES / "demo", self.folder / "demo"))
        if model == SHARDED:
            return tiny.write(replace(tiny.MODELS["llama"], shards=3), self.folder / "shards")
        return tiny.build(model, self.folder)

    def _documents(self, model: str) -> dict[str, Any]:
        """A model's JSON files by name. Of most models no weight need be made for it."""
        if model in tiny.MODELS:
            made = tiny.MODELS[model]
            texts = {
                path.name: path.read_text(encoding="utf-8")
                for path in (tiny.TOKENIZERS / made.tokenizer).glob("*.json")
                if path.name not in made.without
            }
            texts |= {name: text for name, text in made.files.items() if name.endswith(".json")}
            return {"config.json": made.config} | {name: json.loads(text) for name, text in texts.items()}
        directory = self._directory(model)
        return {
            path.relative_to(directory).as_posix(): json.loads(path.read_text(encoding="utf-8"))
            for path in sorted(directory.rglob("*.json"))
        }


def _contents(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def _require_one_line(error: GGUFToolsError) -> None:
    """Raise unless an error is one short line, as the command line prints it."""
    line = " ".join(str(error).split())
    if not error.message or len(line) > LONGEST_LINE:
        raise FaultyError(f"not one short line: {line!r}") from error
