# ruff: noqa: E501 - a scene a line reads as a table
"""Checkpoints: every value of a config, every name in a header or index, every text of a tokenizer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tests.hostile.scenes.base import (
    FILE_NAME,
    Commands,
    Scene,
    of_checkpoint,
    sound,
    write,
    write_sound,
)
from tests.hostile.terminal import PAYLOAD

__all__ = ["SCENES", "replaced", "with_value"]

Change = Callable[[Path], Any]


def checkpoint(name: str, change: Change, *, silent: bool = False, few: bool = False) -> Scene:
    """The sound checkpoint, changed; ``few`` commands where there are many such scenes."""

    def make(folder: Path) -> Commands:
        write(folder / "model", sound().checkpoint)
        write(folder / "adapter", sound().adapter)
        write_sound(folder)
        change(folder / "model")
        commands = of_checkpoint("model")
        return [commands[1], commands[4], commands[9]] if few else commands

    return Scene(f"checkpoint, {name}", make, silent)


def with_value(file: str, *places: Any) -> Callable[[Any], Callable[[Path], None]]:
    """A change of one value in a JSON file, which is made if there is none."""

    def to(value: Any) -> Callable[[Path], None]:
        def change(model: Path) -> None:
            path = model / file
            document = json.loads(path.read_bytes()) if path.exists() else {}
            inner = document
            for place in places[:-1]:
                inner = inner[place]
            if isinstance(inner, list):
                inner.insert(places[-1], value)
            else:
                inner[places[-1]] = value
            path.write_text(json.dumps(document))

        return change

    return to


def _config(key: str, value: Any = PAYLOAD) -> Scene:
    kind = type(value).__name__
    return checkpoint(f"config.json's {key!a:.40} {kind}", with_value("config.json", key)(value), few=True)


_CONFIG_KEYS: Final = (
    *("architectures", "model_type", "torch_dtype", "dtype", "hidden_act", "hidden_size", "head_dim"),
    *("num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size", "vocab_size"),
    *("max_position_embeddings", "rms_norm_eps", "rope_theta", "rope_scaling", "tie_word_embeddings"),
    *("bos_token_id", "eos_token_id", "quantization_config", "rope_parameters", "attention_bias"),
)
_QUANTIZED: Final = (
    {"quant_method": PAYLOAD},
    {"quant_method": "gptq", "bits": PAYLOAD, "group_size": 128},
    {"quant_method": "awq", "bits": 4, "group_size": 128, "version": PAYLOAD},
    {"quant_method": "fp8", "weight_block_size": [PAYLOAD], PAYLOAD: PAYLOAD},
    {"quant_method": "compressed-tensors", "format": PAYLOAD, "config_groups": {PAYLOAD: {}}},
    {"quant_method": "bitsandbytes", "bnb_4bit_quant_type": PAYLOAD, "load_in_4bit": True},
)


def replaced(file: str, data: bytes) -> Callable[[Path], Any]:
    return lambda model: (model / file).write_bytes(data)


def _weights(header: Mapping[str, Any], data: bytes = bytes(8)) -> Callable[[Path], None]:
    """Another file of tensors in the place of the index and its files."""

    def change(model: Path) -> None:
        for path in [*model.glob("*.safetensors"), *model.glob("*.index.json")]:
            path.unlink()
        text = json.dumps(header).encode()
        (model / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)

    return change


def _index(change: Callable[[dict[str, str]], Any]) -> Callable[[Path], None]:
    def changed(model: Path) -> None:
        path = model / "model.safetensors.index.json"
        document = json.loads(path.read_bytes())
        change(document["weight_map"])
        path.write_text(json.dumps(document))

    return changed


def _further(header: Mapping[str, Any], data: bytes = bytes(8)) -> Callable[[Path], None]:
    """All tensors that there are in one file, and these before them."""

    def change(model: Path) -> None:
        whole: dict[str, Any] = dict(header)
        blobs = data
        for path in sorted(model.glob("*.safetensors")):
            raw = path.read_bytes()
            length = int.from_bytes(raw[:8], "little")
            for name, told in json.loads(raw[8 : 8 + length]).items():
                if name != "__metadata__":
                    start, end = told["data_offsets"]
                    whole[name] = told | {"data_offsets": [start + len(blobs), end + len(blobs)]}
            blobs += raw[8 + length :]
        _weights(whole, blobs)(model)

    return change


def _two(dtype: str = "F32", name: str = PAYLOAD, **more: Any) -> dict[str, Any]:
    return {name: {"dtype": dtype, "shape": [2], "data_offsets": [0, 8], **more}}


def _hostile_files(model: Path) -> None:
    first = next(model.glob("model-00001*"))
    name = f"{FILE_NAME}.safetensors"
    path = model / "model.safetensors.index.json"
    path.write_bytes(path.read_bytes().replace(first.name.encode(), json.dumps(name)[1:-1].encode()))
    first.rename(model / name)


_FLAGS: Final = ("special", "lstrip", "rstrip", "normalized", "single_word")
_ADDED: Final = {"id": 544, "content": PAYLOAD, **dict.fromkeys(_FLAGS, False)}
_T: Final = "tokenizer.json"
_TC: Final = "tokenizer_config.json"

SCENES: Final = (
    *(_config(key) for key in _CONFIG_KEYS),
    *(_config(key, [PAYLOAD]) for key in ("architectures", "eos_token_id", "layer_types", "rope_scaling")),
    *(_config("rope_scaling", {key: PAYLOAD}) for key in ("rope_type", "type", "factor", PAYLOAD)),
    *(_config("rope_scaling", {"rope_type": kind, "factor": PAYLOAD}) for kind in ("linear", "yarn", "llama3")),
    *(_config("quantization_config", value) for value in _QUANTIZED),
    _config(PAYLOAD),
    _config("num_hidden_layers", {PAYLOAD: PAYLOAD}),
    checkpoint("config.json not JSON", replaced("config.json", b'{"' + PAYLOAD.encode()), silent=True),
    checkpoint("config.json with a key twice", replaced("config.json", json.dumps({PAYLOAD: 1})[:-1].encode() + b"," + json.dumps({PAYLOAD: 2})[1:].encode())),
    checkpoint("config.json a list", replaced("config.json", json.dumps([PAYLOAD]).encode()), silent=True),
    checkpoint("config.json a text", replaced("config.json", json.dumps(PAYLOAD).encode()), silent=True),
    checkpoint("tensor only", _weights(_two())),
    checkpoint("tensor besides", _further(_two())),
    checkpoint("tensor of a layer", _further(_two(name=f"model.layers.0.{PAYLOAD}"))),
    checkpoint("tensor of layers of its own", _further(_two(name=f"{PAYLOAD}.layers.0.x.weight"))),
    checkpoint("tensor in markup", _further(_two(name="x[/bold]"))),
    checkpoint("tensor of an unknown dtype", _weights(_two(PAYLOAD))),
    checkpoint("tensor with an unusable shape", _weights(_two(shape=[PAYLOAD]))),
    checkpoint("tensor with unusable offsets", _weights(_two(data_offsets=[PAYLOAD, 8]))),
    checkpoint("tensor with a further key", _weights(_two(name="x", **{PAYLOAD: 1})), silent=True),
    checkpoint("tensor past the end", _weights(_two(shape=[1 << 40], data_offsets=[0, 1 << 42]))),
    checkpoint("tensor that is a list", _weights({PAYLOAD: [PAYLOAD]})),
    checkpoint("__metadata__", _weights({"__metadata__": {PAYLOAD: PAYLOAD, "format": PAYLOAD}, **_two(name="x")}), silent=True),
    checkpoint("__metadata__ a text", _weights({"__metadata__": PAYLOAD}), silent=True),
    checkpoint("__metadata__ not of texts", _weights({"__metadata__": {PAYLOAD: 1}}), silent=True),
    checkpoint("header not JSON", lambda model: _weights({})(model) or replaced("model.safetensors", (60).to_bytes(8, "little") + b'{"' + PAYLOAD.encode() * 9)(model), silent=True),
    checkpoint("index, a tensor", _index(lambda found: found.update({PAYLOAD: next(iter(found.values()))}))),
    checkpoint("index, a file", _index(lambda found: found.update({"x": f"{PAYLOAD}.safetensors"}))),
    checkpoint("index, a missing file", _index(lambda found: found.update({"x": f"{FILE_NAME[:-1]}.safetensors"}))),
    checkpoint("index, no file", _index(lambda found: found.update({"x": [PAYLOAD]}))),
    checkpoint("index not JSON", replaced("model.safetensors.index.json", b'{"' + PAYLOAD.encode()), silent=True),
    checkpoint("names of files", _hostile_files),
    checkpoint("added token", with_value(_T, "added_tokens", 0)(_ADDED)),
    checkpoint("added token, its id", with_value(_T, "added_tokens", 0)(_ADDED | {"id": PAYLOAD})),
    checkpoint("token's id", with_value(_T, "model", "vocab", PAYLOAD)(PAYLOAD)),
    checkpoint("token twice", with_value(_T, "model", "vocab", PAYLOAD)(0)),
    checkpoint("token", with_value(_T, "model", "vocab", PAYLOAD)(543), silent=True),
    checkpoint("merge", with_value(_T, "model", "merges", 0)(PAYLOAD)),
    checkpoint("merge of two", with_value(_T, "model", "merges", 0)([PAYLOAD, PAYLOAD])),
    checkpoint("kind of tokenizer", with_value(_T, "model", "type")(PAYLOAD)),
    checkpoint("pre-tokenizer", with_value(_T, "pre_tokenizer")({"type": PAYLOAD})),
    checkpoint("pre-tokenizer's expression", with_value(_T, "pre_tokenizer")({"type": "Split", "pattern": {"Regex": f"({PAYLOAD}"}, "behavior": PAYLOAD, "invert": False})),
    checkpoint("normalizer", with_value(_T, "normalizer")({"type": PAYLOAD}), silent=True),
    checkpoint("decoder", with_value(_T, "decoder")({"type": PAYLOAD}), silent=True),
    checkpoint("tokenizer not JSON", replaced(_T, b'{"' + PAYLOAD.encode()), silent=True),
    checkpoint("template", with_value(_TC, "chat_template")(PAYLOAD), silent=True),
    checkpoint("template that does not parse", with_value(_TC, "chat_template")("{% " + PAYLOAD), silent=True),
    checkpoint("templates by name", with_value(_TC, "chat_template")([{"name": PAYLOAD, "template": PAYLOAD}]), silent=True),
    checkpoint("template in a file", replaced("chat_template.jinja", PAYLOAD.encode()), silent=True),
    checkpoint("special token", with_value(_TC, "bos_token")(PAYLOAD), silent=True),
    checkpoint("class of tokenizer", with_value(_TC, "tokenizer_class")(PAYLOAD), silent=True),
    checkpoint("added token by id", with_value(_TC, "added_tokens_decoder", PAYLOAD)({"content": PAYLOAD})),
    checkpoint("generation", with_value("generation_config.json", "temperature")(PAYLOAD)),
    checkpoint("pooling's folder", replaced("modules.json", json.dumps([{"type": "sentence_transformers.models.Pooling", "path": PAYLOAD}]).encode()), silent=True),
    checkpoint("card", replaced("README.md", f"---\nlicense: \"{PAYLOAD!a}\"\nbase_model: [{PAYLOAD!a}]\n---\n".encode()), silent=True),
)  # fmt: skip
