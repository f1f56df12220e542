"""A whole conversion of a 1.1 B-parameter checkpoint: this package against llama.cpp's converter + quantizer.

Both start from the same BF16 safetensors directory and end with a quantized GGUF file. llama.cpp needs two
steps and a file between them: ``convert_hf_to_gguf.py --outtype bf16`` (in a Python that has torch and
transformers) and ``llama_model_quantize`` (from the ``cyllama`` package, without a Python loop inside).
The two alternate; medians are printed. Inputs are in the page cache; numba's compilation is cached.

    python -m bench.convert [--type Q4_K_M] [--threads 2] [--runs 3] [--layers 22] [--json]
                            [--reference-python PATH] [--converter PATH] [--work DIR]
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from .measure import Cost, measure, median_cost, table

REFERENCE_PYTHON: Final = "GGUF_TOOLS_REFERENCE_PYTHON"
"""Environment variable: a Python with torch, transformers and sentencepiece for llama.cpp's converter."""

_OURS: Final = "from gguf_tools.cli import main; main()"

_QUANTIZER: Final = """
import sys
from cyllama.llama import llama_cpp
parameters = llama_cpp.LlamaModelQuantizeParams()
parameters.ftype, parameters.nthread = int(sys.argv[3]), int(sys.argv[4])
llama_cpp.model_quantize(sys.argv[1], sys.argv[2], parameters)
"""

_COMPARE: Final = """
import json, sys
import gguf_tools
ours, theirs = (gguf_tools.open(path) for path in sys.argv[1:3])
same = [
    name for name, tensor in ours.tensors.items()
    if name in theirs.tensors
    and (tensor.type, tensor.shape) == (theirs.tensors[name].type, theirs.tensors[name].shape)
    and all(
        (tensor.raw(a, min(a + 1024, rows)) == theirs.tensors[name].raw(a, min(a + 1024, rows))).all()
        for rows in [tensor.shape[0] if len(tensor.shape) > 1 else 1] for a in range(0, rows, 1024)
    )
]
print(json.dumps([len(same), len(ours.tensors), len(theirs.tensors)]))
"""


def run(
    work: Path,
    *,
    recipe: str,
    threads: int,
    runs: int,
    layers: int,
    converter: tuple[str, Path] | None,
) -> dict[str, Any]:
    """Measure; returns costs of our conversion and of llama.cpp's steps, and the ratios.

    Args:
        work: a directory for the checkpoint (kept) and the outputs (removed).
        recipe: a recipe both know.
        threads: for both sides.
        runs: of each, alternating.
        layers: 22 makes 1.1 B parameters.
        converter: the Python and the script, or None to compare with the quantizer alone.
    """
    from gguf_tools.recipes import find_recipe

    file_type = str(int(find_recipe(recipe).file_type))
    measure([sys.executable, "-m", "bench.checkpoint", str(work), str(layers), "0"])
    from .checkpoint import build

    checkpoint = str(build(work, layers))
    with tempfile.TemporaryDirectory(dir=work, prefix="outputs-") as folder:
        ours, between, theirs = (
            str(Path(folder) / name) for name in ("ours.gguf", "bf16.gguf", "theirs.gguf")
        )
        environment = os.environ | {"OMP_NUM_THREADS": str(threads)}

        def convert(target: str, kind: str) -> Cost:
            command = [sys.executable, "-c", _OURS, "convert", checkpoint, target]
            return measure([*command, "--type", kind, "--threads", str(threads), "--quiet", "--force"])[0]

        def convert_theirs() -> Cost:
            if converter is None:
                return convert(between, "BF16")
            python, script = converter
            command = [python, str(script), checkpoint, "--outfile", between, "--outtype", "bf16"]
            return measure(command, environment)[0]

        def quantize_theirs() -> Cost:
            return measure([sys.executable, "-c", _QUANTIZER, between, theirs, file_type, str(threads)])[0]

        first = convert(
            ours, recipe
        )  # compiles what is not compiled yet, and reads the weights into the cache
        costs: dict[str, list[Cost]] = {"ours": [], "converter": [], "quantizer": []}
        for _ in range(runs):
            costs["ours"].append(convert(ours, recipe))
            costs["converter"].append(convert_theirs())
            costs["quantizer"].append(quantize_theirs())
        _, said = measure([sys.executable, "-c", _COMPARE, ours, theirs])
        same, tensors, _ = json.loads(said)
        sizes = {"ours": Path(ours).stat().st_size, "theirs": Path(theirs).stat().st_size}

    medians = {name: median_cost(found) for name, found in costs.items()}
    both = [a.then(b) for a, b in zip(costs["converter"], costs["quantizer"], strict=True)]
    total = median_cost(both) if converter else medians["quantizer"]
    mine = medians["ours"]
    return {
        "type": recipe,
        "threads": threads,
        "runs": runs,
        "layers": layers,
        "converter_measured": converter is not None,
        "first_run": first.to_dict(),
        "ours": mine.to_dict(),
        "converter": medians["converter"].to_dict() if converter else None,
        "quantizer": medians["quantizer"].to_dict(),
        "llama_cpp": total.to_dict(),
        "ratios": {
            "wall": total.wall / mine.wall,
            "cpu": total.cpu / mine.cpu,
            "peak": total.peak / mine.peak,
        },
        "identical_tensors": same,
        "tensors": tensors,
        "sizes": sizes,
    }


