"""What the Tab key gives: by click's own machinery in all shells, and in a real bash."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import CompletionItem, get_completion_class
from click.testing import CliRunner

from gguf_tools.cli import COMMANDS, main
from gguf_tools.container import open_gguf
from tests import builders as b
from tests.cli.invoking import TOOL, invoke, said

MOST_SECONDS = 60


def completed(*words: object) -> list[CompletionItem]:
    """What a bash would be told of the last of these words."""
    *before, last = [str(word) for word in words]
    bash = get_completion_class("bash")
    assert bash is not None
    return bash(main, {}, "gguf-tools", "_GGUF_TOOLS_COMPLETE").get_completions(before, last)


def offered(*words: object) -> list[str]:
    """Completions of the last of these words, of those that are names."""
    return [item.value for item in completed(*words) if item.type == "plain"]


def kinds(*words: str) -> set[str]:
    """What the shell is told to complete by itself: files or directories."""
    return {item.type for item in completed(*words)}


class TestNames:
    def test_commands(self) -> None:
        assert offered("") == list(COMMANDS)
        assert offered("conv") == ["convert", "convert-lora"]

    def test_options(self) -> None:
        assert "--keep-split-keys" in offered("merge", "--k")
        assert set(offered("merge", "--")) >= {"--resume", "--force", "--json", "--help"}

    def test_recipes(self) -> None:
        expected = ["Q4_K_S", "Q4_K_M"]
        for command in (["convert", "a", "b"], ["quantize", "a", "b"]):
            assert offered(*command, "--type", "Q4_K") == expected
            assert offered(*command, "-t", "q4_k") == expected

    def test_types(self) -> None:
        assert offered("quantize", "a", "b", "--output-tensor-type", "Q6") == ["Q6_K"]
        assert offered("warmup", "Q4_K", "IQ1") == ["IQ1_S", "IQ1_M"]
        assert offered("edit", "f", "--type", "uint3") == ["uint32", "uint32[]"]
        assert offered("extract", "a", "b", "--dtype", "b") == ["bf16"]
        assert offered("completion", "") == ["bash", "zsh", "fish"]

    def test_architectures(self) -> None:
        assert offered("edit", "f", "--rename-arch", "gemma") == [
            "gemma",
            "gemma-embedding",
            "gemma2",
            "gemma3",
            "gemma3n",
        ]

    def test_keys_and_tensors_of_the_file_named_before(self, small: Path) -> None:
        with open_gguf(small) as file:
            assert offered("edit", small, "--delete", "") == list(file.metadata)
            assert offered("extract", small, "x.npy", "-t", "") == list(file.tensors)
        assert offered("edit", small, "--set", "general.n") == ["general.name"]
        assert offered("edit", small.with_name("none"), "--set", "general") == []

    @pytest.mark.parametrize(
        "words",
        [
            ["inspect", ""],
            ["merge", "a", ""],
            ["convert", "a", "b", "--imatrix", ""],
            ["quantize", "a", "b", "--overrides", ""],
            ["edit", "a", "--set-template", ""],
            ["edit", "a", "-o", ""],
            ["verify", "a", "--against", ""],
        ],
        ids=" ".join,
    )
    def test_files(self, words: list[str]) -> None:
        assert kinds(*words) == {"file"}

    def test_directories(self) -> None:
        assert kinds("convert", "a", "b", "--merge-lora", "") == {"dir"}
        assert kinds("convert-lora", "a", "b", "--base", "") == {"dir"}


class TestScripts:
    @pytest.mark.parametrize(
        ("shell", "words"),
        [
            ("bash", ["complete -o nosort -F", "_GGUF_TOOLS_COMPLETE=bash_complete"]),
            ("zsh", ["#compdef gguf-tools", "_GGUF_TOOLS_COMPLETE=zsh_complete"]),
            ("fish", ["complete --no-files --command gguf-tools", "_GGUF_TOOLS_COMPLETE=fish_complete"]),
        ],
    )
    def test_are_printed(self, shell: str, words: list[str]) -> None:
        text = said("completion", shell)
        assert all(word in text for word in words)

    def test_other_shells(self) -> None:
        result = invoke("completion", "tcsh")
        assert result.exit_code == 2
        assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in result.stderr

    @pytest.mark.parametrize(
        ("shell", "variables"),
        [
            ("zsh", {"COMP_WORDS": "gguf-tools conv", "COMP_CWORD": "1"}),
            ("fish", {"COMP_WORDS": "gguf-tools ", "COMP_CWORD": "conv"}),
        ],
    )
    def test_what_other_shells_ask_for(self, shell: str, variables: dict[str, str]) -> None:
        """As their scripts call the program; the shells themselves need not be installed."""
        environment = os.environ | variables | {"_GGUF_TOOLS_COMPLETE": f"{shell}_complete"}
        done = subprocess.run([TOOL], env=environment, capture_output=True, text=True, check=True)
        assert COMMANDS["convert"] in done.stdout
        assert re.findall(r"\bconvert[\w-]*(?=$|\t)", done.stdout, re.MULTILINE) == [
            "convert",
            "convert-lora",
        ]


class Bash:
    """A bash on a terminal of its own that has sourced our script."""

    def __init__(self, folder: Path) -> None:
        # no prompt, no coloured or bracketed anything, and all matches at the first Tab
        (folder / "inputrc").write_text(
            "set show-all-if-ambiguous on\nset enable-bracketed-paste off\nset bell-style none\n"
            "set completion-query-items 0\nset page-completions off\n"
        )
        environment = os.environ | {
            "PATH": f"{TOOL.parent}:{os.environ['PATH']}",
            "INPUTRC": str(folder / "inputrc"),
            "TERM": "dumb",
            "HOME": str(folder),
            "COLUMNS": "300",
        }
        self.pid, self._fd = pty.fork()
        if not self.pid:
            os.chdir(folder)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], environment)
        self.line("PS1=; stty cols 300")
        self.line('eval "$(gguf-tools completion bash)"; echo ready-$((1+1))')
        self.until("ready-2")

    def line(self, text: str) -> None:
        os.write(self._fd, f"{text}\n".encode())

    def until(self, pattern: str) -> str:
        """What bash prints, as far as the pattern."""
        text, deadline = "", time.monotonic() + MOST_SECONDS
        while not re.search(pattern, text):
            ready, _, _ = select.select([self._fd], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no {pattern!r} in {text!r}"
            text += os.read(self._fd, 65536).decode()
        return text

    def tab(self, text: str, pattern: str) -> str:
        """Type something and the Tab key; clear the line once the answer is there."""
        os.write(self._fd, f"{text}\t".encode())
        answer = self.until(pattern)
        os.write(self._fd, b"\x15")
        return answer

    def close(self) -> None:
        os.close(self._fd)
        os.waitpid(self.pid, 0)


@pytest.fixture
def bash(tmp_path: Path, small: Path) -> Iterator[Bash]:
    (tmp_path / "my-model.gguf").symlink_to(small)
    (tmp_path / "my-checkpoint").mkdir()
    shell = Bash(tmp_path)
    try:
        yield shell
    finally:
        shell.close()


def test_the_tab_key_in_bash(bash: Bash) -> None:
    bash.tab("gguf-tools conv", r"convert +convert-lora")
    bash.tab("gguf-tools arch", r"gguf-tools architectures ")
    bash.tab("gguf-tools convert my-checkpoint out.gguf --type Q4_", r"Q4_0 +Q4_1 +Q4_K_S +Q4_K_M")
    bash.tab("gguf-tools convert my-checkpoint out.gguf --type Q4_K", r"Q4_K_S +Q4_K_M")
    bash.tab("gguf-tools inspect my-m", r"gguf-tools inspect my-model\.gguf ")
    bash.tab("gguf-tools edit my-model.gguf --delete general.arch", r"--delete general\.architecture ")
    bash.tab("gguf-tools merge --keep", r"merge --keep-split-keys ")


def test_bash_accepts_the_script_without_a_terminal() -> None:
    """And the function it defines answers as bash asks it: words, and the number of the one at the cursor."""
    code = (
        f'eval "$({shlex.quote(str(TOOL))} completion bash)"; '
        "COMP_WORDS=(gguf-tools convert a b --type Q6); COMP_CWORD=5; "
        f"_gguf_tools_completion {shlex.quote(str(TOOL))}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    done = subprocess.run(["bash", "--norc", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["Q6_K"]


HOSTILE = (
    "zz$(touch MARK)",
    "zz`touch MARK`",
    "zz;touch MARK",
    "zz\ntouch MARK",
    "zz\nplain,touch",
    "zz\nplain\nzz",
    "zz&touch",
    "zz>MARK",
    "zz*",
    "zz?",
    "zz[a-z]",
    "zz{a,b}",
    "zz~",
    "zz!!",
    "zz\\x",
    "zz x",
    "zz'x",
    'zz"x',
    "zz\tx",
    "zz\x1b]0;PWNED\x07",
    "zz\u202ex",
    "zz\x7f",
    "zz\u00e9",
    "--in-place",
    "-zz",
    "~root",
    "zz#",
    "zz=x",
    "zz%x",
)
"""Names that a shell would act on, or that would look like an option."""

HARMLESS = ("zz.a_b-c:0/d", "blk.0.attn_q.weight")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A file whose tensors and keys all have such names; those of `HARMLESS` are between them."""
    names = [*HOSTILE[:5], HARMLESS[0], *HOSTILE[5:], HARMLESS[1]]
    pairs = [b.ARCHITECTURE, *((name, b.STRING, name) for name in names)]
    tensors = [b.Tensor(name, (1,), 0, b.floats(1)) for name in names]
    (tmp_path / "hostile.gguf").write_bytes(b.build(pairs, tensors))
    return tmp_path / "hostile.gguf"


