"""Adapters merged while converting: the weights are those of the same sum done beforehand."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import gguf_tools
from gguf_tools.checkpoint import open_checkpoint
from gguf_tools.conversion import engine
from gguf_tools.conversion.to_gguf import plan_conversion
from gguf_tools.errors import CheckpointError, GGUFToolsError, UnsupportedError
from gguf_tools.source import row_count
from tests import tiny
from tests.adapters import PREFIX, adapt, factors, shapes_of, write_adapter
from tests.architectures.parts.base import F32, Tensors, normal, write_safetensors
from tests.packing import PACKINGS, part, write_parts

TOLERANCE = 4
"""Units in the last place of the larger of W and what is added: both sum in float32, in another order."""

TURNED = {"gpt2"}
"""Models whose matrices in question are stored as (inputs, outputs)."""


def merged_beforehand(
    base: Path, adapters: list[tuple[Path, float]], scales: list[float], target: Path
) -> Path:
    """A float32 checkpoint with W + scale · B · A, computed by numpy in float64 over whole tensors."""
    with open_checkpoint(base) as checkpoint:
        weights = {
            name: tensor.rows(0, row_count(tensor.shape)).reshape(tensor.shape)
            for name, tensor in checkpoint.tensors.items()
        }
    for (adapter, factor), scale in zip(adapters, scales, strict=True):
        tensors = load_file(adapter / "adapter_model.safetensors")
        for name in tensors:
            if ".lora_A." in name or ".lora_embedding_A" in name:
                a, b = tensors[name], tensors[name.replace("_A", "_B")]
                module = name.removeprefix(PREFIX).split(".lora_")[0]
                place = f"{module}.weight"
                place = place if place in weights else place.removeprefix("transformer.")
                delta = factor * scale * (b.astype(np.float64) @ a.astype(np.float64))
                turned = "embedding" in name or base.name.removeprefix("tiny-") in TURNED
                weights[place] = (weights[place] + (delta.T if turned else delta)).astype(np.float32)
    shutil.copytree(base, target, ignore=shutil.ignore_patterns("*.safetensors*"))
    write_safetensors(target / "model.safetensors", weights, "F32")
    return target


def largest_difference(found: Path, expected: Path) -> float:
    """Between two F32 files with the same tensors, in units in the last place of each tensor's largest."""
    worst = 0.0
    with gguf_tools.open(found) as ours, gguf_tools.open(expected) as theirs:
        assert ours.tensors.keys() == theirs.tensors.keys()
        for name, tensor in ours.tensors.items():
            one, other = tensor.dequantize(), theirs.tensors[name].dequantize()
            assert one.shape == other.shape
            worst = max(worst, float(np.abs(one - other).max() / np.spacing(np.abs(other).max())))
    return worst


@pytest.mark.parametrize(
    ("model", "targets", "config", "scale"),
    [
        ("llama", r".*(_proj|lm_head|embed_tokens)\.weight", {}, 12 / 8),
        ("qwen3", r".*_proj\.weight", {"use_rslora": True}, 12 / np.sqrt(8)),
        ("gemma2", r".*(_proj|embed_tokens)\.weight", {}, 12 / 8),
        ("mixtral", r".*experts\.2\.w[123]\.weight", {}, 12 / 8),
        ("gpt-neox", r".*(query_key_value|dense)\.weight", {}, 12 / 8),
        ("deepseek-v2", r".*(kv_b|o)_proj\.weight", {}, 12 / 8),
        ("falcon-h1-multipliers", r".*(in_proj|lm_head)\.weight", {}, 12 / 8),
        ("gpt2", r".*(c_attn|c_proj|c_fc)\.weight", {"fan_in_fan_out": True}, 12 / 8),
        ("gemma3-vision", r".*language_model.*_proj\.weight", {}, 12 / 8),
    ],
)
def test_the_weights_are_those_of_the_sum(
    model: str,
    targets: str,
    config: dict[str, Any],
    scale: float,
    tiny_checkpoints: dict[str, Path],
    tmp_path: Path,
    measured: Callable[[str], None],
) -> None:
    base = tiny_checkpoints[model]
    adapter = adapt(base, tmp_path / "lora", targets, **config)
    expected = merged_beforehand(base, [(adapter, 1.0)], [scale], tmp_path / base.name)
    gguf_tools.convert(expected, tmp_path / "expected.gguf", type="F32")
    gguf_tools.convert(base, tmp_path / "base.gguf", type="F32")
    plan = gguf_tools.convert(base, tmp_path / "merged.gguf", type="F32", merge_lora=[adapter])
    assert largest_difference(tmp_path / "base.gguf", tmp_path / "expected.gguf") > 1000
    found = largest_difference(tmp_path / "merged.gguf", tmp_path / "expected.gguf")
    measured(f"merged {model}: {found:.2f} units in the last place")
    assert found <= TOLERANCE
    assert any(note.startswith(f"merged {adapter}:") for note in plan.notes)