def show(found: dict[str, Any]) -> str:
    """The figures as a plain table."""

    def row(name: str, cost: dict[str, Any] | None) -> list[str]:
        if cost is None:
            return [name, "not measured", "", ""]
        return [name, f"{cost['wall']:.1f} s", f"{cost['cpu']:.1f} s", f"{cost['peak'] / 1e6:.0f} MB"]

    ratios = found["ratios"]
    against = "llama.cpp, both steps" if found["converter_measured"] else "llama.cpp, quantizer alone"
    rows = [
        row("gguf-tools convert", found["ours"]),
        row("llama.cpp converter to BF16", found["converter"]),
        row("llama.cpp quantizer", found["quantizer"]),
        row(against, found["llama_cpp"]),
        ["ratio", f"{ratios['wall']:.1f}×", f"{ratios['cpu']:.1f}×", f"{ratios['peak']:.1f}×"],
    ]
    lines = [
        f"Safetensors to {found['type']}, Llama-shaped, {found['layers']} layers, {found['threads']} threads"
        f" (medians of {found['runs']} alternating runs)",
        "",
        table(["", "wall", "CPU", "peak memory"], rows),
        "",
        f"Tensors with the same bytes on both sides: {found['identical_tensors']} of {found['tensors']}",
    ]
    if not found["converter_measured"]:
        lines.append(
            "llama.cpp's converter was not measured: it needs a Python with torch and transformers"
            f" (--reference-python or {REFERENCE_PYTHON}); its BF16 file was made by this package instead."
        )
    return "\n".join(lines)


def find_converter(python: str | None, script: Path | None) -> tuple[str, Path] | None:
    """The Python and the script of llama.cpp's converter, or None where no Python for it is known."""
    chosen = python or os.environ.get(REFERENCE_PYTHON)
    parity = Path(__file__).parent.parent / ".venv-parity" / "bin" / "python"
    if chosen is None:
        if importlib.util.find_spec("torch") and importlib.util.find_spec("transformers"):
            chosen = sys.executable
        elif parity.exists():
            chosen = str(parity)
        else:
            return None
    if script is None:
        from tests.references.oracles import llama_cpp

        script = llama_cpp() / "convert_hf_to_gguf.py"
    return chosen, script


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.convert", description=__doc__.partition("\n")[0])
    parser.add_argument("--type", default="Q4_K_M")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--layers", type=int, default=22, help="22 layers are 1.1 B parameters")
    parser.add_argument(
        "--reference-python", help=f"Python with torch and transformers; or {REFERENCE_PYTHON}"
    )
    parser.add_argument("--converter", type=Path, help="convert_hf_to_gguf.py; default: downloaded once")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "gguf-tools-bench")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    options.work.mkdir(parents=True, exist_ok=True)
    need = options.layers * 440_000_000  # weights, their BF16 file, and two outputs
    if shutil.disk_usage(options.work).free < need:
        parser.error(f"{options.work} has less than {need / 1e9:.0f} GB free; choose another --work")
    found = run(
        options.work,
        recipe=options.type,
        threads=options.threads,
        runs=options.runs,
        layers=options.layers,
        converter=find_converter(options.reference_python, options.converter),
    )
    print(json.dumps(found, indent=2) if options.json else show(found))


if __name__ == "__main__":
    main()
