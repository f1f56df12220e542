"""Record what llama.cpp's own converter and quantizer make of the tiny checkpoints: ``make goldens``.

Runs in the parity environment (torch, and the transformers release b11434's converter pins). One file
per checkpoint, ``fixtures/goldens/<name>.json``:

- ``tensors``: shape of each GGUF tensor and the SHA-256 of its bytes, by tensor type;
- ``metadata``: the keys that are the same in every file;
- ``files``: for each kind of file, the keys that are not, each tensor's type, and the SHA-256 of all bytes;
- ``refused``: kinds llama.cpp fails to make (it has no fallback for rows its older formats do not divide).

Kinds of files: ``F32``, ``F16``, ``BF16`` and ``converter-Q8_0`` come from ``convert_hf_to_gguf.py``; the
others from ``llama_model_quantize`` applied to the F32 one, or to that which the checkpoint's
``quantized_from`` names (``quantizer-F16`` and such where the two overlap).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests import tiny
from tests.goldens.converter import Job, convert
from tests.goldens.describe import describe
from tests.references import llama

GOLDENS = Path(__file__).resolve().parent.parent.parent / "fixtures" / "goldens"

CONVERTER = {"F32": "f32", "F16": "f16", "BF16": "bf16", "converter-Q8_0": "q8_0"}
"""Kind of file to the converter's ``--outtype``."""

QUANTIZER = {
    "quantizer-F16": "F16",
    "quantizer-BF16": "BF16",
    **{
        name: name
        for name in (
            "Q8_0",
            "Q4_0",
            "Q4_1",
            "Q5_0",
            "Q5_1",
            "Q4_K_S",
            "Q4_K_M",
            "Q5_K_S",
            "Q5_K_M",
            "Q6_K",
        )
    },
}
"""Kind of file to llama.cpp's file type."""

KINDS = (*CONVERTER, *QUANTIZER)
"""All kinds; which of them are recorded of a checkpoint stands with it."""


def record(name: str, scratch: Path) -> dict[str, Any]:
    """The golden of one tiny checkpoint, as JSON values."""
    checkpoint = tiny.build(name, scratch)
    model = tiny.MODELS[name]
    wanted = model.kinds
    paths = {kind: scratch / f"{name}-{kind}.gguf" for kind in CONVERTER if kind in wanted}
    convert(
        [Job(checkpoint, path, CONVERTER[kind], model.pre, model.options) for kind, path in paths.items()]
    )
    described = {kind: describe(path) for kind, path in paths.items()}
    refused = []
    for kind, file_type in QUANTIZER.items():
        if kind not in wanted:
            continue
        path = scratch / f"{name}-{kind}.gguf"
        try:
            llama.quantize(paths[model.quantized_from], path, file_type)
        except RuntimeError:
            refused.append(kind)
        else:
            described[kind] = describe(path)
        path.unlink(missing_ok=True)

    first = described["F32"]
    common = {
        key: value
        for key, value in first.metadata.items()
        if all(other.metadata.get(key) == value for other in described.values())
    }
    tensors: dict[str, Any] = {
        tensor: {"shape": list(facts.shape), "sha256": {}} for tensor, facts in first.tensors.items()
    }
    files = {}
    for kind, description in described.items():
        types = {}
        for tensor, facts in sorted(description.tensors.items()):
            known = tensors[tensor]
            if list(facts.shape) != known["shape"]:
                raise SystemExit(f"{name} {kind}: {tensor} has shape {facts.shape}, not {known['shape']}")
            if known["sha256"].setdefault(facts.type, facts.sha256) != facts.sha256:
                raise SystemExit(f"{name} {kind}: {tensor} as {facts.type} has two encodings")
            types[tensor] = facts.type
        own = {key: value for key, value in description.metadata.items() if key not in common}
        files[kind] = {"metadata": own, "types": types, "sha256": description.sha256}
    return {"metadata": common, "tensors": tensors, "files": files, "refused": refused}


def dump(golden: dict[str, Any]) -> str:
    """JSON with one line per key or tensor, so that a change shows as a change of lines."""
    lines = ["{"]
    lines.append('"metadata": {')
    lines.append(_rows(golden["metadata"]) + "},")
    lines.append('"tensors": {')
    lines.append(_rows(golden["tensors"]) + "},")
    lines.append('"files": {')
    lines.append(_rows(golden["files"]) + "},")
    lines.append(f'"refused": {json.dumps(golden["refused"])}')
    lines.append("}")
    return "\n".join(lines) + "\n"


def _rows(table: dict[str, Any]) -> str:
    return ",\n".join(
        f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False, separators=(',', ':'))}"
        for key, value in table.items()
    )


def load(name: str) -> dict[str, Any]:
    """The committed golden of a tiny checkpoint; a missing one is an error."""
    golden = json.loads((GOLDENS / f"{name}.json").read_text(encoding="utf-8"))
    assert isinstance(golden, dict)
    return golden


def main() -> None:
    """Record all of them, or those named on the command line."""
    GOLDENS.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or (*tiny.NAMES, *tiny.PACKED_NAMES):
        with tempfile.TemporaryDirectory() as scratch:
            text = dump(record(name, Path(scratch)))
        path = GOLDENS / f"{name}.json"
        changed = not path.exists() or path.read_text(encoding="utf-8") != text
        path.write_text(text, encoding="utf-8")
        print(f"{path.name}: {'written' if changed else 'unchanged'}", flush=True)


if __name__ == "__main__":
    main()
