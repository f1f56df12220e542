"""What a scene is, what is sound about the files in it, and the commands for each kind of file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NamedTuple

import gguf_tools
from gguf_tools.container.metadata import Array
from tests import builders as b
from tests import tiny
from tests.adapters import adapt
from tests.hostile.terminal import NAME, PAYLOAD

__all__ = [
    "BYTES",
    "FILE_NAME",
    "SOUND",
    "Commands",
    "Pairs",
    "Scene",
    "Sound",
    "of_checkpoint",
    "of_gguf",
    "sound",
    "write",
    "write_sound",
]

Commands = list[list[str]]
Pairs = list[tuple[str | bytes, int, Any]]
Files = dict[str, bytes]

FILE_NAME: Final = NAME.replace("/", "") + "\udcff"
"""With a byte that is no UTF-8."""

BYTES: Final = b"\xff\xfe" + PAYLOAD.encode()
"""Text that is no UTF-8."""


@dataclass(frozen=True)
class Scene:
    """One source of hostile text.

    Attributes:
        name: what it is.
        make: puts files into an empty folder and returns commands.
        silent: the text need not be shown by any of them.
    """

    name: str
    make: Callable[[Path], Commands]
    silent: bool = False


class Sound(NamedTuple):
    """What hostile files are made from: files by name, and a GGUF file's parts."""

    checkpoint: Files
    adapter: Files
    pairs: Pairs
    tensors: list[b.Tensor]


@cache
def sound() -> Sound:
    """A tiny Llama of one layer, an adapter for it, and what becomes of it as F16."""
    with TemporaryDirectory() as folder:
        model = tiny.MODELS["llama"]
        model = replace(model, config=model.config | {"num_hidden_layers": 1})
        checkpoint = tiny.write(model, Path(folder, "tiny-llama"))
        adapter = adapt(checkpoint, Path(folder, "adapter"), r".*q_proj\.weight")
        gguf_tools.convert(checkpoint, Path(folder, "a.gguf"), type="F16")
        data = Path(folder, "a.gguf").read_bytes()
        with gguf_tools.open(Path(folder, "a.gguf")) as file:
            pairs = [(key, int(kind), _parts(value)) for key, kind, value in file.metadata.entries()]
            tensors = [
                b.Tensor(t.name, t.shape[::-1], int(t.type), data[t.offset : t.offset + (t.nbytes or 0)])
                for t in file.tensors.values()
            ]
        return Sound(_read(checkpoint), _read(adapter), pairs, tensors)


def _parts(value: Any) -> Any:
    """Arrays as the builders take them."""
    return (int(value.element_type), list(value)) if isinstance(value, Array) else value


def _read(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


SOUND: Final = "sound.gguf"


def write_sound(folder: Path) -> None:
    """The sound GGUF file."""
    (folder / SOUND).write_bytes(b.build(sound().pairs, sound().tensors))


def of_gguf(name: str, key: str = "general.name") -> Commands:
    """Every command that takes a GGUF file."""
    return [
        ["inspect", name],
        ["inspect", name, "--map", "--tensors", "--metadata", "--sizes"],
        ["inspect", name, "--stats"],
        ["inspect", name, "--stats", "--metadata", "--tensors", "--sizes", "--json"],
        ["inspect", name, "--key", key],
        ["inspect", name, "--key", key, "--json"],
        ["inspect", name, "--key", key[:-1]],
        ["inspect", name, "--html", "page.html", "--stats"],
        ["verify", name],
        ["verify", name, "--hash", "sha256"],
        ["verify", name, "--hash", "sha256", "--json"],
        ["diff", name, SOUND],
        ["diff", SOUND, name, "--no-data"],
        ["diff", name, SOUND, "--json"],
        ["estimate", name],
        ["estimate", name, "--fits", "1G", "--json"],
        ["extract", name, "all.safetensors", "--dry-run"],
        ["extract", name, "all.safetensors"],
        ["extract", name, "folder", "--json"],
        ["quantize", name, "q.gguf", "-t", "Q4_K_M", "--dry-run", "--explain"],
        ["quantize", name, "q.gguf", "-t", "Q8_0"],
        ["quantize", name, "q2.gguf", "-t", "Q8_0", "--json"],
        ["export", name, "exported"],
        ["export", name, "exported2", "--dry-run", "--json"],
        ["edit", name, "--set", f"{key}=x", "--dry-run"],
        ["edit", name, "--rename", f"{key}=new.key", "--dry-run", "--json"],
        ["edit", name, "--rename-arch", "qwen3", "--dry-run"],
        ["edit", name, "--delete", key, "-o", "edited.gguf"],
        ["split", name, "parts", "--max-tensors", "20"],
        ["split", name, "parts2", "--max-tensors", "20", "--dry-run", "--json"],
        ["merge", "parts-00001-of-00002.gguf", "merged.gguf"],
        ["merge", "parts-00001-of-00002.gguf", "merged2.gguf", "--json"],
        ["convert", name, "c.gguf"],
        ["quantize", SOUND, "q3.gguf", "-t", "Q8_0", "--imatrix", name],
        ["verify", SOUND, "--against", name],
    ]


def of_checkpoint(name: str) -> Commands:
    """Every command that takes a checkpoint."""
    return [
        ["inspect", name],
        ["inspect", name, "--metadata", "--tensors", "--map"],
        ["inspect", name, "--sizes"],
        ["inspect", name, "--metadata", "--tensors", "--json"],
        ["convert", name, "c.gguf", "--dry-run", "--explain"],
        ["convert", name, "c.gguf", "-t", "Q8_0"],
        ["convert", name, "c2.gguf", "--json"],
        ["estimate", name],
        ["diff", name, SOUND],
        ["convert-lora", "adapter", "l.gguf", "--base", name],
    ]
