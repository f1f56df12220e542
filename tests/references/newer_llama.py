"""A newer llama.cpp than `.llama` has, through the ``xllamacpp`` package: the judge of newer families.

It runs in a process of its own, because two copies of ggml do not share one.
"""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
CONTEXT_TOKENS = 256
SECONDS = 300


class NewerLlamaError(RuntimeError):
    """llama.cpp refused a file or a prompt."""


def tokenize(path: Path, text: str) -> list[int]:
    """Token ids of ``text``, with BOS and EOS where the model wants them.

    Raises:
        NewerLlamaError: llama.cpp does not load the file.
    """
    tokens: list[int] = _asked(path, text=text)["tokens"]
    return tokens


def next_log_probabilities(
    path: Path, prompts: Sequence[Sequence[int]], *, adapter: Path | None = None, scale: float = 1.0
) -> NDArray[np.float32]:
    """What may follow each of ``prompts`` (token ids): log-probabilities, (prompts, vocabulary).

    With an ``adapter``, a GGUF file too, times ``scale``.

    Raises:
        NewerLlamaError: llama.cpp does not load the file.
    """
    question: dict[str, Any] = {"prompts": [list(map(int, prompt)) for prompt in prompts]}
    if adapter is not None:
        question["adapter"] = [str(adapter), scale]
    return np.array(_asked(path, **question)["log_probabilities"], np.float32)


def _asked(path: Path, **question: Any) -> Any:
    done = subprocess.run(
        [sys.executable, "-m", "tests.references.newer_llama", str(path)],
        input=json.dumps(question),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    if done.returncode:
        raise NewerLlamaError(f"llama.cpp does not run {path}: {done.stderr.strip()[-600:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _main() -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = sys.argv[1]
    params.n_ctx = CONTEXT_TOKENS
    params.n_gpu_layers = 0
    params.n_parallel = 1
    params.warmup = False
    params.cpuparams.n_threads = 2
    # Keys and values in float32, so that comparisons measure the weights only.
    params.cache_type_k = params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    question = json.load(sys.stdin)
    if "adapter" in question:
        params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(*question["adapter"])]
    server = xllamacpp.Server(params)
    answer: dict[str, Any] = {}
    if "text" in question:
        answer["tokens"] = _tokens(server, question["text"])
    else:
        answer["log_probabilities"] = [_distribution(server, prompt) for prompt in question["prompts"]]
    print(json.dumps(answer), flush=True)


def _tokens(server: Any, text: str) -> list[int]:
    asked = {"content": text, "add_special": True, "parse_special": False}
    request = urllib.request.Request(
        f"{server.listening_address}/tokenize",
        json.dumps(asked).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        tokens: list[int] = json.load(answer)["tokens"]
    return tokens


def _distribution(server: Any, prompt: Sequence[int]) -> list[float]:
    """Log-probabilities of all tokens, in order of their ids."""
    many = 1 << 20  # more than any vocabulary has
    asked = {"prompt": prompt, "max_tokens": 1, "temperature": 0, "logprobs": many, "n_probs": many}
    (choice,) = server.handle_completions(asked)["choices"]
    (first,) = choice["logprobs"]["content"]
    found = {entry["id"]: entry["logprob"] for entry in first["top_logprobs"]}
    return [found[token] for token in range(len(found))]


if __name__ == "__main__":
    _main()
