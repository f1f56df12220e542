"""Tiny checkpoints come out as llama.cpp's converter and quantizer make them, to the last byte of the file.

The goldens were recorded by ``make goldens``; files are read by the ``gguf`` package.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import gguf_tools
from tests import tiny
from tests.goldens.compare import Deliberate, differences
from tests.goldens.describe import describe
from tests.goldens.record import QUANTIZER, load

DELIBERATE_DIFFERENCES: tuple[Deliberate, ...] = (
    tuple(
        Deliberate(name, kind, subject, "its converter forgets to say the file type of this family")
        for name in ("gpt-neox", "mpt")
        for kind in ("F32", "BF16")
        for subject in ("key general.file_type", "file bytes")
    )
    + tuple(
        Deliberate(name, kind, "file bytes", reason)
        for name, reason in (
            ("ernie-moe", "its converter writes experts in an order of its own"),
            ("phi2", "its converter says add_bos_token before the quantization version"),
        )
        for kind in ("F32", "BF16")
    )
    + tuple(
        Deliberate("mamba", "*", subject, "torch's exponential is wrong in the last bit of 1 in 100 values")
        for subject in ("tensor blk.*.ssm_a", "file bytes")
    )
    + (
        Deliberate(
            "chatglm", "*", "file bytes", "its converter says add_bos_token among the family's own keys"
        ),
    )
    + tuple(
        Deliberate("glm", "*", subject, "its converter takes Glm's config for ChatGLM's, of other names")
        for subject in (
            "key chatglm.context_length",
            "key chatglm.attention.layer_norm_rms_epsilon",
            "file bytes",
        )
    )
    + tuple(
        Deliberate("jina-bert-v2-code", "*", subject, "takes what the gate opens for the gate")
        for subject in ("tensor blk.*.ffn_up.weight", "file bytes")
    )
    + tuple(
        Deliberate("xlm-roberta", "*", subject, "forgets <mask>, which it knows when it reads tokenizer.json")
        for subject in (
            *(f"key tokenizer.ggml.{key}" for key in ("tokens", "scores", "token_type")),
            "file bytes",
        )
    )
    + tuple(
        Deliberate(name, kind, subject, "kept as in the file quantized, which was F32 where we imagine BF16")
        for name in ("t5", "t5-tied", "t5-encoder", "umt5")
        for kind in ("Q8_0", "Q4_K_M")
        for subject in ("tensor *attn_rel_b.weight", "file bytes")
    )
    + tuple(
        Deliberate("rwkv7", kind, subject, "its quantizer had an F32 file; from a BF16 one it keeps BF16")
        for kind in ("Q8_0", "Q4_K_M")
        for subject in ("tensor blk.*.time_mix_[avg][12].weight", "file bytes")
    )
    + tuple(
        Deliberate("exaone", kind, subject, "its converter leaves out the epsilon that llama.cpp asks for")
        for kind in ("F32", "BF16")
        for subject in ("key exaone.attention.layer_norm_rms_epsilon", "file bytes")
    )
)
"""Departures from llama.cpp b11434 in a file both make. The README's table is of inputs that llama.cpp
refuses, or takes and should not."""

RECIPES = (
    *("F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1"),
    *("Q4_K_S", "Q4_K_M", "Q5_K_S", "Q5_K_M", "Q6_K"),
)

GOLDENS = {name: load(name) for name in (*tiny.NAMES, *tiny.PACKED_NAMES)}
COVERED = [(name, recipe) for name in GOLDENS for recipe in RECIPES if recipe in GOLDENS[name]["files"]]
REFUSED = [(name, recipe) for name in tiny.NAMES for recipe in RECIPES if recipe in GOLDENS[name]["refused"]]
QUANTIZED = [(name, kind) for name in tiny.NAMES for kind in QUANTIZER if kind in GOLDENS[name]["files"]]


def unmeant(name: str, kind: str, path: Path) -> list[str]:
    """Differences between a file and its golden that no entry of the table covers, a line each."""
    return [
        f"{difference.subject}: found {difference.found}, expected {difference.expected}"
        for difference in differences(describe(path), GOLDENS[name], kind)
        if not any(entry.covers(name, kind, difference) for entry in DELIBERATE_DIFFERENCES)
    ]


@pytest.mark.parametrize(("name", "recipe"), COVERED)
def test_convert_equals_the_golden(
    name: str, recipe: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "out.gguf"
    gguf_tools.convert(tiny_checkpoints[name], path, type=recipe)
    assert unmeant(name, recipe, path) == []


@pytest.mark.parametrize("name", [name for name in tiny.NAMES if "converter-Q8_0" in GOLDENS[name]["files"]])
def test_convert_to_q8_0_also_equals_the_converters_own(
    name: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """llama.cpp reaches Q8_0 by two roads; they agree wherever both work, but for the order in the file."""
    path = tmp_path / "out.gguf"
    gguf_tools.convert(tiny_checkpoints[name], path, type="Q8_0")
    found = differences(describe(path), GOLDENS[name], "converter-Q8_0")
    assert [difference.subject for difference in found] == ["file bytes"]


def test_a_given_pre_tokenizer_replaces_the_recognised_one(
    tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "out.gguf"
    gguf_tools.convert(tiny_checkpoints["llama"], path, type="Q4_K_M", pre="smaug-bpe")
    found = differences(describe(path), GOLDENS["llama"], "Q4_K_M")
    assert found[0] == ("key tokenizer.ggml.pre", ["STRING", "smaug-bpe"], ["STRING", "llama-bpe"])
    assert [difference.subject for difference in found[1:]] == ["file bytes"]


@pytest.mark.parametrize(("name", "kind"), QUANTIZED)
def test_requantize_equals_the_golden(
    name: str, kind: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    base, path = tmp_path / "base.gguf", tmp_path / "out.gguf"
    gguf_tools.convert(tiny_checkpoints[name], base, type=tiny.MODELS[name].quantized_from)
    gguf_tools.requantize(base, path, type=QUANTIZER[kind])
    assert unmeant(name, kind, path) == []


@pytest.mark.parametrize(("name", "recipe"), REFUSED)
def test_rows_that_llama_cpp_refuses_fall_back_to_f16(
    name: str, recipe: str, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """The older formats have no fallback there; the converter's own Q8_0 takes F16, and so do we."""
    path = tmp_path / "out.gguf"
    gguf_tools.convert(tiny_checkpoints[name], path, type=recipe)
    found = describe(path).tensors
    kept = GOLDENS[name]["files"]["BF16"]["types"]
    indivisible = {
        tensor for tensor, facts in found.items() if facts.shape[-1] % 32 and kept[tensor] != "F32"
    }
    assert indivisible
    for tensor in indivisible:
        assert found[tensor].type == "F16"
        assert found[tensor].sha256 == GOLDENS[name]["tensors"][tensor]["sha256"]["F16"]
    assert recipe in {facts.type for facts in found.values()}


@pytest.mark.parametrize("threads", [1, 3])
def test_the_bytes_do_not_depend_on_the_number_of_threads(
    threads: int, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    first, second = tmp_path / "first.gguf", tmp_path / "second.gguf"
    gguf_tools.convert(tiny_checkpoints["qwen3"], first, type="Q4_K_M", threads=2)
    gguf_tools.convert(tiny_checkpoints["qwen3"], second, type="Q4_K_M", threads=threads)
    assert first.read_bytes() == second.read_bytes()


def test_every_deliberate_difference_still_occurs(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    used = set()
    for name, recipe in COVERED:
        path = tmp_path / f"{name}-{recipe}.gguf"
        gguf_tools.convert(tiny_checkpoints[name], path, type=recipe)
        for difference in differences(describe(path), GOLDENS[name], recipe):
            used |= {entry for entry in DELIBERATE_DIFFERENCES if entry.covers(name, recipe, difference)}
        path.unlink()
    assert used == set(DELIBERATE_DIFFERENCES)
