"""The command line itself: names that a shell's pattern may have put there, as any argument or option."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from gguf_tools.cli import COMMANDS, main
from tests.hostile.scenes.base import FILE_NAME, SOUND, Commands, Scene, sound, write, write_sound
from tests.hostile.terminal import PAYLOAD

__all__ = ["SCENES"]

_GIVEN: Final[dict[str, list[str]]] = {
    "convert": ["model", "c.gguf", "--dry-run"],
    "convert-lora": ["adapter", "l.gguf", "--dry-run"],
    "quantize": [SOUND, "q.gguf", "--dry-run", "-t", "Q8_0"],
    "export": [SOUND, "exported", "--dry-run"],
    "inspect": [SOUND],
    "verify": [SOUND],
    "diff": [SOUND, SOUND],
    "estimate": [SOUND],
    "extract": [SOUND, "x.safetensors", "--dry-run"],
    "edit": [SOUND, "--dry-run"],
    "split": [SOUND, "parts", "--dry-run"],
    "merge": [SOUND, "m.gguf", "--dry-run"],
    "architectures": [],
    "warmup": ["F32"],
    "completion": ["bash"],
}
"""Arguments with which a command does something, and writes nothing."""

_VALUES: Final = (
    PAYLOAD,
    FILE_NAME,
    f"({PAYLOAD}",
    f"{PAYLOAD}=Q8_0",
    f"general.name={PAYLOAD}",
    f"({PAYLOAD}=Q8_0",
    f"attn_q={PAYLOAD}",
    f"adapter:{PAYLOAD}",
    f"https://127.0.0.1:1/{PAYLOAD}",
    f"hf://{PAYLOAD}",
    f"{PAYLOAD}://x/y",
)


def _commands(name: str) -> Iterator[list[str]]:
    context = click.Context(main)
    command = main.get_command(context, name)
    assert command is not None
    given = _GIVEN[name]
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.is_flag and not parameter.count:
            for value in _VALUES:
                yield [name, *given, parameter.opts[0], value]
                if name == "edit":
                    yield [name, *given, parameter.opts[0], value, "--type", "string"]
                    yield [name, *given, parameter.opts[0], value, parameter.opts[0], value]
    for value in _VALUES:
        yield from ([name, *given[:place], value, *given[place + 1 :]] for place in range(len(given)))
        yield [name, *given, value]
    yield [name, *given, f"--{PAYLOAD}"]
    yield [name, *given, f"-{PAYLOAD}"]
    yield [name, f"--{PAYLOAD}=x", *given]


def _scene(name: str) -> Scene:
    def make(folder: Path) -> Commands:
        write(folder / "model", sound().checkpoint)
        write(folder / "adapter", sound().adapter)
        write_sound(folder)
        return list(_commands(name))

    return Scene(f"arguments of {name}", make)


def _program(folder: Path) -> Commands:
    return [[PAYLOAD], [f"--{PAYLOAD}"], [f"-{PAYLOAD}"], ["--timeout", PAYLOAD], ["--timeout", PAYLOAD, "x"]]


SCENES: Final = (*map(_scene, COMMANDS), Scene("arguments of the program", _program))
