# ruff: noqa: E501 - a case a line reads as a table
"""Checkpoint directories: classes 38 (the index) and 39 (config.json)."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gguf_tools.checkpoint import open_checkpoint
from gguf_tools.conversion.to_gguf import plan_conversion
from gguf_tools.errors import ArchitectureError, CheckpointError, GGUFToolsError
from tests import tiny
from tests.checkpoint import build as b
from tests.hostile.case import Case, Refused, Taken

__all__ = ["CASES"]

_ONE = "model-00001-of-00002.safetensors"
_TWO = "model-00002-of-00002.safetensors"
_MAP = {"x": _ONE, "y": _TWO}


def _open(path: Path) -> list[str]:
    with open_checkpoint(path) as checkpoint:
        return sorted(checkpoint.tensors)


# 38: the index


def _indexed(index: bytes, prepare: Callable[[Path], Any] = lambda folder: None) -> Callable[[Path], Path]:
    """A checkpoint of two files in a directory with something outside it to reach for."""

    def make(folder: Path) -> Path:
        (folder / "secret.safetensors").write_bytes(b.tensors(x=[1.0]))
        inside = b.directory(
            folder / "checkpoint",
            {_ONE: b.tensors(x=[1.0]), _TWO: b.tensors(y=[2.0]), "model.safetensors.index.json": index},
        )
        prepare(inside)
        return inside

    return make


def _index(
    name: str, weight_map: Any, message: str, prepare: Any = lambda folder: None, honest: str = ""
) -> Case:
    make = _indexed(b.index(weight_map), prepare)
    return Case(f"38 {name}", make, _open, Refused(CheckpointError, message), honest)


def _raw(name: str, data: bytes, message: str) -> Case:
    return Case(f"38 {name}", _indexed(data), _open, Refused(CheckpointError, message))


def _outside(folder: Path) -> None:
    (folder / _TWO).unlink()
    (folder / _TWO).symlink_to("../secret.safetensors")


def _linked_index(folder: Path) -> None:
    (folder / "model.safetensors.index.json").unlink()
    (folder / "model.safetensors.index.json").symlink_to("gone")


_UNUSABLE = (
    *("../secret.safetensors", "/etc/passwd", "/dev/zero", "a/../../secret.safetensors", "sub/x.safetensors"),
    *(
        "..\\secret.safetensors",
        "C:x.safetensors",
        "x.bin",
        "",
        ".",
        ".hidden.safetensors",
        "a\0.safetensors",
    ),
)

_INDEXES = (
    *(_index(f"file name {name!r}", _MAP | {"y": name}, "the index names a file it must not") for name in _UNUSABLE),
    *(_index(f"file name {name!r}", _MAP | {"y": name}, "the index names a file it must not") for name in (None, 7, [_TWO], {})),
    _index("file missing", _MAP | {"z": "gone.safetensors"}, r"names 1 file \('gone.safetensors'\) that do not exist"),
    _index("100,000 files missing", {str(i): f"{i}.safetensors" for i in range(100_000)}, "more than 200 files", honest="as many entries as the index of DeepSeek-V3 has"),
    _index("tensor elsewhere than stated", {"x": _TWO, "y": _ONE}, r"puts 1 tensor \('x'\) into this file|puts 1 tensor"),
    _index("tensor that no file has", _MAP | {"z": _TWO}, r"puts 1 tensor \('z'\) into this file"),
    _index("tensor left out", {"x": _ONE, "w": _TWO}, r"puts 1 tensor \('w'\)"),
    _index("link out of the directory to another file's tensor", _MAP, r"00002\.safetensors: tensor 'x': the tensor is in", _outside),
    _index("weight_map empty", {}, "no usable map"),
    _index("weight_map a list", [_ONE], "no usable map"),
    _index("weight_map null", None, "no usable map"),
    _index("index a link to nothing", _MAP, "link to nothing", _linked_index),
    _index("file a directory", _MAP, "is a directory", lambda folder: ((folder / _TWO).unlink(), (folder / _TWO).mkdir())),
    _raw("not JSON", b"{x}", "index.json: at byte 1: is not valid JSON"),
    _raw("empty", b"", "is not valid JSON"),
    _raw("a list", b"[]", "must be a JSON object"),
    _raw("nested deeply", b'{"a":' * 200_000, "nested too deeply"),
    _raw("tensor twice", b'{"weight_map": {"x": "%s", "x": "%s"}}' % (_ONE.encode(), _TWO.encode()), "the key occurs twice"),
    _raw("a NaN", b'{"metadata": {"total_size": NaN}, "weight_map": {}}', "not a finite number"),
    _raw("not UTF-8", b"\xff\xfe{}", "is not UTF-8"),
    *(Case(f"38 total_size {size!r} lies", _indexed(b.index(_MAP, size)), _open, Taken(lambda names: names == ["x", "y"]))
      for size in (0, -1, 1 << 70, "many", None, 1.5)),
)  # fmt: skip


# 39: config.json


@cache
def _model() -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files of a tiny Llama, and its config."""
    with TemporaryDirectory() as folder:
        built = tiny.build("llama", Path(folder))
        files = {path.name: path.read_bytes() for path in built.iterdir()}
    return files, json.loads(files["config.json"])


