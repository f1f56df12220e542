"""What llama.cpp's converter and ``mistral_common`` make of a tekken.json, in a process of its own.

The converter brings its own copy of the ``gguf`` package.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.references import oracles


def reference(directory: Path, texts: Sequence[str]) -> dict[str, Any]:
    """Tokens, types, scores, merges and ids of a directory's tekken.json, and the ids of ``texts``.

    Raises:
        RuntimeError: they do not read it; with the last they said.
    """
    command = [
        sys.executable,
        "-m",
        "tests.parity.mistral",
        str(oracles.llama_cpp() / "gguf-py"),
        str(directory),
    ]
    root = Path(__file__).resolve().parent.parent.parent
    done = subprocess.run(command, input=json.dumps(texts), cwd=root, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the converter does not read {directory}: {done.stderr.strip()[-2000:]}")
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def _main() -> None:
    _, package, directory = sys.argv
    sys.path.insert(0, package)
    from gguf.vocab import MistralVocab

    vocabulary = MistralVocab(Path(directory))
    tokens, scores, types = zip(*vocabulary.all_tokens(), strict=True)
    made = {
        "tokens": [token.decode() for token in tokens],
        "scores": scores,
        "types": types,
        "merges": vocabulary.extract_vocab_merges_from_model(),
        "bos": vocabulary.bos_id,
        "eos": vocabulary.eos_id,
        "unk": vocabulary.unk_id,
        "pad": vocabulary.pad_id,
        "encoded": [vocabulary.tokenizer.encode(text, bos=True, eos=False) for text in json.load(sys.stdin)],
    }
    json.dump(made, sys.stdout)


if __name__ == "__main__":
    _main()
