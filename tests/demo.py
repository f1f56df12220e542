"""``make demo``: convert a checkpoint, inspect the result, let llama.cpp run it.

Each step is the command a user would type, shown before it runs.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

OUTPUT = Path("demo-out")
DEFAULT_PROMPT = "The capital of France is"
TOKENS = 24


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--type", default="Q4_K_M")
    parser.add_argument("--prompt", default="")
    arguments = parser.parse_args()

    OUTPUT.mkdir(exist_ok=True)
    target = OUTPUT / f"{arguments.model.resolve().name}-{arguments.type}.gguf"
    tool = str(Path(sys.executable).with_name("gguf-tools"))
    for command in (
        ["convert", str(arguments.model), str(target), "--type", arguments.type, "--force"],
        ["inspect", str(target)],
        ["verify", str(target)],
    ):
        print(f"\n$ gguf-tools {shlex.join(command)}", flush=True)
        status = subprocess.run([tool, *command], check=False).returncode
        if status:
            return status
    print(f"\nllama.cpp runs {target}:", flush=True)
    return run(target, arguments.prompt or own_prompt(arguments.model))


def own_prompt(model: Path) -> str:
    """The prompt a demonstration checkpoint was made for, else a general one."""
    note = model / "demo.json"
    if note.is_file():
        return str(json.loads(note.read_text(encoding="utf-8"))["prompt"])
    return DEFAULT_PROMPT


def run(path: Path, prompt: str) -> int:
    """Greedy continuation by llama.cpp, or for an encoder the length of its embedding."""
    from tests.references.llama import Llama

    with Llama(path) as model:
        if model.is_encoder:
            vector = model.embed(prompt)
            print(f"  embedding of {prompt!r}: {vector.size} values, starting {vector[:4].round(4).tolist()}")
        else:
            print(f"  {prompt}{model.generate(prompt, TOKENS)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
