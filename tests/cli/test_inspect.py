"""``gguf-tools inspect``: what it says of files and directories, lists, single values, and JSON."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.container.metadata import Array, Metadata
from gguf_tools.conversion.predict import predict_sizes
from gguf_tools.spec import ValueType
from tests.cli.invoking import ESCAPE, TOOL, Terminal, invoke, printed_json, refused, said

FAMILIES = ("qwen3-moe", "jamba", "bert", "t5", "deepseek-v3", "rwkv7", "gemma3n", "gpt-oss-mxfp4")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoints: dict[str, Path]) -> dict[str, Path]:
    """Q4_K_M files of families with all kinds of layers."""
    folder = tmp_path_factory.mktemp("inspect")
    made = {name: folder / f"{name}.gguf" for name in FAMILIES}
    for name, path in made.items():
        gguf_tools.convert(tiny_checkpoints[name], path)
    return made


class TestOverview(Terminal):
    @pytest.mark.parametrize("name", FAMILIES)
    def test_fits_a_screen(self, name: str, models: dict[str, Path]) -> None:
        shown = self.run("inspect", models[name])
        lines = [line.rstrip() for line in self.plain(shown)]
        assert max(map(len, lines)) <= 80
        assert len(lines) <= 45
        assert "\x1b[33mQ4_K" in shown
        assert ESCAPE not in self.run("inspect", models[name], NO_COLOR="1", TERM="dumb")

    @pytest.mark.parametrize("name", FAMILIES)
    def test_checkpoints_fit_too(self, name: str, tiny_checkpoints: dict[str, Path]) -> None:
        lines = [line.rstrip() for line in self.plain(self.run("inspect", tiny_checkpoints[name]))]
        assert max(map(len, lines)) <= 80
        assert len(lines) <= 50

    def test_a_map_is_lines_of_types(self, models: dict[str, Path]) -> None:
        lines = said("inspect", models["qwen3-moe"]).splitlines()
        at = next(i for i, line in enumerate(lines) if line.startswith("layer "))
        groups, heading, *rows = (" ".join(line.split()) for line in lines[at - 1 : at + 3])
        assert groups == "attn ffn ffn_exps"
        assert heading == "layer q k v output gate_inp gate up down norms"
        assert rows == [
            "0 Q4_K Q4_K Q4_K Q4_K F32 Q4_K Q4_K Q5_0 F32",
            "1 Q4_K Q4_K Q6_K Q4_K F32 Q4_K Q4_K Q8_0 F32",
        ]
        assert "output Q6_K   output_norm F32   token_embd Q4_K" in lines

    def test_what_a_map_leaves_out_is_a_dot(self, models: dict[str, Path]) -> None:
        rows = [line.split() for line in said("inspect", models["jamba"]).splitlines()]
        heading = next(i for i, row in enumerate(rows) if row[:1] == ["layer"])
        assert rows[heading + 1][:5] == ["0", "·", "·", "·", "·"]

    def test_the_summary_says_what_the_file_says(self, models: dict[str, Path]) -> None:
        text = said("inspect", models["deepseek-v3"])
        for line in (
            r"attention +heads 4 × 96, kv heads 1 \(GQA 4:1\), values of 64",
            r"experts +4, 2 used, 1 shared, feed-forward 128",
            r"rope +base 10,000, 32 dimensions",
            r"tokens +bos 520 '<\|begin_of_text\|>', eos 524 '<\|eot_id\|>'",
            r"template +351 characters",
        ):
            assert re.search(rf"^{line}", text, re.MULTILINE), line
        assert "state space" not in text
        assert re.search(r"^state space +conv kernel 4, ", said("inspect", models["jamba"]), re.MULTILINE)
        assert re.search(r"^pooling +MEAN, not causal$", said("inspect", models["bert"]), re.MULTILINE)

    def test_a_directory_and_a_file_in_it(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        text = said("inspect", tiny_checkpoints["gpt-oss-mxfp4"])
        assert re.search(r"^format +safetensors, .*GptOssForCausalLM$", text, re.MULTILINE)
        assert re.search(r"^packed +mxfp4$", text, re.MULTILINE)
        assert re.search(r"^MXFP4 +4 ", text, re.MULTILINE)
        (file, *_) = tiny_checkpoints["qwen3"].glob("*.safetensors")
        assert "from config.json beside the file" in said("inspect", file)

    def test_odd_values_do_not_hide_the_rest(self, tmp_path: Path) -> None:
        entries = [
            ("general.architecture", ValueType.STRING, "llama"),
            ("llama.block_count", ValueType.STRING, "many"),
            ("general.file_type", ValueType.UINT32, 999),
            ("tokenizer.ggml.bos_token_id", ValueType.UINT32, 7),
            ("tokenizer.ggml.tokens", ValueType.ARRAY, Array(ValueType.STRING, ["a"])),
            ("general.base_model.count", ValueType.UINT32, 4_000_000_000),
            ("general.license", ValueType.STRING, f"mine{ESCAPE}[2J" + "x" * 900),
        ]
        gguf_tools.write(tmp_path / "a.gguf", Metadata(entries), [])
        text = said("inspect", tmp_path / "a.gguf")
        assert re.search(r"^file type +unknown \(999\)$", text, re.MULTILINE)
        assert re.search(r"^tokens +bos 7$", text, re.MULTILINE)
        assert re.search(r"^license +mine\\x1b\[2Jx+…$", text, re.MULTILINE)
        assert "layers" not in text

    def test_values_of_all_kinds_where_others_are_expected(self, tmp_path: Path) -> None:
        nested = Array(ValueType.ARRAY, [Array(ValueType.INT32, [1]), Array(ValueType.STRING, ["x"])])
        values: list[tuple[ValueType, Any]] = [
            (ValueType.ARRAY, nested),
            (ValueType.ARRAY, Array(ValueType.STRING, ["a", "b"])),
            (ValueType.ARRAY, Array(ValueType.FLOAT32, [])),
            (ValueType.FLOAT32, float("nan")),
            (ValueType.BOOL, True),
            (ValueType.STRING, "\x00"),
            (ValueType.INT64, -(2**63)),
        ]
        keys = (
            *("general.name", "general.license", "general.languages", "general.file_type"),
            *("general.base_model.count", "llama.block_count", "llama.attention.head_count"),
            *("llama.attention.head_count_kv", "llama.attention.key_length", "llama.rope.freq_base"),
            *("llama.rope.scaling.type", "llama.ssm.state_size", "llama.expert_count", "llama.pooling_type"),
            *("tokenizer.ggml.tokens", "tokenizer.ggml.bos_token_id", "tokenizer.chat_template"),
            *("tokenizer.chat_template.x", "quantize.imatrix.file", "quantize.imatrix.chunks_count"),
        )
        for kind, value in values:
            entries = [(key, kind, value) for key in keys]
            metadata = Metadata([("general.architecture", ValueType.STRING, "llama"), *entries])
            gguf_tools.write(tmp_path / "a.gguf", metadata, [], force=True)
            assert len(said("inspect", tmp_path / "a.gguf", "--metadata").splitlines()) >= len(keys)
            assert "GGUF v3" in said("inspect", tmp_path / "a.gguf")
            assert printed_json("inspect", tmp_path / "a.gguf", "--metadata")["version"] == 3

    def test_made_up_names_take_no_memory(self, tmp_path: Path) -> None:
        text = json.dumps(
            {
                f"layers.{i}.x{i}.y": {"dtype": "I8", "shape": [0, 2, 2], "data_offsets": [0, 0]}
                for i in range(9000)
            }
        ).encode()
        (tmp_path / "a.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
        assert "in 9,000 tensors" in said("inspect", tmp_path / "a.safetensors")
        assert printed_json("inspect", tmp_path / "a.safetensors")["map"] == []


class TestMap:
    @pytest.fixture
    def pattern(self, tmp_path: Path) -> Path:
        """Twelve layers of two kinds that alternate, but for the first three."""
        metadata = Metadata([("general.architecture", ValueType.STRING, "llama")])
        data = np.ones((2, 4), np.float32)
        tensors = [
            (f"blk.{i}.attn_q.weight", data if i < 3 or i % 2 else data.astype(np.float16)) for i in range(12)
        ]
        gguf_tools.write(tmp_path / "a.gguf", metadata, tensors)
        return tmp_path / "a.gguf"

    def test_the_overview_groups_layers(self, pattern: Path) -> None:
        rows = [line.split() for line in said("inspect", pattern).splitlines()]
        assert ["0-3,5,7,9,11", "F32"] in rows
        assert ["4,6,8,10", "F16"] in rows

    def test_with_map_each_is_in_its_place_and_nothing_else_is_shown(self, pattern: Path) -> None:
        rows = [line.split() for line in said("inspect", pattern, "--map").splitlines() if line]
        wanted = [["0-3", "F32"], *([str(i), "F32" if i % 2 else "F16"] for i in range(4, 12))]
        assert rows == [["attn"], ["layer", "q"], *wanted]

    def test_json(self, pattern: Path) -> None:
        (found,) = printed_json("inspect", pattern)["map"]
        assert found["stack"] == "blk"
        assert found["columns"] == [{"group": "attn", "name": "q", "role": "attn_q"}]
        assert found["rows"][0] == {"layers": [0, 1, 2, 3], "cells": [{"types": ["F32"], "bits": 32.0}]}
        assert len(found["rows"]) == 9


def listed(*arguments: object) -> list[str]:
    """Names in the list of tensors."""
    lines = said("inspect", *arguments).splitlines()
    return [line.split()[0] for line in lines[2:] if line and not line[0].isdigit()]


class TestTensors:
    def test_orders(self, models: dict[str, Path]) -> None:
        path = models["qwen3-moe"]
        with gguf_tools.open(path) as file:
            tensors = list(file.tensors.values())
        stored = [tensor.name for tensor in tensors]
        assert listed(path, "--tensors") == stored
        assert listed(path, "--reverse") == stored[::-1]
        assert listed(path, "--sort", "offset") == stored
        by_size = sorted(tensors, key=lambda tensor: tensor.nbytes or 0, reverse=True)
        assert listed(path, "--sort", "size") == [tensor.name for tensor in by_size]
        by_type = sorted(tensors, key=lambda tensor: tensor.type_name)
        assert listed(path, "--sort", "type") == [tensor.name for tensor in by_type]
        by_bits = sorted(tensors, key=lambda t: -8 * (t.nbytes or 0) / np.prod(t.shape))
        assert listed(path, "--sort", "bits") == [tensor.name for tensor in by_bits]
        by_shape = sorted(tensors, key=lambda tensor: (len(tensor.shape), tensor.shape))
        assert listed(path, "--sort", "shape") == [tensor.name for tensor in by_shape]

    def test_numbers_in_names_are_numbers(self, tmp_path: Path) -> None:
        names = [f"blk.{i}.x" for i in (10, 9, 2, 0)]
        gguf_tools.write(tmp_path / "a.gguf", Metadata(), [(name, np.ones(4, np.float32)) for name in names])
        assert listed(tmp_path / "a.gguf", "--sort", "name") == names[::-1]

    def test_filters_and_totals(self, models: dict[str, Path]) -> None:
        path = models["qwen3-moe"]
        with gguf_tools.open(path) as file:
            wanted = [t for t in file.tensors.values() if "exps" in t.name and t.type_name == "Q4_K"]
            count = len(file.tensors)
        assert wanted
        arguments = (path, "--filter", "_(up|gate)_exps", "--type", "q4_k", "--type", "F32")
        assert listed(*arguments) == [tensor.name for tensor in wanted]
        stored = sum(tensor.nbytes or 0 for tensor in wanted)
        parameters = sum(int(np.prod(tensor.shape)) for tensor in wanted)
        last = said("inspect", *arguments).splitlines()[-1]
        assert last.startswith(f"{len(wanted)} of {count} tensors, ")
        assert last.endswith("4.500 bits per weight")
        found = printed_json("inspect", *arguments)
        assert [entry["name"] for entry in found["tensor_list"]] == [tensor.name for tensor in wanted]
        totals = {"tensors": len(wanted), "parameters": parameters, "bytes": stored, "bits_per_weight": 4.5}
        assert found["tensor_totals"] == totals

    def test_nothing_found(self, models: dict[str, Path]) -> None:
        text = said("inspect", models["bert"], "--filter", "no such")
        assert re.fullmatch(r"0 of \d+ tensors, 0 parameters, 0 B\n", text)

    def test_several_files_are_named(self, models: dict[str, Path], tmp_path: Path) -> None:
        gguf_tools.split(models["bert"], tmp_path / "part", max_tensors=20)
        (first, second) = sorted(tmp_path.glob("*.gguf"))
        text = said("inspect", second, "--tensors")
        assert text.count(first.name) == 20
        assert second.name in text
        assert re.search(r"^format .*, 2 files$", said("inspect", second), re.MULTILINE)

    def test_not_an_expression(self, models: dict[str, Path]) -> None:
        result = invoke("inspect", models["bert"], "--filter", "[")
        assert result.exit_code == 2
        assert "not a regular expression" in result.stderr


class TestKeys:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        nested = Array(ValueType.ARRAY, [Array(ValueType.INT32, [1, 2]), Array(ValueType.INT32, [])])
        entries: list[tuple[str, ValueType, Any]] = [
            ("general.architecture", ValueType.STRING, "llama"),
            ("tokenizer.chat_template", ValueType.STRING, "{% for m in x %}\r\n\té\n{% endfor %}"),
            ("odd.bytes", ValueType.STRING, b"\xff\x00\xfe"),
            ("llama.rope.freq_base", ValueType.FLOAT32, 1e-5),
            ("llama.wide", ValueType.FLOAT64, 0.1),
            ("llama.flag", ValueType.BOOL, True),
            ("llama.big", ValueType.UINT64, 2**64 - 1),
            ("some.words", ValueType.ARRAY, Array(ValueType.STRING, ["a b", "", "c"])),
            ("some.floats", ValueType.ARRAY, Array(ValueType.FLOAT32, [0.1, 2])),
            ("some.flags", ValueType.ARRAY, Array(ValueType.BOOL, [True, False])),
            ("some.nested", ValueType.ARRAY, nested),
        ]
        gguf_tools.write(tmp_path / "a.gguf", Metadata(entries), [])
        return tmp_path / "a.gguf"

    @pytest.mark.parametrize(
        ("key", "printed"),
        [
            ("general.architecture", b"llama"),
            ("tokenizer.chat_template", "{% for m in x %}\r\n\té\n{% endfor %}".encode()),
            ("odd.bytes", b"\xff\x00\xfe"),
            ("llama.rope.freq_base", b"1e-05\n"),
            ("llama.wide", b"0.1\n"),
            ("llama.flag", b"true\n"),
            ("llama.big", b"18446744073709551615\n"),
            ("some.words", b"a b\n\nc\n"),
            ("some.floats", b"0.1\n2.0\n"),
            ("some.flags", b"true\nfalse\n"),
            ("some.nested", b"[1, 2]\n[]\n"),
        ],
    )
    def test_a_value_is_printed_as_it_is(self, key: str, printed: bytes, file: Path) -> None:
        done = subprocess.run([TOOL, "inspect", file, "--key", key], capture_output=True, check=True)
        assert done.stdout == printed

    def test_json(self, file: Path) -> None:
        assert printed_json("inspect", file, "--key", "some.words") == ["a b", "", "c"]
        assert printed_json("inspect", file, "--key", "some.nested") == [[1, 2], []]
        assert printed_json("inspect", file, "--key", "llama.flag") is True
        assert printed_json("inspect", file, "--key", "llama.rope.freq_base") == float(np.float32(1e-5))

    def test_on_a_terminal_nothing_gets_through(self, tmp_path: Path) -> None:
        entries = [("a.b", ValueType.STRING, f"x{ESCAPE}[2J\ty\r\n\u202ez")]
        gguf_tools.write(tmp_path / "a.gguf", Metadata(entries), [])
        assert Terminal().run("inspect", tmp_path / "a.gguf", "--key", "a.b") == "x\\x1b[2J\ty\\r\n\\u202ez\n"

    @pytest.mark.parametrize(
        ("key", "suggested"),
        [
            ("chat_template", "did you mean tokenizer.chat_template?"),
            ("llama.rope.freqbase", "did you mean llama.rope.freq_base?"),
            ("qwen3.rope.freq_base", "did you mean llama.rope.freq_base?"),
            ("some.", "did you mean some.words, some.floats, some.flags, some.nested?"),
            ("zzz", "--metadata lists them all"),
            ("", "--metadata lists them all"),
        ],
    )
    def test_a_missing_key(self, key: str, suggested: str, file: Path) -> None:
        line = refused("inspect", file, "--key", key)
        assert str(file) in line
        assert suggested in line

    def test_of_a_checkpoint_it_is_the_config(self, tiny_checkpoints: dict[str, Path]) -> None:
        path = tiny_checkpoints["qwen3"]
        config = json.loads((path / "config.json").read_text())
        assert said("inspect", path, "--key", "hidden_size") == f"{config['hidden_size']}\n"
        assert said("inspect", path, "--key", "architectures") == "Qwen3ForCausalLM\n"
        text = said("inspect", path, "--metadata", "--filter", "^hidden_")
        assert re.search(rf"^hidden_size +number +{config['hidden_size']}$", text, re.MULTILINE)

    def test_metadata_is_filtered(self, file: Path) -> None:
        text = said("inspect", file, "--metadata", "--filter", r"^llama\.")
        keys = [line.split()[0] for line in text.splitlines() if line.startswith("llama.")]
        assert keys == ["llama.rope.freq_base", "llama.wide", "llama.flag", "llama.big"]
        assert text.splitlines()[-1] == "4 of 11 keys"
        found = printed_json("inspect", file, "--metadata", "--filter", "flag")
        assert [entry["key"] for entry in found["metadata"]] == ["llama.flag", "some.flags"]
        assert "tensor_list" not in found


class TestRecipes(Terminal):
    def test_all_recipes_with_their_sizes(self, models: dict[str, Path]) -> None:
        text = said("inspect", models["bert"], "--sizes")
        for prediction in predict_sizes(models["bert"]):
            mark = " ¹" if prediction.needs_imatrix else ""
            assert re.search(rf"^{prediction.recipe}{mark} +{prediction.size:,} ", text, re.MULTILINE)
        found = printed_json("inspect", models["bert"], "--sizes")["recipes"]
        assert found == [prediction.to_dict() for prediction in predict_sizes(models["bert"])]

    def test_of_a_checkpoint(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        found = printed_json("inspect", tiny_checkpoints["qwen3"], "--sizes")["recipes"]
        sizes = {entry["recipe"]: entry["size"] for entry in found}
        gguf_tools.convert(tiny_checkpoints["qwen3"], tmp_path / "a.gguf", type="Q3_K_L")
        assert os.path.getsize(tmp_path / "a.gguf") == sizes["Q3_K_L"]
        lines = self.plain(self.run("inspect", tiny_checkpoints["qwen3"], "--sizes"))
        assert max(map(len, lines)) <= 80

    def test_the_former_name_works_and_says_so(self, models: dict[str, Path]) -> None:
        result = invoke("inspect", models["bert"], "--recipes")
        assert result.stdout == said("inspect", models["bert"], "--sizes")
        assert result.stderr == "note: --recipes is now called --sizes\n"
        assert "--recipes" not in said("inspect", "--help")

    @pytest.mark.parametrize("command", ["convert", "quantize"])
    def test_dry_runs_tell_of_others(
        self, command: str, models: dict[str, Path], tiny_checkpoints: dict[str, Path], tmp_path: Path
    ) -> None:
        source = tiny_checkpoints["bert"] if command == "convert" else models["bert"]
        arguments = (command, source, tmp_path / "out.gguf", "--type", "Q5_K_S", "--dry-run")
        text = said(*arguments)
        found = printed_json(*arguments)
        sizes = {entry["recipe"]: entry["size"] for entry in found["recipes"]}
        assert sizes["Q5_K_S"] == found["size"]
        for name in ("Q4_K_M", "Q5_K_S", "Q8_0"):
            assert re.search(rf"^{name} +{sizes[name]:,} ", text, re.MULTILINE)
        assert "IQ1_S" not in text
        pure = printed_json(*arguments, "--pure")
        assert {entry["recipe"]: entry["size"] for entry in pure["recipes"]}["Q5_K_S"] == pure["size"]

    def test_of_what_cannot_be_converted(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        path = tmp_path / "odd"
        path.mkdir()
        (path / "config.json").write_text('{"architectures": ["NewForCausalLM"], "model_type": "new"}')
        source = next(tiny_checkpoints["qwen3"].glob("*.safetensors"))
        (path / "model.safetensors").write_bytes(source.read_bytes())
        assert "unsupported architecture (NewForCausalLM)" in said("inspect", path)
        assert "unsupported architecture" in refused("inspect", path, "--sizes")


def test_json_has_the_documented_names(models: dict[str, Path]) -> None:
    """They are stable: whoever changes this test breaks somebody's script."""
    found = printed_json("inspect", models["bert"], "--tensors", "--metadata", "--sizes")
    assert set(found) == {
        *("kind", "path", "files", "file_bytes", "version", "byte_order", "alignment", "metadata_keys"),
        *("tensors", "parameters", "tensor_bytes", "bits_per_weight", "types", "notes", "map"),
        *("architecture", "name", "file_type", "layers", "context_length", "embedding_length"),
        *("feed_forward_length", "heads", "kv_heads", "query_groups", "head_size", "key_length"),
        *("value_length", "experts", "experts_used", "experts_shared", "expert_feed_forward_length"),
        *("sliding_window", "rope", "ssm", "pooling", "causal", "general", "base_models", "tokenizer"),
        *("pre_tokenizer", "vocabulary", "special_tokens", "chat_template", "chat_template_length"),
        *("chat_templates", "imatrix", "model_class", "packing"),
        *("tensor_list", "tensor_totals", "metadata", "recipes"),
    }
    assert set(found["files"][0]) == {"name", "bytes"}
    assert set(found["types"][0]) == {"type", "tensors", "parameters", "bytes", "bits_per_weight"}
    assert set(found["tensor_list"][0]) == {
        *("name", "shape", "type", "parameters", "bytes", "bits_per_weight", "offset", "file"),
        *("stack", "layer", "role", "parts"),
    }
    assert set(found["metadata"][0]) == {"key", "type", "value"}
    assert set(found["recipes"][0]) == {
        *("recipe", "size", "parameters", "tensor_bytes", "bits_per_weight", "fallback_tensors"),
        *("fallback_parameters", "fallback_share", "needs_imatrix", "problem"),
    }
