"""A file that somebody cuts short while it is being read: a typed error, never the end of the process.

Everything runs in processes of its own, which a signal would kill.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from math import prod
from pathlib import Path

import pytest

import gguf_tools
from tests import builders as b

PACKAGE = Path(gguf_tools.__file__).parent

TOKENS = [f"token {i}" for i in range(30_000)]

PAIRS = (
    b.ARCHITECTURE,
    ("llama.block_count", b.U32, 1),
    ("llama.context_length", b.U32, 128),
    ("llama.embedding_length", b.U32, 32),
    ("llama.feed_forward_length", b.U32, 64),
    ("llama.attention.head_count", b.U32, 4),
    ("llama.attention.layer_norm_rms_epsilon", b.F32, 1e-5),
    ("tokenizer.ggml.model", b.STRING, "llama"),
    ("long text", b.STRING, "x" * 100_000),
    ("tokenizer.ggml.tokens", b.ARRAY, (b.STRING, TOKENS)),
    ("tokenizer.ggml.scores", b.ARRAY, (b.F32, [float(i) for i in range(len(TOKENS))])),
    ("flags", b.ARRAY, (b.BOOL, [1] * 200_000)),
    ("nested", b.ARRAY, (b.ARRAY, [(b.U8, [7] * 500)] * 300)),
    ("last", b.STRING, "y" * 50_000),
)
"""Each value of another kind lies beyond what is read of a file at once."""

MATRICES = {
    "attn_q": (32, 32),
    "attn_k": (32, 32),
    "attn_v": (32, 32),
    "attn_output": (32, 32),
    "ffn_gate": (32, 64),
    "ffn_up": (32, 64),
    "ffn_down": (64, 32),
    "attn_norm": (32,),
    "ffn_norm": (32,),
}

TENSORS = (
    *(b.Tensor(f"blk.0.{role}.weight", dims, 0, bytes(4 * prod(dims))) for role, dims in MATRICES.items()),
    b.Tensor("output_norm.weight", (32,), 0, bytes(128)),
    b.Tensor("token_embd.weight", (32, len(TOKENS)), 1, bytes(64 * len(TOKENS))),
)

WHOLE = b.build(PAIRS, TENSORS)

SIZES = [0, 100, 4096, 20_000, 150_000, 400_000, 700_000, len(WHOLE) - 200_000]

READ = """
import json, os, sys
from gguf_tools.container import open_gguf
from gguf_tools.errors import GGUFToolsError
path, size, closing = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "closed"
file = open_gguf(path)
if closing:
    file.close()
os.truncate(path, size)
reads = {key: lambda key=key: repr(file.metadata[key])[:50] and file.metadata[key] for key in file.metadata}
reads["all tokens"] = lambda: list(file.metadata["tokenizer.ggml.tokens"])
reads["last token"] = lambda: file.metadata["tokenizer.ggml.tokens"][-1]
reads["numbers"] = lambda: file.metadata["tokenizer.ggml.scores"].numpy().sum()
reads["bools"] = lambda: sum(file.metadata["flags"])
reads["inner"] = lambda: [list(inner) for inner in file.metadata["nested"]]
reads["metadata"] = lambda: file.metadata.to_bytes()
reads |= {name: lambda name=name: file.tensors[name].dequantize().sum() for name in file.tensors}
said = {}
for name, read in reads.items():
    try:
        read()
        said[name] = "read"
    except GGUFToolsError as error:
        said[name] = str(error)
print(json.dumps(said))
"""

WHILE_PARSING = """
import os, sys
from gguf_tools.container import Metadata, open_gguf
from gguf_tools.errors import FormatError
path, size, key = sys.argv[1], int(sys.argv[2]), sys.argv[3]
read_value = Metadata.read_value
def shrinking(self, name, *rest):
    if name == key:
        os.truncate(path, size)
    return read_value(self, name, *rest)
Metadata.read_value = shrinking
try:
    open_gguf(path)
except FormatError as error:
    print(error)
"""

COMMAND = """
import os, sys
from gguf_tools.container import GGUFFile
size, path, *arguments = sys.argv[1:]
made = GGUFFile.__init__
def shrinking(self, where, *rest, **more):
    made(self, where, *rest, **more)
    if os.path.samefile(where, path):
        os.truncate(path, int(size))
