"""The command line: what it prints, what it returns, and how it says what went wrong."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.cli import COMMANDS
from gguf_tools.container.metadata import Metadata
from gguf_tools.spec import ValueType
from tests import tiny
from tests.cli.invoking import ESCAPE, TOOL, Terminal, invoke, printed_json, refused, said


class TestHelp:
    @pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)], ids=["gguf-tools", *COMMANDS])
    def test_has_examples_and_fits_80_columns(self, command: list[str]) -> None:
        text = said(*command, "--help")
        assert "Examples:" in text
        assert f"gguf-tools {command[0]} " in text if command else all(name in text for name in COMMANDS)
        assert max(map(len, text.splitlines())) <= 80
        assert said(*command, "-h") == text

    def test_version(self) -> None:
        assert re.fullmatch(r"gguf-tools, version \d+\.\d+\.\d+\n", said("--version"))

    @pytest.mark.parametrize(
        "arguments", [[], ["--no-such"], ["no-such"], ["inspect"], ["convert", "one"]], ids=" ".join
    )
    def test_wrong_usage_is_status_2(self, arguments: list[str]) -> None:
        assert invoke(*arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["inspect", "--help"],
        ["inspect"],
        ["verify", "--help"],
        ["verify", "{small}", "--hash"],
        ["edit", "{small}", "--set", "general.name=x", "--dry-run"],
        ["split", "{small}", "--max-tensors", "3", "--dry-run"],
        ["merge", "--help"],
        ["diff", "{small}", "{small}"],
        ["extract", "{small}", "x.npy", "-t", "output_norm.weight", "--dry-run"],
    ],
    ids=" ".join,
)
def test_light_commands_import_nothing_heavy(arguments: list[str], small: Path) -> None:
    if arguments == ["inspect"]:
        arguments = [*arguments, str(small), "--tensors", "--metadata"]
    arguments = [argument.format(small=small) for argument in arguments]
    code = (
        "import sys\nfrom gguf_tools.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "heavy = {'numba', 'llvmlite', 'gguf', 'torch', 'transformers'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True)
    assert done.stderr == "[]\n"


SPARED = {
    *("numpy", "shutil", "hashlib", "ssl", "urllib3", "asyncio", "concurrent.futures", "rich.progress"),
    *("gguf_tools.container.writer", "gguf_tools.io.atomic_files", "gguf_tools.quants"),
}
"""What takes longer to import than a header of 262,144 tokens to read, or is for those who write."""


@pytest.mark.parametrize("arguments", [[], ["--tensors"], ["--map"], ["--key", "general.name"], ["--json"]])
def test_headers_are_inspected_without_what_takes_longer(arguments: list[str], small: Path) -> None:
    code = (
        "import sys\nfrom gguf_tools.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        f"print(sorted({SPARED} & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "inspect", str(small), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stderr == "[]\n"
    assert done.stdout


class TestInspect:
    def test_summary(self, small: Path) -> None:
        text = said("inspect", small)
        assert re.search(r"^architecture +qwen3$", text, re.MULTILINE)
        assert re.search(r"^file type +Q4_K_M$", text, re.MULTILINE)
        assert re.search(r"^tokenizer +gpt2, pre qwen2, 512 tokens$", text, re.MULTILINE)
        assert re.search(r"^Q4_K +\d+ +[\d,]+ +\d+\.\d% +[\d.]+ kB +4\.5$", text, re.MULTILINE)

    def test_tensors_are_a_line_each(self, small: Path) -> None:
        text = said("inspect", small, "--tensors")
        with gguf_tools.open(small) as file:
            for name, tensor in file.tensors.items():
                shape = " × ".join(map(str, tensor.shape))
                found = re.search(
                    rf"^{re.escape(name)} +{shape} +{tensor.type_name} .* {tensor.offset}$", text, re.M
                )
                assert found, name

    def test_metadata_is_a_line_each_and_long_values_are_folded(self, small: Path) -> None:
        text = said("inspect", small, "--metadata")
        assert re.search(r"^qwen3\.block_count +uint32 +2$", text, re.MULTILINE)
        assert re.search(r"^qwen3\.attention\.layer_norm_rms_epsilon +float32 +1e-06$", text, re.MULTILINE)
        assert re.search(r"^tokenizer\.ggml\.tokens +string\[512\] +\['!', ", text, re.MULTILINE)

    def test_json(self, small: Path) -> None:
        found = printed_json("inspect", small, "--tensors", "--metadata")
        with gguf_tools.open(small) as file:
            assert found["parameters"] == sum(int(np.prod(t.shape)) for t in file.tensors.values())
            assert [entry["name"] for entry in found["tensor_list"]] == list(file.tensors)
            assert [entry["key"] for entry in found["metadata"]] == list(file.metadata)
        tokens = next(entry for entry in found["metadata"] if entry["key"] == "tokenizer.ggml.tokens")
        assert len(tokens["value"]) == 512
        assert {"path", "version", "architecture", "types", "bits_per_weight"} <= set(found)

    def test_an_unknown_type_hides_nothing_else(self, small: Path, tmp_path: Path) -> None:
        data = bytearray(small.read_bytes())
        name = b"blk.0.attn_q.weight"
        place = data.index(name) + len(name) + 4 + 2 * 8
        data[place : place + 4] = (99).to_bytes(4, "little")
        (tmp_path / "odd.gguf").write_bytes(data)
        text = said("inspect", tmp_path / "odd.gguf", "--tensors")
        assert re.search(r"^blk\.0\.attn_q\.weight .* unknown \(99\) +\? ", text, re.MULTILINE)
        assert re.search(r"^blk\.1\.attn_q\.weight .* Q4_K ", text, re.MULTILINE)

    def test_control_characters_in_a_file_do_not_reach_the_terminal(self, tmp_path: Path) -> None:
        metadata = Metadata([("general.name", ValueType.STRING, f"a{ESCAPE}[31mb\rc")])
        gguf_tools.write(tmp_path / "a.gguf", metadata, [(f"x{ESCAPE}[2J", np.zeros(4, np.float32))])
        text = said("inspect", tmp_path / "a.gguf", "--tensors", "--metadata")
        assert ESCAPE not in text
        assert "\r" not in text
        assert r"a\x1b[31mb\rc" in text


class TestLooks(Terminal):
    """On a terminal of 80 columns, in a pipe, and without colours."""

    def test_tables_fit_80_columns(self, small: Path) -> None:
        shown = self.run("inspect", small, "--tensors")
        lines = self.plain(shown)
        assert max(map(len, lines)) <= 80
        with gguf_tools.open(small) as file:
            for name, tensor in file.tensors.items():
                (line,) = (line for line in lines if line.split()[:1] == [name])
                assert line.split()[-1] == str(tensor.offset)

    def test_conversion_fits_80_columns(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        shown = self.run("convert", tiny_checkpoints["mistral"], tmp_path / "a.gguf")
        assert max(len(line.rstrip()) for line in self.plain(shown)) <= 80
        assert "fell back" in " ".join(self.plain(shown))

    def test_colours_on_a_terminal_only(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        arguments = ("convert", tiny_checkpoints["mistral"], tmp_path / "a.gguf", "--dry-run")
        assert f"{ESCAPE}[33m" in self.run(*arguments)
        assert f"{ESCAPE}[33m" not in self.run(*arguments, NO_COLOR="1")
        piped = subprocess.run(
            [TOOL, *map(str, arguments)], capture_output=True, text=True, check=True
        ).stdout
        assert ESCAPE not in piped
        assert not re.search(r" $", piped, re.MULTILINE)

    def test_an_error_is_one_line_without_colour_in_a_pipe(self, tmp_path: Path) -> None:
        done = subprocess.run([TOOL, "inspect", tmp_path / "none.gguf"], capture_output=True, text=True)
        assert done.returncode == 1
        assert (
            done.stderr == f"error: {tmp_path}/none.gguf: cannot open the file: No such file or directory\n"
        )


class TestConvert:
    def test_writes_what_python_writes(
        self, tiny_checkpoints: dict[str, Path], tmp_path: Path, small: Path
    ) -> None:
        text = said("convert", tiny_checkpoints["qwen3"], tmp_path / "a.gguf", "--threads", 2)
        assert (tmp_path / "a.gguf").read_bytes() == small.read_bytes()
        assert f"size          {small.stat().st_size:,} bytes" in text
        assert re.search(r"^time +\d", text, re.MULTILINE)

    def test_dry_run_writes_nothing_and_knows_the_size(
        self, tiny_checkpoints: dict[str, Path], tmp_path: Path, small: Path
    ) -> None:
        found = printed_json("convert", tiny_checkpoints["qwen3"], tmp_path / "a.gguf", "--dry-run")
        assert list(tmp_path.iterdir()) == []
        assert found["size"] == small.stat().st_size
        assert found["written"] is False
        assert "dry run" in said("convert", tiny_checkpoints["qwen3"], tmp_path / "a.gguf", "--dry-run")

    def test_json_counts_fallbacks(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        found = printed_json("convert", tiny_checkpoints["mistral"], tmp_path / "a.gguf")
        assert found["written"] is True
        fallen = [t for t in found["files"][0]["tensors"] if t["type"] != t["wanted"]]
        assert found["fallbacks"]["names"] == [tensor["name"] for tensor in fallen]
        assert found["fallbacks"]["tensors"] == len(fallen) > 0
        assert found["fallbacks"]["parameters"] == sum(int(np.prod(t["shape"])) for t in fallen)
        assert found["bits_per_weight"] == pytest.approx(8 * found["tensor_bytes"] / found["parameters"])

    def test_quiet(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        assert said("convert", tiny_checkpoints["bert"], tmp_path / "a.gguf", "-q") == ""

    def test_pre(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        said("convert", tiny_checkpoints["qwen3"], tmp_path / "a.gguf", "--pre", "gpt-2")
        with gguf_tools.open(tmp_path / "a.gguf") as file:
            assert file.metadata["tokenizer.ggml.pre"] == "gpt-2"
        line = refused("convert", tiny_checkpoints["qwen3"], tmp_path / "b.gguf", "--pre", "qwen-2")
        assert "expected qwen2" in line

    def test_existing_output(self, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        (tmp_path / "a.gguf").write_bytes(b"old")
        line = refused("convert", tiny_checkpoints["bert"], tmp_path / "a.gguf")
        assert line == f"{tmp_path}/a.gguf: exists already; pass --force to replace it"
        assert (tmp_path / "a.gguf").read_bytes() == b"old"
        said("convert", tiny_checkpoints["bert"], tmp_path / "a.gguf", "--force")
        assert (tmp_path / "a.gguf").read_bytes()[:4] == b"GGUF"


class TestRefusedCheckpoints:
    """One clear line, and nothing under the output's name."""

    @pytest.fixture
    def checkpoint(self, tmp_path: Path) -> Path:
        return tiny.build("llama", tmp_path / "src")

    def line(self, checkpoint: Path, tmp_path: Path) -> str:
        found = refused("convert", checkpoint, tmp_path / "out.gguf")
        assert [path.name for path in tmp_path.iterdir() if path.name != "src"] == []
        return found

    @pytest.fixture(autouse=True)
    def sources(self, tmp_path: Path) -> None:
        (tmp_path / "src").mkdir(exist_ok=True)

    def test_no_directory(self, tmp_path: Path) -> None:
        assert self.line(tmp_path / "none", tmp_path) == f"{tmp_path}/none: no such directory"

    def test_empty_directory(self, tmp_path: Path) -> None:
        (tmp_path / "src" / "empty").mkdir()
        assert "the directory is empty" in self.line(tmp_path / "src" / "empty", tmp_path)

    def test_a_file(self, small: Path, tmp_path: Path) -> None:
        assert "small.gguf" in self.line(small, tmp_path)

    def test_missing_shard(self, checkpoint: Path, tmp_path: Path) -> None:
        gone = sorted(checkpoint.glob("model-*.safetensors"))[1]
        gone.unlink()
        assert gone.name in self.line(checkpoint, tmp_path)

    def test_truncated_shard(self, checkpoint: Path, tmp_path: Path) -> None:
        shard = sorted(checkpoint.glob("model-*.safetensors"))[1]
        shard.write_bytes(shard.read_bytes()[:-100])
        assert re.search(rf"{shard.name}.*found.*expected", self.line(checkpoint, tmp_path))

    @pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd"])
    def test_index_that_leads_out(self, checkpoint: Path, tmp_path: Path, name: str) -> None:
        path = checkpoint / "model.safetensors.index.json"
        index = json.loads(path.read_text())
        index["weight_map"]["model.norm.weight"] = name
        path.write_text(json.dumps(index))
        assert name in self.line(checkpoint, tmp_path)

    def test_unsupported_architecture(self, checkpoint: Path, tmp_path: Path) -> None:
        self.edit(checkpoint, architectures=["LlamaForCasualLM"])
        line = self.line(checkpoint, tmp_path)
        assert "did you mean LlamaForCausalLM?" in line
        assert "BertModel" in line
        assert "Qwen3ForCausalLM" in line

    def test_unmapped_tensors_are_all_listed(self, checkpoint: Path, tmp_path: Path) -> None:
        tensors = {f"model.layers.0.odd_{i}.weight": np.zeros((2, 32), np.float32) for i in range(3)}
        for old in checkpoint.glob("model*"):
            old.unlink()
        config = json.loads((checkpoint / "config.json").read_text())
        tiny.write_safetensors(checkpoint / "model.safetensors", tiny.decoder(config) | tensors, "F32")
        line = self.line(checkpoint, tmp_path)
        assert all(name in line for name in tensors)

    def test_unknown_dtype(self, checkpoint: Path, tmp_path: Path) -> None:
        shard = sorted(checkpoint.glob("model-*.safetensors"))[0]
        shard.write_bytes(shard.read_bytes().replace(b'"BF16"', b'"ZF16"', 1))
        assert re.search(r"ZF16", self.line(checkpoint, tmp_path))

    def test_unrecognised_pre_tokenizer(self, checkpoint: Path, tmp_path: Path) -> None:
        path = checkpoint / "tokenizer.json"
        tokenizer = json.loads(path.read_text())
        tokenizer["pre_tokenizer"] = {"type": "Whitespace"}
        path.write_text(json.dumps(tokenizer))
        line = self.line(checkpoint, tmp_path)
        assert 'unmatched: {"type": "Whitespace"}' in line
        assert "--pre" in line

    def test_no_tokenizer(self, checkpoint: Path, tmp_path: Path) -> None:
        (checkpoint / "tokenizer.json").unlink()
        assert "expected tokenizer.model or tokenizer.json" in self.line(checkpoint, tmp_path)

    def test_nan(self, checkpoint: Path, tmp_path: Path) -> None:
        shard = sorted(checkpoint.glob("model-*.safetensors"))[0]
        data = bytearray(shard.read_bytes())
        start = 8 + int.from_bytes(data[:8], "little")
        data[start : start + 2] = b"\xc0\x7f"
        shard.write_bytes(data)
        line = self.line(checkpoint, tmp_path)
        assert re.search(r"tensor '[\w.]+': .* cannot hold the value at index \(.*found nan", line)

    def edit(self, checkpoint: Path, **changes: Any) -> None:
        path = checkpoint / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))


