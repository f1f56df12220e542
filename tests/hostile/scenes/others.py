# ruff: noqa: E501 - a scene a line reads as a table
"""What else is read or named: adapters, importance matrices, recipes, checksums, and files as such."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests import builders as b
from tests.hostile.importance_files import entry, old
from tests.hostile.scenes.base import (
    BYTES,
    FILE_NAME,
    SOUND,
    Commands,
    Scene,
    of_checkpoint,
    of_gguf,
    sound,
    write,
    write_sound,
)
from tests.hostile.scenes.checkpoints import replaced, with_value
from tests.hostile.terminal import NAME, PAYLOAD

__all__ = ["SCENES"]


def adapter(name: str, change: Callable[[Path], Any], *, silent: bool = False) -> Scene:
    def make(folder: Path) -> Commands:
        write(folder / "model", sound().checkpoint)
        write(folder / "adapter", sound().adapter)
        change(folder / "adapter")
        return [
            ["convert-lora", "adapter", "l.gguf", "--base", "model"],
            ["convert-lora", "adapter", "l.gguf"],
            ["convert-lora", "adapter", "l2.gguf", "--base", "model", "--json"],
            ["convert", "model", "m.gguf", "-t", "F16", "--merge-lora", "adapter"],
            ["convert", "model", "m.gguf", "-t", "F16", "--merge-lora", "adapter", "--dry-run"],
            ["inspect", "adapter"],
            ["inspect", "adapter", "--metadata", "--tensors", "--json"],
            ["inspect", "l.gguf", "--metadata", "--tensors"],
        ]

    return Scene(f"adapter, {name}", make, silent)


def _adapter(key: str, value: Any, *, silent: bool = False) -> Scene:
    name = f"{key!a:.40} {type(value).__name__}"
    return adapter(name, with_value("adapter_config.json", key)(value), silent=silent)


def _adapter_tensor(model: Path) -> None:
    path = model / "adapter_model.safetensors"
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    text = raw[8 : 8 + length].replace(b"layers.0.", b"layers.0." + json.dumps(PAYLOAD)[1:-1].encode())
    path.write_bytes(len(text).to_bytes(8, "little") + text + raw[8 + length :])


ADAPTERS: Final = (
    *(_adapter(key, PAYLOAD) for key in ("peft_type", "r", "lora_alpha", "bias", "use_dora")),
    _adapter("task_type", PAYLOAD, silent=True),
    _adapter("base_model_name_or_path", PAYLOAD),
    _adapter("rank_pattern", {PAYLOAD: PAYLOAD}),
    _adapter("alpha_pattern", {f"({PAYLOAD}": 8}),
    _adapter("modules_to_save", [PAYLOAD], silent=True),
    _adapter("alora_invocation_tokens", [PAYLOAD]),
    adapter("tensor", _adapter_tensor),
    adapter("config not JSON", replaced("adapter_config.json", b'{"' + PAYLOAD.encode()), silent=True),
)


def importance(name: str, data: bytes) -> Scene:
    def make(folder: Path) -> Commands:
        write_sound(folder)
        (folder / FILE_NAME).write_bytes(data)
        quantize = ["quantize", SOUND, "q.gguf", "--imatrix", FILE_NAME]
        return [
            [*quantize, "-t", "IQ2_XXS", "--dry-run", "--explain"],
            [*quantize, "-t", "Q4_K_M"],
            [*quantize, "-t", "Q4_K_M", "--json"],
            ["inspect", "q.gguf", "--metadata"],
            ["inspect", FILE_NAME, "--metadata", "--tensors"],
        ]

    return Scene(f"importances, {name}", make)


def _sums(*dims: int, name: str = f"{NAME[:30]}.in_sum2") -> b.Tensor:
    return b.Tensor(name, dims, 0, bytes(4 * dims[0] * (dims[1] if len(dims) > 1 else 1)))


_IMATRIX: Final = [
    ("general.type", b.STRING, "imatrix"),
    ("imatrix.datasets", b.ARRAY, (b.STRING, [PAYLOAD])),
]
_DATASET: Final = (1).to_bytes(4, "little") + len(BYTES).to_bytes(4, "little") + BYTES

IMPORTANCES: Final = (
    importance("an entry of the old format", old(entry(PAYLOAD.encode()), tail=_DATASET)),
    importance("an entry of another size", old(entry(b"blk.0.attn_q.weight"), tail=_DATASET)),
    importance("an entry twice", old(entry(PAYLOAD.encode()), entry(PAYLOAD.encode()))),
    importance("an entry with NaN", old(entry(PAYLOAD.encode(), values=(float("nan"),)))),
    importance("an entry of no calls", old(entry(PAYLOAD.encode(), calls=-1))),
    importance("an entry that is too long", old(entry(PAYLOAD.encode(), count=1 << 30))),
    importance("an entry without its counts", b.build(_IMATRIX, [_sums(8)])),
    importance("a key of another type", b.build([*_IMATRIX, ("imatrix.chunk_count", b.STRING, PAYLOAD)], [_sums(8)])),
    importance("a file that is something else", PAYLOAD.encode() * 9),
)  # fmt: skip


def recipe(name: str, text: str) -> Scene:
    def make(folder: Path) -> Commands:
        write_sound(folder)
        (folder / FILE_NAME).write_bytes(text.encode())
        return [["quantize", SOUND, "q.gguf", "--overrides", FILE_NAME, "--dry-run", "--explain"]]

    return Scene(f"recipe, {name}", make)


_TOML: Final = json.dumps(PAYLOAD)

RECIPES: Final = (
    recipe("not TOML", PAYLOAD),
    recipe("an unknown key", f"{_TOML} = 1"),
    *(recipe(key, f"{key} = {_TOML}") for key in ("type", "output", "token-embedding", "pure", "tensors")),
    recipe("a tensor's type", f'type = "Q8_0"\n[tensors]\n"attn_q" = {_TOML}'),
    recipe("an expression", f'type = "Q8_0"\n[tensors]\n{json.dumps("attn_q|" + PAYLOAD)} = "Q6_K"'),
    recipe("an expression that is none", f'type = "Q8_0"\n[tensors]\n{json.dumps("(" + PAYLOAD)} = "Q8_0"'),
    recipe("a number for a type", f'type = "Q8_0"\n[tensors]\n{_TOML} = 1'),
)


def _manifests(folder: Path) -> Commands:
    write_sound(folder)
    texts = {
        "sums": f"{'0' * 64}  {FILE_NAME}\n".encode("utf-8", "surrogateescape"),
        "none": PAYLOAD.encode(),
        "json": json.dumps({"hashes": {"algorithm": PAYLOAD, "files": {PAYLOAD: PAYLOAD}}}).encode(),
        "other": json.dumps(
            {"hashes": {"algorithm": "sha256", "files": {PAYLOAD: "0" * 64}, "tensors": {PAYLOAD: "0" * 64}}}
        ).encode(),
    }
    write(folder, {f"{FILE_NAME}{name}": text for name, text in texts.items()})
    return [
        ["verify", SOUND, "--against", f"{FILE_NAME}{name}", *more]
        for name in texts
        for more in ([], ["--json"])
    ]


def _names(folder: Path) -> Commands:
    """Files, folders and nothing at all under a hostile name."""
    write(folder / FILE_NAME, sound().checkpoint)
    write(folder / "adapter", sound().adapter)
    write_sound(folder)
    (folder / f"{FILE_NAME}.gguf").write_bytes((folder / SOUND).read_bytes())
    (folder / f"{FILE_NAME}.safetensors").write_bytes(b"{}")
    missing = f"{FILE_NAME}none"
    commands = (
        of_checkpoint(FILE_NAME) + of_gguf(f"{FILE_NAME}.gguf") + of_checkpoint(missing) + of_gguf(missing)
    )
    outputs = [
        ["convert", FILE_NAME, f"{FILE_NAME}1", "--dry-run"],
        ["convert", FILE_NAME, f"{FILE_NAME}1", "-t", "Q8_0"],
        ["convert", FILE_NAME, f"{FILE_NAME}1", "-t", "Q8_0"],
        ["convert", FILE_NAME, f"{FILE_NAME}2", "-t", "Q8_0", "--split-max-size", "1M"],
        ["quantize", SOUND, f"{FILE_NAME}3", "-t", "Q8_0"],
        ["export", SOUND, f"{FILE_NAME}4"],
        ["export", SOUND, FILE_NAME],
        ["extract", SOUND, f"{FILE_NAME}5.safetensors"],
        ["edit", SOUND, "--set", "general.name=x", "-o", f"{FILE_NAME}6"],
        ["edit", SOUND, "--recover"],
        ["edit", f"{FILE_NAME}.gguf", "--recover"],
        ["split", SOUND, f"{missing}/x", "--max-tensors", "9"],
        ["inspect", SOUND, "--html", f"{FILE_NAME}7"],
        ["inspect", SOUND, "--html", f"{FILE_NAME}7"],
        ["inspect", f"{FILE_NAME}.safetensors"],
        ["convert-lora", "adapter", f"{FILE_NAME}8", "--base", FILE_NAME],
        ["convert-lora", FILE_NAME, "l.gguf"],
    ]
    return commands + outputs


SCENES: Final = (
    *ADAPTERS,
    *IMPORTANCES,
    *RECIPES,
    Scene("manifests", _manifests),
    Scene("names of files", _names),
)
