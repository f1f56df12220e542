"""Peak memory of converting packed checkpoints of a billion weights, each in a process of its own.

A Llama of random codes, every projection 4096 × 4096, goes to Q8_0 with two threads, and for MXFP4 a gpt-oss
of such experts; so does a Llama with a LoRA adapter merged on the way, and the adapter alone. What counts is
the peak above that of converting a model of a million weights: it must depend on the chunks in flight, not on
the size of the model.

    python -m bench.memory [--formats "fp8, one scale" AWQ …] [--layers N] [--json]
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from .measure import measure, table
from .packed import COLUMNS, FORMATS, ROWS, Shape

LIMIT: Final = 150_000_000
"""Bytes above a small conversion's peak: two workers' chunks, and bands of matrices stored the other way."""

LAYERS: Final = 8
RANK: Final = 64
VOCABULARY: Final = 1000
_PLAIN: Final = "BF16"
_MERGED: Final = "BF16, an adapter merged"
_ADAPTER: Final = "an adapter alone"
_STACKED: Final = "MXFP4"
"""It is only there in stacked experts of gpt-oss."""

ROWS_OF_TABLE: Final = (*FORMATS, _MERGED, _ADAPTER)

_EXPERTS: Final = 2
_ATTENTION: Final = 512
"""Heads times their size, of gpt-oss: what counts there are the experts."""

_DEMO: Final = Path(__file__).resolve().parent.parent / "fixtures" / "demo"
_PROJECTIONS: Final = (
    *(f"self_attn.{part}_proj" for part in "qkvo"),
    *(f"mlp.{part}_proj" for part in ("gate", "up", "down")),
)

Tensor = tuple[str, str, Shape, bytes]
Tensors = Iterator[Tensor]
Parts = dict[str, tuple[str, Shape]]
Model = tuple[dict[str, Any], dict[str, bytes], Tensors]
"""config.json, other files, and tensors."""


def run(rows: Sequence[str] = ROWS_OF_TABLE, layers: int = LAYERS) -> dict[str, Any]:
    """Measure; returns the small conversion's peak, and per row bytes read and the peak above that."""
    with tempfile.TemporaryDirectory(prefix="gguf-tools-bench-") as scratch:
        small = _peak(["convert", str(_DEMO), f"{scratch}/demo.gguf", "--type", "Q8_0"])
    return {"small": small, "layers": layers, "rows": {name: _measured(name, layers, small) for name in rows}}


def _measured(name: str, layers: int, small: int) -> dict[str, int]:
    """One row. The checkpoint is made in a process of its own, whose memory does not count."""
    with tempfile.TemporaryDirectory(prefix="gguf-tools-bench-") as scratch:
        target, output = Path(scratch) / "model", f"{scratch}/out.gguf"
        code = f"from bench.memory import build; build({str(target)!r}, {name!r}, {layers})"
        measure([sys.executable, "-c", code])
        command = ["convert", str(target), output, "--type", "Q8_0"]
        if name == _MERGED:
            command += ["--merge-lora", str(target / "adapter")]
        if name == _ADAPTER:
            command = ["convert-lora", str(target / "adapter"), output, "--base", str(target)]
        peak = _peak(command)
        weights = target / ("adapter/adapter_model.safetensors" if name == _ADAPTER else "model.safetensors")
        return {"bytes": weights.stat().st_size, "peak": peak - small}


def _peak(arguments: Sequence[str]) -> int:
    start = "import sys; from gguf_tools.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", start, *arguments, "--threads", "2", "--quiet"]
    return measure(command)[0].peak


def build(target: str, name: str, layers: int) -> None:
    """The checkpoint of a row, and an adapter beside it where the row has one."""
    directory = Path(target)
    (directory / "adapter").mkdir(parents=True, exist_ok=True)
    packed = FORMATS.get(name, FORMATS[_PLAIN])
    make = _gpt_oss if name == _STACKED else _llama
    config, files, tensors = make(packed.parts, layers)
    if packed.settings:
        config["quantization_config"] = packed.settings
    for file, contents in files.items():
        (directory / file).write_bytes(contents)
    (directory / "config.json").write_text(json.dumps(config))
    _write(directory / "model.safetensors", list(tensors))
    settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": RANK, "target_modules": ["q_proj"]}
    (directory / "adapter" / "adapter_config.json").write_text(json.dumps(settings))
    if name in (_MERGED, _ADAPTER):
        _write(directory / "adapter" / "adapter_model.safetensors", list(_factors(layers)))


def _llama(parts: Parts, layers: int) -> Model:
    """config.json, the tokenizer's files, and tensors: seven packed matrices a layer."""
    from .checkpoint import _config, _sentencepiece_model

    config = _config(layers) | {
        "hidden_size": COLUMNS,
        "intermediate_size": ROWS,
        "num_key_value_heads": 32,
        "vocab_size": VOCABULARY,
    }
    tokenizer = {
        "tokenizer.model": _sentencepiece_model(VOCABULARY),
        "tokenizer_config.json": json.dumps({"tokenizer_class": "LlamaTokenizer"}).encode(),
    }
    return config, tokenizer, _llama_tensors(parts, layers)


