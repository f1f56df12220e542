"""The commands that look into, compare, check, edit, cut and join files."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.container import open_gguf
from gguf_tools.container.journal import journal_path
from tests.cli.invoking import ESCAPE, TOOL, Terminal, invoke, printed_json, refused, said

DEMO = Path(__file__).resolve().parents[2] / "fixtures" / "demo"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("workbench") / "demo.gguf"
    gguf_tools.convert(DEMO, path, type="Q4_K_M")
    return path


@pytest.fixture
def copy(demo: Path, tmp_path: Path) -> Path:
    path = tmp_path / "demo.gguf"
    path.write_bytes(demo.read_bytes())
    return path


class TestSplitAndMerge:
    def test_there_and_back(self, demo: Path, tmp_path: Path) -> None:
        text = said("split", demo, tmp_path / "m", "--max-size", "500K")
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]
        assert all(name in text for name in names)
        assert "2 files, " in text
        text = said("merge", tmp_path / names[1], tmp_path / "whole.gguf")
        assert "1 file, " in text
        assert (tmp_path / "whole.gguf").read_bytes() == demo.read_bytes()

    def test_json_and_dry_run(self, demo: Path, tmp_path: Path) -> None:
        found = printed_json("split", demo, tmp_path / "m", "--max-tensors", "7", "--dry-run")
        assert list(tmp_path.iterdir()) == []
        assert found["written"] is False
        assert [len(file["tensors"]) for file in found["files"]] == [7, 7, 6]
        printed_json("split", demo, tmp_path / "m", "--max-tensors", "7")
        assert [Path(file["path"]).stat().st_size for file in found["files"]] == [
            file["size"] for file in found["files"]
        ]

    @pytest.mark.parametrize(
        ("size", "count"), [("500K", 2), ("500 kb", 2), ("0.5M", 2), ("1M", 1), ("512KiB", 2), ("300000", 3)]
    )
    def test_sizes(self, demo: Path, tmp_path: Path, size: str, count: int) -> None:
        found = printed_json("split", demo, tmp_path / "m", "--max-size", size, "--dry-run")
        assert len(found["files"]) == count

    @pytest.mark.parametrize(
        "options",
        [
            [],
            ["--max-size", "1M", "--max-tensors", "2"],
            ["--max-size", "1X"],
            ["--max-size", "0"],
            ["--max-tensors", "0"],
        ],
        ids=" ".join,
    )
    def test_wrong_usage(self, demo: Path, tmp_path: Path, options: list[str]) -> None:
        assert invoke("split", demo, tmp_path / "m", *options).exit_code == 2
        assert list(tmp_path.iterdir()) == []

    def test_all_files_may_be_given(self, demo: Path, tmp_path: Path) -> None:
        said("split", demo, tmp_path / "m", "--max-tensors", "7", "-q")
        parts = sorted(tmp_path.iterdir())
        assert said("merge", *parts, tmp_path / "whole.gguf", "-q") == ""
        assert (tmp_path / "whole.gguf").read_bytes() == demo.read_bytes()
        line = refused("merge", *parts, demo, tmp_path / "again.gguf")
        assert "demo.gguf: not a file of the same model" in line

    def test_errors_are_one_line(self, demo: Path, tmp_path: Path) -> None:
        assert "not one of the files of a split model" in refused("merge", demo, tmp_path / "w.gguf")
        said("split", demo, tmp_path / "m", "--max-tensors", "7", "-q")
        assert "exists already; pass --force" in refused("split", demo, tmp_path / "m", "--max-tensors", "7")
        (tmp_path / "m-00002-of-00003.gguf").unlink()
        line = refused("merge", tmp_path / "m-00001-of-00003.gguf", tmp_path / "w.gguf")
        assert "m-00002-of-00003.gguf" in line

    def test_any_shard_is_the_whole_model_to_every_command(self, demo: Path, tmp_path: Path) -> None:
        said("split", demo, tmp_path / "m", "--max-tensors", "7", "-q")
        shard = tmp_path / "m-00002-of-00003.gguf"
        assert "in 20 tensors" in said("inspect", shard)
        assert "sound" in said("verify", shard)
        assert "the same" in said("diff", shard, demo)
        said("quantize", shard, tmp_path / "q.gguf", "-t", "Q8_0", "-q")
        said("export", shard, tmp_path / "hf", "-q")
        said("extract", shard, tmp_path / "x.npy", "-t", "token_embd.weight", "-q")


class TestEdit:
    def test_a_value(self, copy: Path) -> None:
        text = said("edit", copy, "--set", "general.name=Other", "--set", "llama.rope.freq_base=1e6")
        assert "general.name" in text
        assert "Demo" in text
        assert "Other" in text
        assert "10000.0" in text
        assert "in place; " in text
        with open_gguf(copy) as file:
            assert file.metadata["general.name"] == "Other"
            assert file.metadata["llama.rope.freq_base"] == 1e6

    def test_dry_run_and_json(self, copy: Path, demo: Path) -> None:
        text = said("edit", copy, "--set", "general.name=" + "x" * 500, "--dry-run")
        assert "rewritten" in text
        assert "dry run" in text
        found = printed_json("edit", copy, "--set", "general.name=Other", "--dry-run")
        assert found["how"] == "in place"
        assert found["written"] is False
        assert found["differences"] == [
            {
                "key": "general.name",
                "renamed_from": None,
                "before": "Demo",
                "before_type": "string",
                "after": "Other",
                "after_type": "string",
            }
        ]
        assert copy.read_bytes() == demo.read_bytes()

    def test_template_and_files(self, copy: Path, tmp_path: Path) -> None:
        (tmp_path / "chat.jinja").write_text("{{ messages[0].content }}=\n")
        (tmp_path / "types.json").write_text(json.dumps([1] * 525))
        said(
            "edit", copy, "--set-template", tmp_path / "chat.jinja",
            "--set-from-file", f"tokenizer.ggml.token_type={tmp_path / 'types.json'}",
        )  # fmt: skip
        with open_gguf(copy) as file:
            assert file.metadata["tokenizer.chat_template"] == "{{ messages[0].content }}=\n"
            assert list(file.metadata["tokenizer.ggml.token_type"]) == [1] * 525  # type: ignore[arg-type]

    def test_a_template_that_does_not_parse(self, copy: Path, demo: Path, tmp_path: Path) -> None:
        (tmp_path / "chat.jinja").write_text("{% if %}")
        line = refused("edit", copy, "--set-template", tmp_path / "chat.jinja")
        assert "chat.jinja: the template does not parse: line 1: Expected an expression" in line
        assert copy.read_bytes() == demo.read_bytes()

    def test_new_keys_renames_and_deletions(self, copy: Path) -> None:
        said(
            "edit", copy, "--set", "my.key=a=b", "--type", "string", "--rename", "general.name=general.nom",
            "--delete", "general.type",
        )  # fmt: skip
        with open_gguf(copy) as file:
            assert file.metadata["my.key"] == "a=b"
            assert file.metadata["general.nom"] == "Demo"
            assert "general.type" not in file.metadata

    def test_rename_arch(self, copy: Path) -> None:
        text = said("edit", copy, "--rename-arch", "qwen2")
        assert "\nllama.block_count → qwen2.block_count\n" in text
        assert printed_json("inspect", copy)["architecture"] == "qwen2"

    def test_nothing_to_change(self, copy: Path) -> None:
        assert "nothing to change" in said("edit", copy, "--set", "general.name=Demo")

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                ["--set", "llama.context_length=lots"],
                "key 'llama.context_length': a value does not fit UINT32",
            ),
            (["--set", "new.key=1"], "the key is new: say its type with --type"),
            (["--set", "new.key=1", "--type", "number"], "unknown type (found number"),
            (["--delete", "general.nme"], "there is no such key; did you mean general.name?"),
            (["--set-from-file", "general.name=/none"], "/none: cannot open the file"),
            (["--set", "general.name=" + "x" * 999, "--in-place"], "cannot be edited in place"),
        ],
        ids=lambda value: value[0] + value[1][:20] if isinstance(value, list) else None,
    )
    def test_errors_are_one_line(self, copy: Path, demo: Path, options: list[str], message: str) -> None:
        assert message in refused("edit", copy, *options)
        assert copy.read_bytes() == demo.read_bytes()

    @pytest.mark.parametrize(
        "options",
        [
            [],
            ["--set", "general.name"],
            ["--set", "=x"],
            ["--set", "a=1", "--set", "a=2"],
            ["--set", "tokenizer.chat_template=x", "--set-template", "y"],
            ["--reserve", "much"],
        ],
        ids=" ".join,
    )
    def test_wrong_usage(self, copy: Path, options: list[str]) -> None:
        assert invoke("edit", copy, *options).exit_code == 2

    def test_recover(self, copy: Path, demo: Path) -> None:
        assert "no edit was interrupted" in said("edit", copy, "--recover")
        code = (
            "import os, sys\nfrom gguf_tools.cli import main\nreal = os.pwrite\n"
            "def die(fd, data, offset):\n"
            f"    if os.path.lexists({str(journal_path(copy))!r}):\n"
            "        real(fd, data[:len(data) // 2], offset)\n        os.kill(os.getpid(), 9)\n"
            "    return real(fd, data, offset)\n"
            "os.pwrite = die\nmain(sys.argv[1:])"
        )
        arguments = ["edit", str(copy), "--set", "general.name=X", "--in-place"]
        done = subprocess.run([TOOL.with_name("python"), "-c", code, *arguments], capture_output=True)
        assert done.returncode == -9
        assert "was interrupted" in refused("inspect", copy)
        found = invoke("verify", copy)
        assert found.exit_code == 1
        assert "error interrupted-edit" in found.stdout
        assert "the interrupted edit is undone" in said("edit", copy, "--recover")
        assert copy.read_bytes() == demo.read_bytes()

    def test_a_terabyte_in_no_time(self, copy: Path) -> None:
        """No matter how large the file: an edit in place reads and writes its header only."""
        with copy.open("r+b") as file:
            file.truncate(1 << 40)  # a terabyte with a hole
        said("edit", copy, "--set", "llama.context_length=7")
        assert printed_json("inspect", copy)["context_length"] == 7


class TestDiff:
    def test_exit_status(self, demo: Path, copy: Path, tmp_path: Path) -> None:
        assert invoke("diff", demo, copy).exit_code == 0
        said("edit", copy, "--set", "general.name=Other", "-q")
        different = invoke("diff", demo, copy)
        assert different.exit_code == 1
        assert "1 key and 0 of 20 tensors differ" in different.stdout
        trouble = invoke("diff", demo, tmp_path / "none.gguf")
        assert trouble.exit_code == 2
        assert trouble.stderr.startswith("error: ")
        assert len(trouble.stderr.splitlines()) == 1
        assert invoke("diff", demo).exit_code == 2

    def test_quiet_and_ignore(self, demo: Path, copy: Path) -> None:
        said("edit", copy, "--set", "general.name=Other", "-q")
        found = invoke("diff", demo, copy, "-q")
        assert (found.exit_code, found.stdout) == (1, "")
        assert "the same" in said("diff", demo, copy, "--ignore", "general.*")

    def test_types_and_numbers(self, demo: Path, tmp_path: Path) -> None:
        gguf_tools.convert(DEMO, tmp_path / "f16.gguf", type="F16")
        text = invoke("diff", tmp_path / "f16.gguf", demo).stdout
        (line,) = (line for line in text.splitlines() if line.startswith("blk.0.attn_q.weight"))
        assert line.split()[1:3] == ["F16", "Q4_K"]
        assert all(0 < float(number) < 1 for number in line.split()[3:])
        found = json.loads(invoke("diff", tmp_path / "f16.gguf", demo, "--json").stdout)
        assert found["equal"] is False
        assert found["same_tensors"] == 5
        assert {"name", "shape_a", "type_b", "distance", "reason"} <= set(found["tensors"][0])
        assert f"{found['tensors'][0]['distance']['maximum']:.3g}" in text

    def test_against_a_checkpoint(self, tmp_path: Path) -> None:
        gguf_tools.convert(DEMO, tmp_path / "bf16.gguf", type="BF16")
        assert "the same" in said("diff", DEMO, tmp_path / "bf16.gguf")

    def test_long_arrays_are_told_where_they_part(self, demo: Path, copy: Path) -> None:
        with open_gguf(demo) as file:
            types = list(file.metadata["tokenizer.ggml.token_type"])  # type: ignore[arg-type]
        types[100] = 4
        said("edit", copy, "--set", f"tokenizer.ggml.token_type={json.dumps(types)}", "-q")
        assert "(1 of 525 items differ)" in invoke("diff", demo, copy).stdout


class TestExtract:
    def test_rows(self, demo: Path, tmp_path: Path) -> None:
        text = said("extract", demo, tmp_path / "x.npy", "-t", "token_embd.weight", "--rows", "3:5")
        assert "token_embd.weight   2 × 256   F32" in text
        with gguf_tools.open(demo) as file:
            expected = file.tensors["token_embd.weight"].rows(3, 5)
        assert np.array_equal(np.load(tmp_path / "x.npy"), expected)

    def test_dry_run_and_json(self, demo: Path, tmp_path: Path) -> None:
        found = printed_json("extract", demo, tmp_path / "x", "-t", "blk.0.*", "--dtype", "raw", "--dry-run")
        assert list(tmp_path.iterdir()) == []
        assert len(found["files"]) == 9

    @pytest.mark.parametrize("rows", ["3", "5:3", "3:3", "a:b", "-1:4", ":"])
    def test_wrong_rows(self, demo: Path, tmp_path: Path, rows: str) -> None:
        assert invoke("extract", demo, tmp_path / "x.npy", "--rows", rows).exit_code == 2

    def test_errors_are_one_line(self, demo: Path, tmp_path: Path) -> None:
        assert "no tensor's name matches" in refused("extract", demo, tmp_path / "x", "-t", "nothing*")
        assert "holds a single array" in refused("extract", demo, tmp_path / "x.npy")


class TestVerify:
    def test_hash_lines_are_those_of_sha256sum(self, demo: Path) -> None:
        text = said("verify", demo, "--hash")
        assert text.splitlines()[0] == f"{hashlib.sha256(demo.read_bytes()).hexdigest()}  demo.gguf"
        assert len(text.splitlines()) == 23

    @pytest.mark.parametrize("options", [["--hash"], ["--hash", "sha256"], ["--hash=sha256"]], ids=str)
    def test_the_file_may_stand_after_hash(self, demo: Path, options: list[str]) -> None:
        assert said("verify", *options, demo) == said("verify", demo, "--hash")
        assert "'md5' is not one of" in invoke("verify", demo, "--hash=md5").stderr

    def test_against(self, demo: Path, copy: Path, tmp_path: Path) -> None:
        found = printed_json("verify", demo, "--hash")
        assert set(found["hashes"]) == {"algorithm", "files", "tensors"}
        manifest = tmp_path / "manifest.json"
        manifest.write_text(json.dumps(found))
        assert "sound" in said("verify", copy, "--against", manifest)
        said("edit", copy, "--set", "general.name=Other", "-q")
        result = invoke("verify", copy, "--against", manifest)
        assert result.exit_code == 1
        assert result.stdout.count("error hash-mismatch") == 1
        assert "cannot open the file" in refused("verify", copy, "--against", tmp_path / "none")

    def test_blake3(self, demo: Path, tmp_path: Path) -> None:
        document = printed_json("verify", demo, "--hash", "blake3")
        assert document["hashes"]["algorithm"] == "blake3"
        (tmp_path / "m.json").write_text(json.dumps(document))
        assert "sound" in said("verify", demo, "--against", tmp_path / "m.json")
        line = refused("verify", demo, "--against", tmp_path / "m.json", "--hash", "sha256")
        assert "the manifest is of another algorithm" in line

    def test_findings_have_place_and_remedy(self, copy: Path) -> None:
        said("edit", copy, "--delete", "llama.context_length", "-q")
        result = invoke("verify", copy)
        assert result.exit_code == 1
        assert result.stdout.splitlines()[:3] == [
            "error missing-key: key 'llama.context_length'",
            "  the key is missing",
            "  → set the key (gguf-tools edit --set KEY=VALUE --type TYPE), or convert the model again",
        ]

    def test_an_unknown_architecture_is_said(self, copy: Path) -> None:
        said("edit", copy, "--rename-arch", "novelty", "-q")
        assert "not held against a table: 'novelty' is unknown here" in said("verify", copy)


class TestLooks(Terminal):
    """On a terminal of 80 columns."""

    @pytest.mark.parametrize(
        "arguments",
        [
            ["split", "{demo}", "m", "--max-tensors", "7", "--dry-run"],
            ["edit", "{demo}", "--rename-arch", "qwen2", "--dry-run"],
            ["edit", "{demo}", "--set", "general.name=A rather long name, longer than a line", "--dry-run"],
            ["extract", "{demo}", "x", "--dry-run"],
            ["verify", "{demo}"],
            ["diff", "{demo}", "{demo}"],
        ],
        ids=lambda arguments: arguments[0],
    )
    def test_fits(self, demo: Path, arguments: list[str]) -> None:
        lines = self.plain(self.run(*(text.format(demo=os.path.relpath(demo)) for text in arguments)))
        assert max(len(line.rstrip()) for line in lines) <= 80
        assert len([line for line in lines if line.strip()]) >= 1

    def test_findings_are_in_colour(self, demo: Path) -> None:
        shown: Any = self.run("verify", demo)
        assert f"{ESCAPE}[32m" in shown