class TestHostileNames:
    def test_only_harmless_ones_are_offered(self, hostile: Path) -> None:
        assert offered("extract", hostile, "x.npy", "-t", "") == list(HARMLESS)
        assert offered("edit", hostile, "--delete", "") == ["general.architecture", *HARMLESS]
        for option in ("--set", "--rename", "--set-from-file"):
            assert offered("edit", hostile, option, "zz") == [HARMLESS[0]]

    @pytest.mark.parametrize("name", HOSTILE)
    def test_what_has_been_typed_of_one_gives_none(self, hostile: Path, name: str) -> None:
        assert not [item for item in offered("extract", hostile, "x.npy", "-t", name) if item not in HARMLESS]

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    @pytest.mark.parametrize("words", [["extract", "FILE", "x.npy", "-t"], ["edit", "FILE", "--delete"]])
    def test_the_protocol_has_nothing_else(self, shell: str, words: list[str], hostile: Path) -> None:
        given = shlex.join(["gguf-tools", *(str(hostile) if word == "FILE" else word for word in words)])
        last = {"COMP_CWORD": ""} if shell == "fish" else {"COMP_CWORD": str(len(words) + 1)}
        answer = CliRunner().invoke(
            main,
            prog_name="gguf-tools",
            env={"_GGUF_TOOLS_COMPLETE": f"{shell}_complete", "COMP_WORDS": f"{given} ", **last},
        )
        assert answer.exit_code == 0
        names = HARMLESS if words[0] == "extract" else ("general.architecture", *HARMLESS)
        lines = {
            "bash": [f"plain,{name}" for name in names],
            "zsh": [line for name in names for line in ("plain", name, "_")],
            "fish": [f"plain,{name}" for name in names],
        }
        assert answer.stdout.splitlines() == lines[shell]

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_a_typed_file_name_forges_no_offer(self, shell: str) -> None:
        """Of a name with a line end between quotes, as bash completes it."""
        made = get_completion_class(shell)
        assert made is not None
        complete = made(main, {}, "gguf-tools", "_GGUF_TOOLS_COMPLETE")
        (item,) = complete.get_completions(["inspect"], "x\nplain,$(touch MARK)")
        assert (item.type, item.value) == ("file", "")
        assert "MARK" not in complete.format_completion(item)

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_the_last_look_needs_no_first(self, shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """A new command that offers whatever it finds offers nothing hostile, nor describes it so."""
        items = [CompletionItem(name, help=f"{name}\nplain,{name}") for name in (*HOSTILE, *HARMLESS)]
        monkeypatch.setattr(click.Group, "shell_complete", lambda *_: items)
        monkeypatch.setattr(type(main), "shell_complete", lambda *_: items)
        made = get_completion_class(shell)
        assert made is not None
        found = made(main, {}, "gguf-tools", "_GGUF_TOOLS_COMPLETE").get_completions([], "")
        assert [item.value for item in found] == ["--in-place", "-zz", *HARMLESS]
        assert all(str(item.help).isprintable() for item in found)

    def test_in_bash_none_is_run(self, tmp_path: Path) -> None:
        """Each the only tensor of its file, completed by the Tab key and run by the Enter key."""
        names = [name for name in HOSTILE if "MARK" in name]
        assert len(names) > 4
        shell = Bash(tmp_path)
        try:
            for number, name in enumerate(names):
                tensor = b.Tensor(name, (1,), 0, b.floats(1))
                (tmp_path / f"{number}.gguf").write_bytes(b.build([b.ARCHITECTURE], [tensor]))
                shell.line(f"gguf-tools extract {number}.gguf x.npy -t zz\t")
                shell.until("error:.*zz")  # there is no such tensor
        finally:
            shell.close()
        assert {path.suffix for path in tmp_path.iterdir()} == {".gguf", ""}
        assert not (tmp_path / "MARK").exists()