def _llama_tensors(parts: Parts, layers: int) -> Tensors:
    from .packed import _contents

    data = {
        ending: (dtype, shape, _contents(ending, dtype, shape)) for ending, (dtype, shape) in parts.items()
    }
    yield from _ends(VOCABULARY)
    for layer in range(layers):
        base = f"model.layers.{layer}"
        yield from _norms(base)
        for projection in _PROJECTIONS:
            for ending, (dtype, shape, contents) in data.items():
                known = (len(contents),) if dtype == "U8" and not shape else shape
                yield f"{base}.{projection}.{ending}", dtype, known, contents


def _gpt_oss(parts: Parts, layers: int) -> Model:
    """As `_llama`, with six packed matrices a layer: gate, up and down of two experts."""
    from tests import tiny

    model = tiny.MODELS["gpt-oss-mxfp4"]
    config = model.config | {
        "num_hidden_layers": layers,
        "hidden_size": COLUMNS,
        "intermediate_size": ROWS,
        "head_dim": _ATTENTION // 8,
        "num_attention_heads": 8,
        "num_key_value_heads": 8,
        "num_local_experts": _EXPERTS,
        "layer_types": ["sliding_attention", "full_attention"] * (layers // 2),
    }
    tokenizer = {file.name: file.read_bytes() for file in (tiny.TOKENIZERS / model.tokenizer).iterdir()}
    return config, tokenizer, _gpt_oss_tensors(parts, layers, config["vocab_size"])


def _gpt_oss_tensors(parts: Parts, layers: int, vocabulary: int) -> Tensors:
    from .packed import _contents

    data = {ending: _contents(ending, *parts[f"weight_{ending}"]) for ending in ("blocks", "scales")}
    yield from _ends(vocabulary)
    for layer in range(layers):
        base = f"model.layers.{layer}"
        yield from _norms(base)
        for part in "qkvo":
            shape = (COLUMNS, _ATTENTION) if part == "o" else (_ATTENTION, COLUMNS)
            yield _ones(f"{base}.self_attn.{part}_proj.weight", *shape)
            yield _ones(f"{base}.self_attn.{part}_proj.bias", shape[0])
        yield _ones(f"{base}.self_attn.sinks", 8)
        yield _ones(f"{base}.mlp.router.weight", _EXPERTS, COLUMNS)
        yield _ones(f"{base}.mlp.router.bias", _EXPERTS)
        for matrix, rows in (("gate_up", 2 * ROWS), ("down", COLUMNS)):
            name = f"{base}.mlp.experts.{matrix}_proj"
            times = _EXPERTS * rows // ROWS
            for ending, contents in data.items():
                shape = (_EXPERTS, rows, *parts[f"weight_{ending}"][1][2:])
                yield f"{name}_{ending}", "U8", shape, contents * times
            yield _ones(f"{name}_bias", _EXPERTS, rows)


def _ends(vocabulary: int) -> Tensors:
    yield _ones("model.embed_tokens.weight", vocabulary, COLUMNS)
    yield _ones("model.norm.weight", COLUMNS)
    yield _ones("lm_head.weight", vocabulary, COLUMNS)


def _norms(base: str) -> Tensors:
    for norm in ("input_layernorm", "post_attention_layernorm"):
        yield _ones(f"{base}.{norm}.weight", COLUMNS)


def _ones(name: str, *shape: int) -> Tensor:
    import numpy as np

    return name, "F32", shape, np.ones(shape, "<f4").tobytes()


def _factors(layers: int) -> Tensors:
    import numpy as np

    data = np.random.default_rng(0).standard_normal((RANK, COLUMNS), np.float32).tobytes()
    for layer in range(layers):
        for projection in _PROJECTIONS:
            base = f"base_model.model.model.layers.{layer}.{projection}"
            yield f"{base}.lora_A.weight", "F32", (RANK, COLUMNS), data
            yield f"{base}.lora_B.weight", "F32", (ROWS, RANK), data


def _write(path: Path, tensors: Sequence[Tensor]) -> None:
    """A safetensors file, tensor by tensor: most of them share their bytes in memory."""
    header: dict[str, Any] = {}
    offset = 0
    for name, dtype, shape, data in tensors:
        header[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [offset, offset + len(data)],
        }
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, _, _, data in tensors:
            file.write(data)


def show(found: dict[str, Any]) -> str:
    """The figures as a plain table."""
    rows = [
        [name, f"{one['bytes'] / 1e6:,.0f} MB", f"{one['peak'] / 1e6:,.0f} MB"]
        for name, one in found["rows"].items()
    ]
    heading = ["To Q8_0, two threads", "read", "peak above a small model's"]
    return f"A conversion of a small model peaks at {found['small'] / 1e6:,.0f} MB\n\n{table(heading, rows)}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--formats", nargs="+", choices=ROWS_OF_TABLE, default=ROWS_OF_TABLE, metavar="FORMAT"
    )
    parser.add_argument("--layers", type=int, default=LAYERS)
    parser.add_argument("--runs", type=int, help=argparse.SUPPRESS)  # one is enough of a peak
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = run(options.formats, options.layers)
    print(json.dumps(found, indent=2) if options.json else show(found))
    return int(any(one["peak"] > LIMIT for one in found["rows"].values()))


if __name__ == "__main__":
    sys.exit(main())
