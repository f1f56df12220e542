"""Every command once, in this process, on small models; `test_platforms` runs it in fresh interpreters."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["run_all"]


def run_all(demo: Path, adapter: Path, folder: Path) -> None:
    """Run all commands, in ``folder``; what they print goes to files there, too.

    Args:
        demo: a checkpoint.
        adapter: a LoRA adapter for it.
        folder: empty.
    """
    os.chdir(folder)
    convert = ["convert", str(demo)]
    _run(*convert, "f32.gguf", "-t", "F32", "-q")
    _run(*convert, "q4.gguf", "-t", "Q4_K_M", "-q")
    _run(*convert, "q4.gguf", "-t", "Q4_K_S", "-q", "--force")
    _run("quantize", "f32.gguf", "q5.gguf", "-t", "Q5_0", "-q")
    _run("export", "q4.gguf", "hf", "--dtype", "bf16", "-q")
    _run("export", "q4.gguf", "hf", "--dtype", "f16", "-q", "--force")
    _run("convert", "hf", "again.gguf", "-t", "Q8_0", "-q")
    _run("convert-lora", str(adapter), "lora.gguf", "--base", str(demo), "-q")
    for path in ("q4.gguf", "hf"):
        _run("inspect", path, "--json")
    _run("inspect", "f32.gguf", "--tensors")
    _run("verify", "q4.gguf", "--hash")
    _run("estimate", "q4.gguf", "--json")
    _run("diff", "f32.gguf", "q4.gguf", "--json", status=1)
    _run("extract", "q4.gguf", "norm.npy", "-t", "output_norm.weight", "-q")
    _run("extract", "q4.gguf", "some.safetensors", "-t", "blk.0.*", "-q")
    _run("extract", "q4.gguf", "blocks", "-t", "*attn_v*", "--dtype", "raw", "-q")
    _run("split", "q4.gguf", "part", "--max-tensors", "7", "-q")
    _run("split", "q4.gguf", "part", "--max-tensors", "7", "-q", "--force")
    _run("inspect", "part-00001-of-00003.gguf", "--json")
    _run("merge", "part-00001-of-00003.gguf", "whole.gguf", "-q")
    _run("edit", "whole.gguf", "--set", "general.name=Another, longer name than it was", "-q")
    _run("edit", "again.gguf", "--set", "tokenizer.ggml.eos_token_id=3", "-q")
    _run(
        "edit", "again.gguf", "--reserve", "64K", "--delete", "general.name", "-q"
    )  # a header that is mapped, and not just read
    _run("edit", "again.gguf", "--set", "general.alignment=64", "--type", "uint32", "-q")
    _run("edit", "q5.gguf", "--set", "general.name=x", "-o", "named.gguf", "-q")
    _run("edit", "named.gguf", "--recover")
    _run("verify", ".", status=1)
    _run("inspect", "nothing.gguf", status=1)
    _run("architectures")
    _run("completion", "bash")
    _resume(convert)


def _resume(convert: list[str]) -> None:
    """Interrupted, refused, gone on with."""
    from gguf_tools.conversion import engine

    write, left = engine._write, [20]

    def interrupted(*arguments: object) -> int:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return write(*arguments)  # type: ignore[arg-type]

    engine._write = interrupted  # type: ignore[assignment]
    convert = [*convert, "resumed.gguf", "-t", "Q6_K", "-q", "--threads", "1"]
    _run(*convert, "--resume", status=130)
    assert Path(".resumed.gguf.partial").exists()
    engine._write = write
    _run(*convert, status=1)
    _run(*convert, "--resume")


_COUNT: Iterator[int] = iter(range(1000))


def _run(*arguments: str, status: int = 0) -> None:
    from gguf_tools.cli import main

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(list(arguments))
            found: object = 0
        except SystemExit as end:
            found = end.code or 0
    assert found == status, f"{arguments}: {found}, {err.getvalue()}"
    printed = out.getvalue() + err.getvalue()
    Path(f"{next(_COUNT):02} {arguments[0]}.txt").write_bytes(printed.encode())


if __name__ == "__main__":
    run_all(*(Path(argument) for argument in sys.argv[1:]))