GGUFFile.__init__ = shrinking
sys.argv = ["gguf-tools", *arguments]
from gguf_tools.cli import main
main()
"""

COMMANDS = {
    "inspect": ["inspect", "FILE"],
    "inspect --metadata": ["inspect", "FILE", "--metadata"],
    "inspect --tensors": ["inspect", "FILE", "--tensors"],
    "inspect --json": ["inspect", "FILE", "--json"],
    "inspect --key": ["inspect", "FILE", "--key", "last"],
    "inspect --stats": ["inspect", "FILE", "--stats"],
    "verify": ["verify", "FILE"],
    "diff": ["diff", "FILE", "OTHER"],
    "quantize": ["quantize", "FILE", "OUT.gguf", "--type", "F16"],
    "edit": ["edit", "FILE", "--set", "llama.block_count=2"],
    "edit to another file": ["edit", "FILE", "--set", "llama.block_count=2", "-o", "OUT.gguf"],
    "extract": ["extract", "FILE", "OUT.safetensors"],
    "split": ["split", "FILE", "OUT", "--max-tensors", "1"],
    "export": ["export", "FILE", "OUT"],
    "estimate": ["estimate", "FILE"],
}

MAY_SUCCEED = {"inspect", "inspect --tensors", "inspect --json", "inspect --key", "estimate"}
"""Commands that need nothing that is gone, or only what is in memory by then."""


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=120
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(WHOLE)
    return path


@pytest.mark.parametrize("state", ["open", "closed"])
@pytest.mark.parametrize("size", SIZES)
def test_reading_on_is_a_typed_error(file: Path, size: int, state: str) -> None:
    done = run(READ, file, size, state)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    gone = {name: what for name, what in said.items() if what != "read"}
    for what in gone.values():
        assert "cut short meanwhile" in what or "changed while" in what or "has been closed" in what
    metadata = {"long text", "all tokens", "last token", "numbers", "bools", "inner", "metadata"}
    if state == "closed":  # then the header is in memory
        assert set(gone) == {tensor.name for tensor in TENSORS}
    else:
        assert metadata | {"token_embd.weight"} <= set(gone)


@pytest.mark.parametrize("key", [pair[0] for pair in PAIRS if pair[0] != "general.architecture"])
def test_shrinking_while_the_header_is_parsed(file: Path, key: str) -> None:
    done = run(WHILE_PARSING, file, 17_000, key)
    assert done.returncode == 0, done.stderr
    assert "cut short meanwhile" in done.stdout or "changed while" in done.stdout


@pytest.mark.parametrize("size", [100, 400_000])
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_end_with_a_line(file: Path, tmp_path: Path, command: str, size: int) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(WHOLE)
    places = {"FILE": file, "OTHER": other, **{name: tmp_path / name for name in ("OUT", "OUT.gguf")}}
    places["OUT.safetensors"] = tmp_path / "OUT.safetensors"
    done = run(COMMAND, size, file, *(places.get(word, word) for word in COMMANDS[command]))
    assert done.returncode >= 0, f"killed by signal {-done.returncode}"
    assert "Traceback" not in done.stderr
    if done.returncode == 0:
        assert command in MAY_SUCCEED
    else:
        assert done.stderr.count("\n") == 1
        assert "cut short" in done.stderr or "changed" in done.stderr or "past the end" in done.stderr


@pytest.mark.parametrize("state", ["open", "closed"])
def test_untouched_everything_is_read(file: Path, state: str) -> None:
    """The same reads of a file that stays as it is, so that the errors above are those of the cut."""
    done = run(READ.replace("os.truncate(path, size)", "os.utime"), file, 0, state)
    assert done.returncode == 0, done.stderr
    failed = {name for name, what in json.loads(done.stdout).items() if what != "read"}
    assert failed == ({tensor.name for tensor in TENSORS} if state == "closed" else set())


def test_no_module_maps_a_file() -> None:
    """Anonymous memory (descriptor -1) is no file."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func).rpartition(".")[2]
            keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            anonymous = bool(node.args) and ast.unparse(node.args[0]) == "-1"
            if (called in {"mmap", "memmap", "open_memmap"} and not anonymous) or (
                keywords.keys() & {"mmap", "mmap_mode"} and set(keywords.values()) != {"False"}
            ):
                found.append(f"{path.relative_to(PACKAGE)}:{node.lineno}")
    assert not found
