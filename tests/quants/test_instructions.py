"""What kernels are compiled to adds and multiplies as it is written: nothing fused, nothing reordered.

A fused multiply-add rounds once where ggml's reference rounds twice, and processors that have one differ in
nothing else that matters here. LLVM may only use it, or reorder a sum, where an operation's flags allow it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[2]

SAMPLE: Final = ("Q8_0", "Q5_1", "MXFP4")
"""Types with a scale, with a scale and an offset that is searched for, and with a table."""

TARGETS: Final = {
    # triple: a processor or features with fused operations, and their instructions
    "x86_64-unknown-linux-gnu": ("haswell", "", r"\bvfn?m(add|sub)\w*"),
    "aarch64-unknown-linux-gnu": ("neoverse-v1", "", r"\bf(ml[as]l?2?|n?madd|n?msub|mad|nmla|nmls)\b"),
    "riscv64-unknown-linux-gnu": ("", "+f,+d,+v", r"\b(fn?m(add|sub)\.\w+|vfn?m(acc|sac|add|sub)\.\w+)"),
}

COMPILE: Final = r"""
import json, re, sys
import llvmlite.binding as llvm, numba, numpy as np
from gguf_tools import quants
from gguf_tools.checkpoint.packed import kernels as packed

types, targets, control = json.loads(sys.argv[1])
# references are counted with an instruction of x86, which LLVM has put in already
COUNTING = re.compile(r"(%\S+) = (?:tail )?call i8 @llvm\.x86\.atomic.*")
llvm.initialize_all_targets()
llvm.initialize_all_asmprinters()


def multiply_and_add(x, y, out):
    total = np.float32(0)
    for i in range(x.size):
        out[i] = x[i] * y[i] + out[i]
        total += x[i]
    return total


ones = np.ones(64, np.float32)
if control:
    compiled = [numba.njit(fastmath=control == "fast")(multiply_and_add)]
    compiled[0](ones, ones, ones)
else:
    quants.warmup(types)
    codes, scale = np.zeros((2, 32), np.uint8), np.ones(2, np.float32)
    packed.halves(codes, scale, scale, np.zeros((2, 64), np.float32))
    packed.e4m3(codes, scale, np.zeros((2, 32), np.float32))
    compiled = {
        kernel
        for name, module in sys.modules.items()
        if name.startswith("gguf_tools.")
        for kernel in vars(module).values()
        if hasattr(kernel, "inspect_llvm") and kernel.signatures
    }
found = {}
for kernel in compiled:
    code = "".join(kernel.inspect_llvm().values())
    assembly = {}
    for triple, (processor, features) in targets.items():
        parts = []
        for text in kernel.inspect_llvm().values():
            module = llvm.parse_assembly(COUNTING.sub(r"\1 = add i8 0, 0", text))
            module.triple = triple
            machine = llvm.Target.from_triple(triple).create_target_machine(processor, features, opt=3)
            module.data_layout = str(machine.target_data)
            parts.append(machine.emit_assembly(module))
        assembly[triple] = "".join(parts)
    found[f"{kernel.__module__}.{kernel.__name__}"] = [code, assembly]
json.dump(found, sys.stdout)
"""

Compiled = dict[str, tuple[str, dict[str, str]]]


def compiled(cache: Path, control: str = "") -> Compiled:
    """Of each kernel LLVM's code and, by target, the assembly. The cache must be fresh: it keeps neither."""
    targets = {triple: parts[:2] for triple, parts in TARGETS.items()}
    done = subprocess.run(
        [sys.executable, "-c", COMPILE, json.dumps([SAMPLE, targets, control])],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: Compiled = json.loads(done.stdout)
    return found


ARITHMETIC: Final = re.compile(r"= *(?:tail )?(?:fadd|fsub|fmul|fdiv|frem|fneg|call)\b")
FREE: Final = re.compile(r"\b(?:fast|reassoc|contract|arcp|afn)\b|@llvm\.fma|@llvm\.vector\.reduce\.fadd")


def liberties(code: str) -> list[str]:
    """Lines of LLVM's code that allow, or are, an operation other than the one written."""
    lines = [line.strip() for line in code.splitlines()]
    return [line for line in lines if ARITHMETIC.search(line) and FREE.search(line)]


@pytest.fixture(scope="module")
def kernels(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    found = compiled(tmp_path_factory.mktemp("cache"))
    assert len(found) > 2 * len(SAMPLE)
    return found


def test_no_operation_has_a_flag_that_frees_the_compiler(kernels: Compiled) -> None:
    assert {name: lines for name, (code, _) in kernels.items() if (lines := liberties(code))} == {}
    assert sum(len(re.findall(r"\bfmul\b", code)) for code, _ in kernels.values()) > 100


@pytest.mark.parametrize("triple", TARGETS)
def test_nothing_is_fused(triple: str, kernels: Compiled) -> None:
    fused = re.compile(TARGETS[triple][2])
    assembly = {name: made[triple] for name, (_, made) in kernels.items()}
    assert all(len(text) > 200 for text in assembly.values())
    found = {name: fused.findall(text) for name, text in assembly.items()}
    assert {name: hits for name, hits in found.items() if hits} == {}


def test_what_is_fused_would_be_found(tmp_path: Path) -> None:
    """The same product and sum, with and without leave to fuse and reorder them."""
    ((strict, assembly),) = compiled(tmp_path / "strict", "strict").values()
    assert liberties(strict) == []
    assert not any(re.search(parts[2], assembly[triple]) for triple, parts in TARGETS.items())
    ((free, assembly),) = compiled(tmp_path / "fast", "fast").values()
    assert liberties(free)
    assert all(re.search(parts[2], assembly[triple]) for triple, parts in TARGETS.items())