def test_several_adapters_with_scales(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    base = tiny_checkpoints["llama"]
    first = adapt(base, tmp_path / "a", r".*[qk]_proj\.weight")
    second = adapt(
        base,
        tmp_path / "b",
        r".*[qv]_proj\.weight",
        rank=4,
        alpha_pattern={"self_attn.v_proj": 2, "^model.layers.0.self_attn.q_proj": 5},
    )
    settings = json.loads((second / "adapter_config.json").read_text(encoding="utf-8"))
    assert settings["r"] == 4
    wanted = [(first, 0.5), (second, -2.0)]
    plan = plan_conversion(base, recipe="F32", merge_lora=wanted)
    assert plan.notes[:2] == (
        f"merged {first}: 6 tensors changed, scale 0.75",
        f"merged {second}: 6 tensors changed, scale -6 to -1",
    )
    engine.execute(plan, tmp_path / "merged.gguf")
    weights = {}
    with open_checkpoint(base) as checkpoint:
        for name in ("model.layers.0.self_attn.q_proj.weight", "model.layers.1.self_attn.v_proj.weight"):
            tensor = checkpoint.tensors[name]
            weights[name] = tensor.rows(0, tensor.shape[0]).astype(np.float64)
    query, value = weights
    for adapter, scale, name in ((first, 0.75, query), (second, -2 * 5 / 4, query), (second, -1, value)):
        a, b = factors(name, weights[name].shape, 4 if adapter == second else 8).values()
        weights[name] += scale * (b.astype(np.float64) @ a)
    with gguf_tools.open(tmp_path / "merged.gguf") as file:
        found = file.tensors["blk.1.attn_v.weight"].dequantize()
        np.testing.assert_allclose(found, weights[value], rtol=0, atol=1e-6)
        permuted = file.tensors["blk.0.attn_q.weight"].dequantize()
        np.testing.assert_allclose(np.sort(permuted, axis=0), np.sort(weights[query], axis=0), atol=1e-6)


def test_the_bytes_depend_on_neither_threads_nor_chunks(
    tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    base = tiny_checkpoints["llama"]
    adapter = adapt(base, tmp_path / "lora", r".*(_proj|embed_tokens)\.weight", rank=24)
    made = []
    for number, (threads, elements) in enumerate(((1, 1 << 19), (3, 256), (2, 7 * 256), (2, 100 * 256))):
        plan = plan_conversion(base, recipe="Q8_0", merge_lora=[adapter])
        path = tmp_path / f"{number}.gguf"
        engine.execute(plan, path, engine.RunOptions(threads=threads), chunk_elements=elements)
        made.append(path.read_bytes())
    assert made.count(made[0]) == len(made)


@pytest.mark.parametrize(("model", "said"), [("llama-tied", True), ("llama", False)])
def test_embeddings_that_are_the_output_too_are_said(
    model: str, said: bool, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    base = tiny_checkpoints[model]
    adapter = adapt(base, tmp_path / "lora", r".*(q_proj|embed_tokens)\.weight")
    merged = gguf_tools.convert(base, tmp_path / "merged.gguf", type="F32", merge_lora=[adapter])
    alone = gguf_tools.convert_lora(adapter, tmp_path / "alone.gguf", base=base)
    for plan in (merged, alone):
        assert any("embed_tokens.weight is the output" in note for note in plan.notes) == said
    only = adapt(base, tmp_path / "only", r".*q_proj\.weight")
    plan = gguf_tools.convert(base, tmp_path / "only.gguf", type="F32", merge_lora=[only])
    assert not any("tied" in note for note in plan.notes)


def test_tensors_trained_whole_replace_the_bases(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    base = tiny_checkpoints["llama"]
    norm = normal("another norm", (256,), 0.1, 1.0)
    head = normal("another head", shapes_of(base)["lm_head.weight"], 0.1)
    tensors = factors("model.layers.0.self_attn.q_proj.weight", (256, 256), 8)
    tensors |= {f"{PREFIX}model.norm.weight": norm, f"{PREFIX}lm_head.modules_to_save.weight": head}
    adapter = write_adapter(tmp_path / "lora", tensors, modules_to_save=["norm", "lm_head"])
    plan = gguf_tools.convert(base, tmp_path / "a.gguf", type="F32", merge_lora=[adapter])
    with gguf_tools.open(tmp_path / "a.gguf") as file:
        assert np.array_equal(file.tensors["output_norm.weight"].dequantize(), norm)
        assert np.array_equal(file.tensors["output.weight"].dequantize(), head)
    assert plan.notes[0].endswith("1 tensors changed, scale 1.5, and 2 replaced")


def test_packed_weights_are_unpacked_first(tmp_path: Path) -> None:
    """FP8 weights and the same in float32 give the same file."""
    settings, packer = PACKINGS["fp8 blocks"]
    base = tiny.build("qwen3", tmp_path)
    config = json.loads((base / "config.json").read_text()) | {"num_hidden_layers": 1}
    rng = np.random.default_rng(7)
    dense, packed = {}, {}
    for name, values in tiny.decoder(config, qk_norm=True).items():
        if name.endswith("proj.weight"):
            parts, values = packer(rng, *values.shape)
            packed |= {name.removesuffix("weight") + key: found for key, found in parts.items()}
        else:
            packed[name] = part(values)
        dense[name] = values
    (base / "config.json").write_text(json.dumps(config))
    write_safetensors(base / "model.safetensors", dense, "F32")
    adapter = adapt(base, tmp_path / "lora", r".*_proj\.weight")
    gguf_tools.convert(base, tmp_path / "dense.gguf", type="F32", merge_lora=[adapter])
    (base / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))
    write_parts(base / "model.safetensors", packed)
    gguf_tools.convert(base, tmp_path / "packed.gguf", type="F32", merge_lora=[adapter])
    assert (tmp_path / "packed.gguf").read_bytes() == (tmp_path / "dense.gguf").read_bytes()


def test_the_plan_knows_the_adapter(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """Its file is among the inputs, and its scale decides whether a run can be resumed."""
    base = tiny_checkpoints["llama"]
    adapter = adapt(base, tmp_path / "lora", r".*q_proj\.weight")
    plain = plan_conversion(base, recipe="Q8_0")
    plans = [plan_conversion(base, recipe="Q8_0", merge_lora=[(adapter, s)]) for s in (1.0, 1.0, 0.5)]
    assert os.fspath(adapter / "adapter_model.safetensors") in [file.path for file in plans[0].inputs]
    prints = [plan.fingerprint() for plan in (plain, *plans)]
    assert prints[1] == prints[2]
    assert len(set(prints)) == 3


class TestRefused:
    """What cannot be merged."""

    @pytest.mark.parametrize(
        ("name", "shape", "words"),
        [
            (
                "model.layers.0.self_attn.q_proj.weight",
                (512, 256),
                r"'model.layers.0.self_attn.q_proj.weight': .*found \(512, 256\), expected \(256, 256\)",
            ),
            (
                "model.layers.0.self_attn.q_proj.weight",
                (256, 64),
                r"found \(256, 64\), expected \(256, 256\)",
            ),
            ("model.layers.77.self_attn.q_proj.weight", (256, 256), r"does not have: model\.layers\.77"),
            ("model.vision.proj.weight", (8, 8), r"does not have: model\.vision\.proj\.weight"),
        ],
        ids=["rows", "columns", "layer", "unknown"],
    )
    def test_an_adapter_of_another_model(
        self,
        name: str,
        shape: tuple[int, int],
        words: str,
        tiny_checkpoints: dict[str, Path],
        tmp_path: Path,
    ) -> None:
        adapter = write_adapter(tmp_path / "lora", factors(name, shape, 8))
        with pytest.raises(CheckpointError, match=words):
            gguf_tools.convert(tiny_checkpoints["llama"], tmp_path / "a.gguf", merge_lora=[adapter])
        assert not (tmp_path / "a.gguf").exists()

    def test_a_whole_tensor_of_another_shape(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        tensors: Tensors = {f"{PREFIX}model.norm.weight": normal("n", (255,), 1)}
        adapter = write_adapter(tmp_path / "lora", tensors, modules_to_save=["norm"])
        with pytest.raises(CheckpointError, match=r"norm.weight': .*found \(255,\), expected \(256,\)"):
            gguf_tools.convert(tiny_checkpoints["llama"], tmp_path / "a.gguf", merge_lora=[adapter])

    def test_a_tensor_that_is_left_out(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        base = tiny_checkpoints["bert"]
        adapter = adapt(base, tmp_path / "lora", r"pooler\.dense\.weight")
        with pytest.raises(CheckpointError, match=r"pooler.dense.weight': an adapter changes a tensor"):
            gguf_tools.convert(base, tmp_path / "a.gguf", merge_lora=[adapter])

    @pytest.mark.parametrize("scale", [float("nan"), float("inf")])
    def test_scales(self, scale: float, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        base = tiny_checkpoints["llama"]
        adapter = adapt(base, tmp_path / "lora", r".*q_proj\.weight")
        with pytest.raises(CheckpointError, match="scale of an adapter must be finite"):
            gguf_tools.convert(base, tmp_path / "a.gguf", merge_lora=[(adapter, scale)])

    def test_adapters_that_act_after_certain_tokens(
        self, tiny_checkpoints: dict[str, Path], tmp_path: Path
    ) -> None:
        base = tiny_checkpoints["llama"]
        adapter = adapt(base, tmp_path / "lora", r".*q_proj\.weight", alora_invocation_tokens=[1])
        with pytest.raises(UnsupportedError, match="only acts after certain tokens"):
            gguf_tools.convert(base, tmp_path / "a.gguf", merge_lora=[adapter])

    def test_a_factor_that_is_not_finite(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        tensors = factors("model.layers.0.self_attn.q_proj.weight", (256, 256), 8)
        broken: F32 = next(iter(tensors.values()))
        broken[3, 5] = np.nan
        adapter = write_adapter(tmp_path / "lora", tensors)
        with pytest.raises(GGUFToolsError, match=r"blk\.0\.attn_q\.weight.*found nan"):
            gguf_tools.convert(
                tiny_checkpoints["llama"], tmp_path / "a.gguf", type="Q8_0", merge_lora=[adapter]
            )
