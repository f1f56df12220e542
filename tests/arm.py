"""The part of the suite that depends on the processor, on an emulated 64-bit ARM.

    python -m tests.arm [pytest's arguments]

Builds what it needs in ``.arm``: Debian's Python for arm64, unpacked and not installed, and the wheels of
numpy, numba and the rest in the versions they have here. Needs Debian's ``qemu-user-static``, and neither
root nor binfmt: the emulator is called by name. So a test that starts processes of its own cannot be among
these.
Kernels are compiled by the emulated LLVM, for tens of minutes at first; ``.arm/cache`` keeps them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PLACE: Final = ROOT / ".arm"
SYSTEM, SITE, APT = PLACE / "root", PLACE / "site", PLACE / "apt"

DEBIAN: Final = ("python3", "libstdc++6")
PLATFORMS: Final = ("manylinux_2_28_aarch64", "manylinux_2_27_aarch64", "manylinux2014_aarch64")
RUNNERS: Final = ("pytest", "hypothesis")

TESTS: Final = (
    "tests/test_floats.py",
    "tests/quants/test_digests.py",
    "tests/quants/test_naive.py",
    "tests/checkpoint/test_packed.py::test_rows_are_those_of_the_naive_twin",
    "tests/checkpoint/test_packed.py::test_matrices_of_several_bands",
    "tests/checkpoint/test_exact.py::test_blocks_decode_to_the_checkpoints_values",
    "tests/architectures/test_rounding.py",
    "tests/architectures/test_rope.py",
    "tests/architectures/test_transforms.py",
    "tests/conversion/test_determinism.py::test_each_job_makes_what_was_recorded",
)
"""Codecs, packed formats, what is computed while converting, and whole conversions."""


def emulator() -> str:
    """Path of the emulator; ends the process where something is lacking."""
    found = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    lacking = [name for name in ("apt-get", "dpkg-deb") if shutil.which(name) is None]
    if found is None:
        sys.exit("no qemu-aarch64: apt-get install qemu-user-static")
    if lacking:
        sys.exit(f"no {' and no '.join(lacking)}: the emulated Python is Debian's, and so must be the system")
    return found


def unpack_system() -> Path:
    """Debian's Python for arm64 with the libraries it needs, in ``.arm/root``; path of its executable."""
    stamp = SYSTEM / ".unpacked"
    if not stamp.exists():
        shutil.rmtree(SYSTEM, ignore_errors=True)
        state, archives = APT / "state", APT / "cache" / "archives"
        for folder in (state / "lists" / "partial", archives / "partial", SYSTEM):
            folder.mkdir(parents=True, exist_ok=True)
        (state / "status").touch()
        settings = {
            "APT::Architecture": "arm64",
            "APT::Architectures": "arm64",
            "APT::Install-Recommends": "false",
            "Dir::State": str(state),
            "Dir::State::status": str(state / "status"),
            "Dir::Cache": str(APT / "cache"),
            "Debug::NoLocking": "true",
        }
        lines = [f'{name} "{value}";' for name, value in settings.items()]
        (APT / "apt.conf").write_text("\n".join(lines) + "\n", encoding="utf-8")
        apt = ["apt-get", "-qq", "-y"]
        environment = os.environ | {"APT_CONFIG": str(APT / "apt.conf")}
        subprocess.run([*apt, "update"], env=environment, check=True)
        subprocess.run([*apt, "install", "--download-only", *DEBIAN], env=environment, check=True)
        for package in sorted(archives.glob("*.deb")):
            subprocess.run(["dpkg-deb", "-x", package, SYSTEM], check=True)
        stamp.touch()
    return next(path for path in SYSTEM.glob("usr/bin/python3.*") if path.suffix[1:].isdigit())


def install_packages(python: Path) -> None:
    """What the package and its tests import, for the emulated Python, in ``.arm/site``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *RUNNERS]
    here = sorted(f"{one.metadata['Name']}=={one.version}" for one in distributions())
    same = "".join(f"{line}\n" for line in here if not line.startswith("gguf-tools=="))
    stamp = SITE / ".installed"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == f"{wanted}\n{same}":
        return
    shutil.rmtree(SITE, ignore_errors=True)
    constraints = PLACE / "constraints.txt"
    constraints.write_text(same, encoding="utf-8")
    version = python.name.removeprefix("python")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--target", str(SITE), "--constraint", str(constraints), "--only-binary=:all:"]
    command += ["--implementation", "cp", "--python-version", version]
    command += [part for platform in PLATFORMS for part in ("--platform", platform)]
    subprocess.run([*command, *wanted], check=True)
    stamp.write_text(f"{wanted}\n{same}", encoding="utf-8")


def run(*arguments: str) -> int:
    """The exit status of the emulated Python, called with these arguments in the repository's directory."""
    call = emulator()
    PLACE.mkdir(exist_ok=True)
    python = unpack_system()
    install_packages(python)
    ours = ("NUMBA_", "OPENBLAS_", "NPY_", "PYTHON")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment = clean | {
        "PYTHONHOME": str(SYSTEM / "usr"),
        "PYTHONPATH": f"{SITE}:{ROOT}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NUMBA_CACHE_DIR": str(PLACE / "cache"),
    }
    return subprocess.run(
        [call, "-L", str(SYSTEM), str(python), *arguments], env=environment, cwd=ROOT
    ).returncode


if __name__ == "__main__":
    sys.exit(run("-m", "pytest", "-p", "no:cacheprovider", *(sys.argv[1:] or TESTS)))
