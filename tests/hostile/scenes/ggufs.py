"""GGUF files: every text that one has, and every fault whose message names one of them."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

from tests import builders as b
from tests.hostile.scenes.base import (
    BYTES,
    FILE_NAME,
    SOUND,
    Commands,
    Pairs,
    Scene,
    of_gguf,
    sound,
    write_sound,
)
from tests.hostile.terminal import NAME, PAYLOAD

__all__ = ["SCENES", "every_text"]

Change = Callable[[Pairs, list[b.Tensor]], Any]


def gguf(
    name: str,
    change: Change | None = None,
    *,
    data: bytes | None = None,
    key: str = "general.name",
    silent: bool = False,
) -> Scene:
    """The sound file changed, or other bytes."""

    def make(folder: Path) -> Commands:
        pairs, tensors = deepcopy(sound().pairs), list(sound().tensors)
        write_sound(folder)
        if change is not None:
            change(pairs, tensors)
        (folder / "a.gguf").write_bytes(b.build(pairs, tensors) if data is None else data)
        return of_gguf("a.gguf", key)

    return Scene(f"GGUF, {name}", make, silent)


def _set(key: str, value: Any, kind: int = b.STRING) -> Change:
    def change(pairs: Pairs, tensors: list[b.Tensor]) -> None:
        pairs[:] = [pair for pair in pairs if pair[0] != key] + [(key, kind, value)]

    return change


def _all_texts(pairs: Pairs, tensors: list[b.Tensor]) -> None:
    """Every text but those by which the file is understood, and what models say about themselves."""
    pairs[:] = [
        (key, kind, PAYLOAD if kind == b.STRING and key != "general.architecture" else value)
        for key, kind, value in pairs
    ]
    known = {key for key, _, _ in pairs}
    said = ("author", "organization", "license", "license.name", "url", "quantized_by", "basename", "version")
    pairs += [(f"general.{name}", b.STRING, PAYLOAD) for name in said if f"general.{name}" not in known]
    pairs += [
        ("general.languages", b.ARRAY, (b.STRING, [PAYLOAD] * 20)),
        ("general.tags", b.ARRAY, (b.STRING, [BYTES])),
        ("general.base_model.count", b.U32, 1),
        ("general.base_model.0.name", b.STRING, PAYLOAD),
        ("general.base_model.0.organization", b.STRING, PAYLOAD),
        ("quantize.imatrix.file", b.STRING, PAYLOAD),
        ("quantize.imatrix.dataset", b.STRING, PAYLOAD),
        ("llama.rope.scaling.type", b.STRING, PAYLOAD),
        ("tokenizer.chat_templates", b.ARRAY, (b.STRING, [PAYLOAD])),
        (f"tokenizer.chat_template.{PAYLOAD}", b.STRING, "{{ x }}"),
    ]


def _architecture(pairs: Pairs, tensors: list[b.Tensor]) -> None:
    pairs[:] = [(key.replace("llama.", f"{NAME}."), kind, value) for key, kind, value in pairs]  # type: ignore[arg-type, union-attr]
    _set("general.architecture", NAME)(pairs, tensors)


def _tokens(pairs: Pairs, tensors: list[b.Tensor]) -> None:
    for _, kind, value in pairs:
        if kind == b.ARRAY and value[0] == b.STRING:
            value[1][:6] = [PAYLOAD, BYTES, f"{PAYLOAD} {PAYLOAD}", "", PAYLOAD, PAYLOAD * 20]
    _set("tokenizer.ggml.bos_token_id", 0, b.U32)(pairs, tensors)
    _set("tokenizer.ggml.eos_token_id", 1, b.U32)(pairs, tensors)


def _extra(*names: str | bytes, data: bytes = b.floats(1, float("nan"))) -> Change:
    """Further tensors, the first of them before all others."""

    def change(pairs: Pairs, tensors: list[b.Tensor]) -> None:
        more = [b.Tensor(name, (len(data) // 4,), 0, data) for name in names]
        tensors[:] = more[:1] + tensors + more[1:]

    return change


def _renamed(old: str, new: str | bytes) -> Change:
    def change(pairs: Pairs, tensors: list[b.Tensor]) -> None:
        tensors[:] = [b.Tensor(new, t.dims, t.type, t.data) if t.name == old else t for t in tensors]

    return change


def _shorter(old: str) -> Change:
    """A tensor under a hostile name in another shape than the table says, rows that no block divides."""

    def change(pairs: Pairs, tensors: list[b.Tensor]) -> None:
        tensors[:] = [
            b.Tensor(NAME, (7, 3), 0, b.floats(*range(21))) if t.name == old else t for t in tensors
        ]

    return change


_WIRE: Final = b.Bytes()
_X: Final = b.Tensor("x", (8,), 0, bytes(32))


def _number(code: str, value: int) -> bytes:
    return _WIRE.number(code, value)


_FAULTY: Final[dict[str, bytes]] = {
    "key twice": b.build([b.ARCHITECTURE, (PAYLOAD, b.U8, 1), (PAYLOAD, b.U8, 2)], [_X]),
    "key of an unknown type": b.build([_WIRE.string(PAYLOAD) + _number("I", 13) + bytes(8)]),
    "key cut off": b.build([b.ARCHITECTURE, _WIRE.string(PAYLOAD)], key_count=2),
    "text longer than the file": b.build(
        [_WIRE.string(PAYLOAD) + _number("I", b.STRING) + _number("Q", 2**62)]
    ),
    "array longer than the file": b.build(
        [_WIRE.string(PAYLOAD) + _number("I", b.ARRAY) + _number("I", b.U8) + _number("Q", 2**62)]
    ),
    "array of an unknown type": b.build(
        [_WIRE.string(PAYLOAD) + _number("I", b.ARRAY) + _number("I", 99) + _number("Q", 1)]
    ),
    "key too long": b.build([(PAYLOAD * 2000, b.U8, 1)]),
    "tensor twice": b.build([b.ARCHITECTURE], [b.Tensor(NAME, (8,), 0, bytes(32))] * 2),
    "tensor of 5 dimensions": b.build([b.ARCHITECTURE], [b.Tensor(NAME, (1,) * 5, 0, bytes(32))]),
    "tensor past the end": b.build([b.ARCHITECTURE], [b.Tensor(NAME, (1 << 40,), 0, bytes(32))]),
    "tensor not aligned": b.build([b.ARCHITECTURE], [b.Tensor(NAME, (8,), 0, bytes(32), 7)]),
    "tensor of an unknown type": b.build([b.ARCHITECTURE], [b.Tensor(NAME, (8,), 77, bytes(32))]),
    "tensor with half a block": b.build([b.ARCHITECTURE], [b.Tensor(NAME, (7,), 8, bytes(32))]),
    "tensors that overlap": b.build(
        [b.ARCHITECTURE], [b.Tensor(NAME, (8,), 0, bytes(64), 0), b.Tensor(f"{NAME}2", (8,), 0, b"", 0)]
    ),
    "gap before a tensor": b.build([b.ARCHITECTURE], [_X, b.Tensor(NAME, (8,), 0, bytes(96), 64)]),
    "tensor's name too long": b.build([b.ARCHITECTURE], [b.Tensor(PAYLOAD, (8,), 0, bytes(32))]),
    "no GGUF": PAYLOAD.encode() * 10,
    "a page": b"<!DOCTYPE html>" + PAYLOAD.encode() * 10,
}

_SILENT: Final = frozenset({"a page", "no GGUF", "key too long"})

every_text: Final = gguf("every text", _all_texts)
"""Of all there are at once."""

_FILES: Final = (
    gguf("name", _set("general.name", PAYLOAD)),
    gguf("name that is not UTF-8", _set("general.name", BYTES)),
    gguf("name that is an array", _set("general.name", (b.STRING, [PAYLOAD, BYTES]), b.ARRAY)),
    every_text,
    gguf("type", _set("general.type", PAYLOAD)),
    gguf("architecture", _set("general.architecture", PAYLOAD), key="general.architecture"),
    gguf("architecture, in keys too", _architecture, key=f"{NAME}.block_count"),
    gguf("architecture a key", _set(f"llama.{PAYLOAD}", 7, b.U32), key=f"llama.{PAYLOAD}"),
    gguf("key", _set(PAYLOAD, PAYLOAD), key=PAYLOAD.replace("=", "")),
    gguf("key of an array", _set(PAYLOAD, (b.STRING, [PAYLOAD] * 9), b.ARRAY), key=PAYLOAD),
    gguf("nested array", _set(PAYLOAD, (b.ARRAY, [(b.STRING, [PAYLOAD, BYTES])]), b.ARRAY), key=PAYLOAD),
    gguf("hyperparameter that is a text", _set("llama.block_count", PAYLOAD), key="llama.block_count"),
    gguf("tokens and merges", _tokens, key="tokenizer.ggml.tokens"),
    gguf("tokenizer's model", _set("tokenizer.ggml.model", PAYLOAD), key="tokenizer.ggml.model"),
    gguf("pre-tokenizer", _set("tokenizer.ggml.pre", PAYLOAD), key="tokenizer.ggml.pre"),
    gguf("template", _set("tokenizer.chat_template", PAYLOAD), key="tokenizer.chat_template"),
    gguf("template that does not parse", _set("tokenizer.chat_template", "{% " + PAYLOAD)),
    gguf(
        "template of an unknown tag", _set("tokenizer.chat_template", "{{ 'x" + PAYLOAD + "' | y('" + PAYLOAD)
    ),
    gguf("tensor", _extra(NAME)),
    gguf("tensors of a layer", _extra(f"blk.0.{NAME}", f"blk.{NAME}.weight", f"{NAME}.blk.0.attn_q.weight")),
    gguf("tensor of a stack of its own", _extra(f"{NAME}.0.weight", f"{NAME}.1.weight", data=b.floats(1, 2))),
    gguf("tensor not UTF-8", _extra(b"\xff" + NAME.encode(), b"\xfe.weight")),
    gguf("tensor renamed", _renamed("blk.0.attn_q.weight", NAME)),
    gguf("tensor of another shape", _shorter("blk.0.attn_q.weight")),
    gguf("a tensor in markup", _extra("x[/bold]", "[bold]y", ":smile:")),
    *(gguf(name, data=data, silent=name in _SILENT) for name, data in _FAULTY.items()),
)


def _shards(folder: Path) -> Commands:
    """Split models: the names of files, and what they say of themselves."""
    key = (PAYLOAD, b.STRING, PAYLOAD)
    ones = [("split.no", b.U16, 0), ("split.count", b.U16, 2), ("split.tensors.count", b.I32, 2)]
    twos = [("split.no", b.U16, 1), ("split.count", b.U16, 2), ("split.tensors.count", b.I32, 2)]
    tensor = b.Tensor(NAME, (8,), 0, bytes(32))
    first, second = f"{FILE_NAME}-00001-of-00002.gguf", f"{FILE_NAME}-00002-of-00002.gguf"
    (folder / first).write_bytes(b.build([b.ARCHITECTURE, key, *ones], [tensor]))
    (folder / SOUND).write_bytes(b.build([b.ARCHITECTURE], [tensor]))
    alone = f"{FILE_NAME}alone-00001-of-00002.gguf"
    (folder / alone).write_bytes((folder / first).read_bytes())
    (folder / second).write_bytes(b.build(twos, [b.Tensor(f"{NAME}2", (8,), 0, bytes(32))]))
    twice = f"{FILE_NAME}twice"
    (folder / f"{twice}-00001-of-00002.gguf").write_bytes((folder / first).read_bytes())
    (folder / f"{twice}-00002-of-00002.gguf").write_bytes(b.build(twos, [tensor]))
    text = f"{FILE_NAME}text-00001-of-00002.gguf"
    (folder / text).write_bytes(b.build([b.ARCHITECTURE, ("split.count", b.STRING, PAYLOAD)], [tensor]))
    names = (first, second, alone, f"{twice}-00001-of-00002.gguf", text)
    return [command for name in names for command in of_gguf(name, PAYLOAD)] + [
        ["merge", first, alone, "m.gguf"],
        ["split", SOUND, FILE_NAME, "--max-tensors", "1"],
        ["split", SOUND, FILE_NAME, "--max-tensors", "1", "--force", "--json"],
    ]


SCENES: Final = (*_FILES, Scene("split models", _shards))