class TestRefusedFiles:
    @pytest.mark.parametrize("command", ["inspect", "quantize", "export"])
    @pytest.mark.parametrize(
        ("contents", "words"),
        [
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\n", "Git LFS pointer"),
            (b"<!DOCTYPE html><html></html>", "HTML page"),
            (b"", "empty"),
            (b"GGUF\x03\0\0\0", "ends"),
        ],
        ids=["LFS", "HTML", "empty", "cut"],
    )
    def test_not_gguf(self, command: str, contents: bytes, words: str, tmp_path: Path) -> None:
        (tmp_path / "a.gguf").write_bytes(contents)
        extra = [] if command == "inspect" else [tmp_path / "out"]
        options = ["--type", "Q8_0"] if command == "quantize" else []
        assert words in refused(command, tmp_path / "a.gguf", *extra, *options)
        assert [path.name for path in tmp_path.iterdir()] == ["a.gguf"]

    def test_truncated(self, small: Path, tmp_path: Path) -> None:
        (tmp_path / "a.gguf").write_bytes(small.read_bytes()[:-1000])
        line = refused("quantize", tmp_path / "a.gguf", tmp_path / "out", "--type", "Q8_0")
        assert re.search(r"tensor '[\w.]+'.*found.*expected", line)
        assert not (tmp_path / "out").exists()

    def test_directory(self, tmp_path: Path) -> None:
        assert "the directory is empty" in refused("inspect", tmp_path)
        assert "is a directory" in refused("quantize", tmp_path, tmp_path / "out", "--type", "F16")

    def test_unknown_type(self, small: Path, tmp_path: Path) -> None:
        line = refused("quantize", small, tmp_path / "out", "--type", "Q4KM")
        assert "did you mean Q4_K_M" in line


