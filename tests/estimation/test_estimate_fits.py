"""Solving for layers and context, the command, and what cannot be estimated."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import gguf_tools
from gguf_tools import Array, Metadata, ValueType
from gguf_tools.cli import main
from gguf_tools.errors import ArchitectureError, FormatError, GGUFToolsError, UnsupportedError
from gguf_tools.estimation import CACHE_TYPES, Settings, estimate, fit, load_model
from tests.references import oracles

MEBIBYTE = 1 << 20
COLUMNS = 80


@pytest.fixture(scope="module")
def files(tiny_checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("fitted")
    paths = {name: root / f"{name}.gguf" for name in ("llama", "gemma3", "jamba", "deepseek-v2", "bert")}
    for name, path in paths.items():
        gguf_tools.convert(tiny_checkpoints[name], path, type="F16")
    return paths


@pytest.mark.parametrize("budget", [1, 2 * MEBIBYTE, 5 * MEBIBYTE, 8 * MEBIBYTE, 1 << 40])
@pytest.mark.parametrize("name", ["llama", "gemma3", "jamba", "deepseek-v2"])
def test_what_fits_fits_and_no_more_does(name: str, budget: int, files: dict[str, Path]) -> None:
    model = load_model(files[name])
    settings = Settings(context=2048)
    found = fit(model, settings, budget)

    def on_device(**changes: Any) -> int:
        return estimate(model, replace(settings, **changes)).device.total

    assert found.layers == 0 or on_device(gpu_layers=found.layers) <= budget
    if found.layers < found.of_layers:
        assert on_device(gpu_layers=found.layers + 1) > budget
    every = {"gpu_layers": found.of_layers}
    if found.largest_context is None:
        assert on_device(context=256, **every) > budget
    else:
        assert on_device(context=found.largest_context, **every) <= budget
        if found.largest_context < model.trained_context:
            assert on_device(context=found.largest_context + 256, **every) > budget


def test_a_published_model_fits_as_far_as_it_does() -> None:
    model = load_model(oracles.smollm2())
    found = fit(model, Settings(context=8192), 160 * MEBIBYTE)
    assert 0 < found.layers < found.of_layers == 31
    assert found.largest_context is not None
    assert 256 <= found.largest_context < 8192


def run(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["estimate", *arguments])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_table_is_narrow(files: dict[str, Path]) -> None:
    table = run(str(files["jamba"]), "-c", "4096", "-c", "1048576", "--gpu-layers", "2", "--fits", "24GiB")
    lines = [line for line in table.splitlines() if not line.startswith("model ")]
    assert max(map(len, lines)) <= COLUMNS
    heading = next(line for line in lines if line.startswith("  context"))
    assert heading.split() == ["context", "KV", "cache", "state", "compute", "device", "host", "total"]
    assert "24.00 GiB hold all 4 layers with 1,048,576 tokens of context" in table


def test_contexts_up_to_the_trained_one_are_shown() -> None:
    rows = [line.split()[0] for line in run(str(oracles.smollm2())).splitlines() if "MiB" in line]
    assert rows[-2:] == ["4,096", "8,192"]


def test_an_encoder_has_no_cache(files: dict[str, Path]) -> None:
    table = run(str(files["bert"]))
    assert "cache" not in table
    assert "compute" in table


def test_json(files: dict[str, Path]) -> None:
    arguments = ["-c", "2048", "-c", "4096", "-g", "2", "--cache-type-k", "q8_0", "--fits", "4MiB", "--json"]
    document = json.loads(run(str(files["llama"]), *arguments))
    first, second = document["estimates"]
    direct = estimate(files["llama"], context=2048, gpu_layers=2, cache_type_k="Q8_0")
    assert first == direct.to_dict()
    assert first["total"] == first["host"]["total"] + first["device"]["total"]
    assert first["total"] == sum(first[key] for key in ("weights", "kv_cache", "state", "compute", "output"))
    assert second["context"] == 4096
    assert second["kv_cache"] == 2 * first["kv_cache"]
    assert (
        document["fits"]
        == fit(
            load_model(files["llama"]),
            Settings(context=4096, cache_type_k="Q8_0", gpu_layers=2),
            4 * MEBIBYTE,
        ).to_dict()
    )


def test_a_checkpoint_is_estimated_without_converting(
    tiny_checkpoints: dict[str, Path], files: dict[str, Path]
) -> None:
    document = json.loads(run(str(tiny_checkpoints["llama"]), "-t", "F16", "-c", "2048", "--json"))
    assert document["estimates"] == [estimate(files["llama"], context=2048).to_dict()]


def test_the_machine_code_compiler_is_not_needed(files: dict[str, Path]) -> None:
    program = (
        "import sys, gguf_tools; gguf_tools.estimate(sys.argv[1]);"
        " assert not {'numba', 'torch', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(files["llama"])], check=True, timeout=60)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"context": 0}, "context"),
        ({"context": 2**31}, "context"),
        ({"batch": 0}, "batch"),
        ({"ubatch": -1}, "ubatch"),
        ({"sequences": 0}, "sequences"),
        ({"sequences": 257}, "sequences"),
        ({"outputs": 0}, "outputs"),
        ({"gpu_layers": -1}, "gpu_layers"),
        ({"cache_type_k": "Q6_K"}, "cache_type_k"),
        ({"cache_type_v": "nonsense"}, "cache_type_v"),
        ({"cache_type_v": "Q8_0", "flash_attention": False}, "need flash attention"),
    ],
    ids=str,
)
def test_settings_out_of_range(changes: dict[str, Any], said: str, files: dict[str, Path]) -> None:
    with pytest.raises(UnsupportedError, match=said):
        estimate(files["llama"], **changes)


def test_heads_that_do_not_divide_into_blocks(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    model = load_model(tiny_checkpoints["llama"], recipe="F16")
    odd = replace(model, layers=tuple(replace(layer, key_size=40) for layer in model.layers))
    with pytest.raises(UnsupportedError, match="heads of layer 0") as caught:
        estimate(odd, cache_type_k="Q8_0")
    assert caught.value.found == 40


def test_no_memory_to_fit_into(files: dict[str, Path]) -> None:
    with pytest.raises(UnsupportedError, match="memory to fit into"):
        fit(load_model(files["llama"]), Settings(), 0)


NEEDED = [
    "block_count",
    "context_length",
    "embedding_length",
    "attention.head_count",
]


def rewritten(path: Path, target: Path, change: dict[str, Any], drop: tuple[str, ...] = ()) -> Path:
    """A copy of a file with other metadata."""
    with gguf_tools.open(path) as file:
        metadata = Metadata()
        for key in file.metadata:
            if key in drop:
                continue
            value, kind = change.get(key, (file.metadata[key], file.metadata.type_of(key)))
            metadata.set(key, value, kind)
        gguf_tools.write(target, metadata, file.tensors.items())
    return target


@pytest.mark.parametrize("key", NEEDED)
def test_a_key_that_is_missing(key: str, files: dict[str, Path], tmp_path: Path) -> None:
    path = rewritten(files["llama"], tmp_path / "x.gguf", {}, (f"llama.{key}",))
    with pytest.raises(FormatError) as caught:
        estimate(path)
    assert caught.value.key == f"llama.{key}"
    assert caught.value.path == str(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("block_count", (0, ValueType.UINT32)),
        ("block_count", (513, ValueType.UINT32)),  # llama.cpp has room for 512
        ("block_count", (2**32 - 1, ValueType.UINT32)),
        ("block_count", ("three", ValueType.STRING)),
        ("embedding_length", (-1, ValueType.INT32)),
        ("attention.head_count", (2**60, ValueType.UINT64)),
        ("attention.head_count_kv", (Array(ValueType.UINT32, [2]), ValueType.ARRAY)),
    ],
    ids=str,
)
def test_a_key_that_is_no_size(
    key: str, value: tuple[Any, ValueType], files: dict[str, Path], tmp_path: Path
) -> None:
    path = rewritten(files["llama"], tmp_path / "x.gguf", {f"llama.{key}": value})
    with pytest.raises(FormatError) as caught:
        estimate(path)
    assert caught.value.key == f"llama.{key}"


@pytest.mark.parametrize("name", ["clip", "nobody-knows", ""])
def test_an_architecture_nobody_knows(name: str, files: dict[str, Path], tmp_path: Path) -> None:
    change = {"general.architecture": (name, ValueType.STRING)}
    path = rewritten(files["llama"], tmp_path / "x.gguf", change)
    with pytest.raises(ArchitectureError) as caught:
        estimate(path)
    assert caught.value.key == "general.architecture"
    assert caught.value.found == name


def test_a_tensor_that_is_missing(files: dict[str, Path], tmp_path: Path) -> None:
    target = tmp_path / "x.gguf"
    with gguf_tools.open(files["llama"]) as file:
        kept = [(name, tensor) for name, tensor in file.tensors.items() if name != "blk.1.ffn_up.weight"]
        gguf_tools.write(target, file.metadata, kept)
    with pytest.raises(FormatError) as caught:
        estimate(target)
    assert caught.value.tensor == "blk.1.ffn_up.weight"


@pytest.mark.parametrize(
    "arguments",
    [
        ["/nowhere.gguf"],
        ["FILE", "--cache-type-v", "q9"],
        ["FILE", "--type", "Q9_9"],
        ["FILE", "--no-flash-attn", "--cache-type-v", "q8_0"],
    ],
    ids=" ".join,
)
def test_the_command_fails_in_one_line(arguments: list[str], files: dict[str, Path]) -> None:
    given = [str(files["llama"]) if a == "FILE" else a for a in arguments]
    done = CliRunner().invoke(main, ["estimate", *given])
    assert done.exit_code == 1
    assert len(done.output.strip().splitlines()) == 1
    assert done.output.startswith("error:")


@pytest.mark.parametrize("option", ["--context=0", "--fits=0", "--fits=lots", "--ubatch=x", "--parallel=999"])
def test_the_command_refuses_nonsense(option: str, files: dict[str, Path]) -> None:
    done = CliRunner().invoke(main, ["estimate", str(files["llama"]), option])
    assert done.exit_code == 2
    assert option.split("=")[0] in done.output


def test_every_cache_type_is_a_type(files: dict[str, Path]) -> None:
    sizes = {name: estimate(files["llama"], cache_type_k=name).host.kv_cache for name in CACHE_TYPES}
    assert sizes["F32"] > sizes["F16"] == sizes["BF16"] > sizes["Q8_0"] > sizes["Q5_1"] > sizes["Q4_0"]
    assert issubclass(UnsupportedError, GGUFToolsError)