def _with_config(config: bytes | dict[str, Any] | None) -> Callable[[Path], Path]:
    """The tiny Llama with another config.json, or changes to its own (None removes a key)."""

    def make(folder: Path) -> Path:
        files, original = _model()
        target = folder / "tiny-llama"
        target.mkdir()
        for name, data in files.items():
            (target / name).write_bytes(data)
        path = target / "config.json"
        if config is None:
            path.unlink()
        elif isinstance(config, bytes):
            path.write_bytes(config)
        else:
            merged = original | config
            path.write_text(json.dumps({key: value for key, value in merged.items() if value is not None}))
        return target

    return make


def _plan(path: Path) -> list[str]:
    plan = plan_conversion(path, recipe="F16")
    return [tensor.name for file in plan.files for tensor in file.tensors]


def _config(
    name: str,
    config: bytes | dict[str, Any] | None,
    message: str,
    kind: Any = CheckpointError,
    honest: str = "",
) -> Case:
    return Case(f"39 {name}", _with_config(config), _plan, Refused(kind, message), honest)


def _taken(name: str, config: dict[str, Any], honest: str = "") -> Case:
    outcome = Taken(lambda names: "token_embd.weight" in names)
    return Case(f"39 {name}", _with_config(config), _plan, outcome, honest)


_SIZES = (
    "num_hidden_layers",
    "hidden_size",
    "intermediate_size",
    "num_attention_heads",
    "num_key_value_heads",
    "vocab_size",
    "max_position_embeddings",
)
_WRONG: tuple[Any, ...] = (0, -1, "8", 2.5, True, [8], {"a": 1}, 1 << 70)

_BOMB = {"auto_map": {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}}


def _evil(folder: Path) -> Path:
    """Code beside the model that would leave a mark if it were run."""
    target = _with_config(_BOMB | {"trust_remote_code": True})(folder)
    mark = folder / "mark"
    (target / "evil.py").write_text(f"open({str(mark)!r}, 'w')")
    return target


def _unmarked(path: Path) -> bool:
    _plan(path)
    return not (path.parent / "mark").exists()


_ANY = GGUFToolsError

_CONFIGS = (
    _config("missing", None, "config.json is missing"),
    _config("empty", b"", r"config\.json: at byte 0: is not valid JSON"),
    _config("cut off", b'{"architectures": ["Lla', "is not valid JSON"),
    _config("a list", b"[]", "must be a JSON object"),
    _config("null", b"null", "must be a JSON object"),
    _config("an LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "is not valid JSON"),
    _config("UTF-16", '{"a": 1}'.encode("utf-16"), "is not UTF-8"),
    _config("nested deeply", b'{"a":' * 200_000, "nested too deeply"),
    _config("a number of 5,000 digits", b'{"a": ' + b"9" * 5000 + b"}", "not usable JSON"),
    _config("no architectures", {"architectures": None}, "architectures", ArchitectureError),
    *(_config(f"architectures {value!r}", {"architectures": value}, "architectures|supported", ArchitectureError) for value in ([], "Llama", [1], [[]], {}, ["X" * 100_000], ["../x"])),
    *(_config(f"{key} {value!r}", {key: value}, key, _ANY) for key in _SIZES for value in _WRONG),
    *(_config(f"{key} missing", {key: None}, key, _ANY) for key in ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads")),
    *(_config(f"{key} {value!r}", {key: value}, key, ArchitectureError) for key in ("rms_norm_eps", "rope_theta") for value in (0, -1.0, "1e-5", float("nan"), float("inf"), True, 1e-60, [])),
    *(_config(f"rope_scaling {value!r}", {"rope_scaling": value}, "rope", _ANY) for value in (7, [], "linear", {"type": "nonesuch", "factor": 2}, {"rope_type": "linear", "factor": "x"}, {"rope_type": "llama3", "factor": -1})),
    _config("4,000,000,000 layers", {"num_hidden_layers": 4_000_000_000}, "num_hidden_layers", _ANY),
    _config("more layers than there are tensors for", {"num_hidden_layers": 500}, "tensors missing", ArchitectureError, "500 layers are planned, which is less than is allowed"),
    _taken("a name that looks like a path", {"_name_or_path": "../../etc/passwd"}),
    _taken("100,000 keys nobody asked for", {f"k{i}": 0 for i in range(100_000)}, "a whole plan of a sound model, beside 2 MB of JSON"),
    Case("39 auto_map", _evil, _unmarked, Taken(bool)),
)  # fmt: skip

CASES = (*_INDEXES, *_CONFIGS)