class TestQuantizeExportVerify:
    def test_quantize(self, tiny_checkpoints: dict[str, Path], tmp_path: Path, small: Path) -> None:
        said("convert", tiny_checkpoints["qwen3"], tmp_path / "bf16.gguf", "--type", "F32")
        found = printed_json("quantize", tmp_path / "bf16.gguf", tmp_path / "q.gguf", "--type", "q4_k_m")
        assert found["kind"] == "gguf"
        assert (tmp_path / "q.gguf").read_bytes() == small.read_bytes()

    def test_quantizing_again_is_noted(self, small: Path, tmp_path: Path) -> None:
        text = said("quantize", small, tmp_path / "q.gguf", "--type", "Q4_0")
        assert "quantized already" in text

    def test_export_and_back(self, small: Path, tmp_path: Path) -> None:
        found = printed_json("export", small, tmp_path / "hf", "--dtype", "f16")
        assert found["kind"] == "checkpoint"
        written = {path.name for path in (tmp_path / "hf").iterdir()}
        assert written == {file["name"] for file in found["files"]} | set(found["sidecars"])
        assert {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"} <= written
        said("convert", tmp_path / "hf", tmp_path / "again.gguf", "--type", "F16")
        with gguf_tools.open(small) as first, gguf_tools.open(tmp_path / "again.gguf") as again:
            assert list(first.tensors) == [name for name in first.tensors if name in again.tensors]
            keys = [key for key in first.metadata if key.startswith(("tokenizer.", "qwen3."))]
            assert all(first.metadata[key] == again.metadata[key] for key in keys)

    def test_export_to_an_existing_directory(self, small: Path, tmp_path: Path) -> None:
        (tmp_path / "hf").mkdir()
        assert "exists already" in refused("export", small, tmp_path / "hf")

    def test_unknown_dtype(self, small: Path, tmp_path: Path) -> None:
        result = invoke("export", small, tmp_path / "hf", "--dtype", "f8")
        assert result.exit_code == 2
        assert "bf16" in result.stderr

    def test_verify(self, small: Path) -> None:
        assert said("verify", small) == f"{small}: sound, 0 errors, 0 warnings\n"
        assert printed_json("verify", small)["sound"] is True
        assert said("verify", small, "--quiet") == ""

    def test_verify_finds_a_broken_scale(self, small: Path, tmp_path: Path) -> None:
        data = bytearray(small.read_bytes())
        with gguf_tools.open(small) as file:
            tensor = file.tensors["blk.1.attn_q.weight"]
            assert tensor.type_name == "Q4_K"
            data[tensor.offset + 144 * 5 : tensor.offset + 144 * 5 + 2] = b"\x00\x7c"  # an infinite half
        (tmp_path / "a.gguf").write_bytes(data)
        result = invoke("verify", tmp_path / "a.gguf")
        assert result.exit_code == 1
        assert "blk.1.attn_q.weight" in result.stdout
        assert "faulty, 1 error" in result.stdout
        found = json.loads(invoke("verify", tmp_path / "a.gguf", "--json").stdout)
        assert found["sound"] is False
        assert len(found["findings"]) == 1


def test_a_reader_that_goes_away_is_no_error(small: Path) -> None:
    done = subprocess.run(
        f"'{TOOL}' inspect '{small}' --metadata --tensors | head -1",
        shell=True,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout.startswith("key")


def test_the_tool_is_installed() -> None:
    assert shutil.which(str(TOOL)) == str(TOOL)
