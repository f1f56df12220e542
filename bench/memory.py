"""Peak memory of converting packed checkpoints of a billion weights, each in a process of its own.

A Llama of random codes, every projection 4096 × 4096, goes to Q8_0 with two threads; so does one with a LoRA
adapter merged on the way, and the adapter alone. What counts is the peak above that of converting a model of
a million weights: it must depend on the chunks in flight, not on the size of the model.

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
ROWS_OF_TABLE: Final = (*(name for name in FORMATS if name != "MXFP4"), _MERGED, _ADAPTER)
"""MXFP4 is only there in stacked experts of gpt-oss."""

_DEMO: Final = Path(__file__).resolve().parent.parent / "fixtures" / "demo"
_PROJECTIONS: Final = (
    *(f"self_attn.{part}_proj" for part in "qkvo"),
    *(f"mlp.{part}_proj" for part in ("gate", "up", "down")),
)

Tensors = Iterator[tuple[str, str, Shape, bytes]]


def run(rows: Sequence[str] = ROWS_OF_TABLE, layers: int = LAYERS) -> dict[str, Any]:
    """Measure; returns the small conversion's peak, and per row bytes read and the peak above that."""
    with tempfile.TemporaryDirectory(prefix="gguf-tools-bench-") as scratch:
        folder = Path(scratch)
        small = _peak(["convert", str(_DEMO), str(folder / "demo.gguf"), "--type", "Q8_0"])
        return {
            "small": small,
            "layers": layers,
            "rows": {name: _measured(name, folder, layers, small) for name in rows},
        }


def _measured(name: str, folder: Path, layers: int, small: int) -> dict[str, int]:
    """One row. The checkpoint is made in a process of its own, whose memory does not count."""
    target = folder / "model"
    code = f"from bench.memory import build; build({str(target)!r}, {name!r}, {layers})"
    measure([sys.executable, "-c", code])
    output = folder / "out.gguf"
    command = ["convert", str(target), str(output), "--type", "Q8_0"]
    if name == _MERGED:
        command += ["--merge-lora", str(target / "adapter")]
    if name == _ADAPTER:
        command = ["convert-lora", str(target / "adapter"), str(output), "--base", str(target)]
    peak = _peak(command)
    weights = target / ("adapter/adapter_model.safetensors" if name == _ADAPTER else "model.safetensors")
    size = weights.stat().st_size
    weights.unlink()
    output.unlink()
    return {"bytes": size, "peak": peak - small}


def _peak(arguments: Sequence[str]) -> int:
    start = "import sys; from gguf_tools.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", start, *arguments, "--threads", "2", "--force", "--quiet"]
    return measure(command)[0].peak


def build(target: str, name: str, layers: int) -> None:
    """The checkpoint of a row, and an adapter beside it where the row has one."""
    from .checkpoint import _config, _sentencepiece_model

    directory = Path(target)
    (directory / "adapter").mkdir(parents=True, exist_ok=True)
    packed = FORMATS.get(name, FORMATS[_PLAIN])
    config = _config(layers) | {
        "hidden_size": COLUMNS,
        "intermediate_size": ROWS,
        "num_key_value_heads": 32,
        "vocab_size": VOCABULARY,
    }
    if packed.settings:
        config["quantization_config"] = packed.settings
    (directory / "config.json").write_text(json.dumps(config))
    (directory / "tokenizer.model").write_bytes(_sentencepiece_model(VOCABULARY))
    (directory / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "LlamaTokenizer"}))
    _write(directory / "model.safetensors", list(_model(packed.parts, layers)))
    settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": RANK, "target_modules": ["q_proj"]}
    (directory / "adapter" / "adapter_config.json").write_text(json.dumps(settings))
    if name in (_MERGED, _ADAPTER):
        _write(directory / "adapter" / "adapter_model.safetensors", list(_factors(layers)))


def _model(parts: dict[str, tuple[str, Shape]], layers: int) -> Tensors:
    import numpy as np

    from .packed import _contents

    data = {
        ending: (dtype, shape, _contents(ending, dtype, shape)) for ending, (dtype, shape) in parts.items()
    }
    for name, shape in (("model.embed_tokens", (VOCABULARY, COLUMNS)), ("model.norm", (COLUMNS,))):
        yield f"{name}.weight", "F32", shape, np.ones(shape, "<f4").tobytes()
    yield "lm_head.weight", "F32", (VOCABULARY, COLUMNS), np.ones((VOCABULARY, COLUMNS), "<f4").tobytes()
    for layer in range(layers):
        base = f"model.layers.{layer}"
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{base}.{norm}.weight", "F32", (COLUMNS,), np.ones(COLUMNS, "<f4").tobytes()
        for projection in _PROJECTIONS:
            for ending, (dtype, shape, contents) in data.items():
                known = (len(contents),) if dtype == "U8" and not shape else shape
                yield f"{base}.{projection}.{ending}", dtype, known, contents


def _factors(layers: int) -> Tensors:
    import numpy as np

    data = np.random.default_rng(0).standard_normal((RANK, COLUMNS), np.float32).tobytes()
    for layer in range(layers):
        for projection in _PROJECTIONS:
            base = f"base_model.model.model.layers.{layer}.{projection}"
            yield f"{base}.lora_A.weight", "F32", (RANK, COLUMNS), data
            yield f"{base}.lora_B.weight", "F32", (ROWS, RANK), data


def _write(path: Path, tensors: Sequence[tuple[str, str, Shape, bytes]]) -> None:
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
