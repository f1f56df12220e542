"""The part of the suite that depends on the processor, on several of those this one can pass for.

    python -m tests.cpus [pytest's arguments]

Kernels are compiled, and numpy, the BLAS and the C library choose their variants, as if the processor had
fewer features. Each has a kernel cache of its own below ``build/cpus``. Another architecture: `tests.arm`.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import llvmlite.binding as llvm
import numpy as np

ROOT: Final = Path(__file__).resolve().parents[1]

TESTS: Final = (
    "tests/quants/test_digests.py",
    "tests/quants/test_bytes.py",
    "tests/quants/test_naive.py",
    "tests/quants/test_instructions.py",
    "tests/checkpoint/test_packed.py",
    "tests/checkpoint/test_exact.py",
    "tests/architectures/test_rounding.py",
    "tests/architectures/test_rope.py",
    "tests/architectures/test_transforms.py",
    "tests/architectures/test_tables.py",
    "tests/architectures/test_bitnet.py",
    "tests/conversion/test_determinism.py",
    "tests/conversion/test_goldens.py",
    "tests/conversion/test_merging.py",
    "tests/conversion/test_lora.py",
    "tests/conversion/test_mxfp4.py",
    "tests/conversion/test_nvfp4.py",
    "tests/inspection/test_statistics.py",
    "tests/inspection/test_diff.py",
    "-k",
    "not with_importances_to_the_bytes",
)
"""What has kernels, and what computes with numpy.

Left out is a comparison with ggml, of all inputs with all importances, that takes minutes. Rows of one block
are still compared so, and whole rows with two kinds of importances are among the digests.
"""

_WIDE: Final = ("AVX512", "X86_V4")
"""How names of numpy's features begin that AVX2 alone has not."""


def processors() -> Iterator[tuple[str, dict[str, str] | None]]:
    """What processors to pass for, and the environment that does it; None where this one cannot."""
    core = np._core._multiarray_umath  # type: ignore[attr-defined]
    chosen = [name for name in core.__cpu_dispatch__ if core.__cpu_features__[name]]
    oldest = {
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": "",
        "NPY_DISABLE_CPU_FEATURES": " ".join(chosen),
    }
    if platform.machine() in ("x86_64", "AMD64"):
        no_wide = "-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD"
        yield (
            "x86-64 with SSE2",
            oldest
            | {
                "OPENBLAS_CORETYPE": "Prescott",
                "GLIBC_TUNABLES": f"glibc.cpu.hwcaps={no_wide},-AVX2,-AVX,-FMA,-FMA4",
            },
        )
        avx2 = {
            "NUMBA_CPU_NAME": "haswell",
            "NUMBA_CPU_FEATURES": "",
            "NPY_DISABLE_CPU_FEATURES": " ".join(name for name in chosen if name.startswith(_WIDE)),
            "OPENBLAS_CORETYPE": "Haswell",
            "GLIBC_TUNABLES": f"glibc.cpu.hwcaps={no_wide}",
        }
        has = llvm.get_host_cpu_features()
        yield "x86-64 with AVX2", avx2 if has.get("avx2") and has.get("fma") else None
    else:
        yield f"{platform.machine()} without extensions", oldest
    yield f"this one, {llvm.get_host_cpu_name()}", {}


def main(arguments: list[str]) -> int:
    """The number of processors on which tests failed."""
    failed = 0
    for name, settings in processors():
        print(f"\n== {name}", flush=True)
        if settings is None:
            print("not to be had: this processor lacks AVX2 or FMA")
            continue
        cache = ROOT / "build" / "cpus" / name.replace(" ", "-").replace(",", "")
        environment = os.environ | settings | {"NUMBA_CACHE_DIR": str(cache)}
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            *(arguments or ["-n", "auto", *TESTS]),
        ]
        failed += subprocess.run(command, cwd=ROOT, env=environment).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
