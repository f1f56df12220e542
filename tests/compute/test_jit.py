"""Where compiled kernels are kept, when numba is loaded, and that kernels are correct without it."""

from __future__ import annotations

import shutil
from pathlib import Path

import numba
import pytest

import gguf_tools
from gguf_tools.compute import jit
from tests.quants.interpreters import ENCODE, EXPECTED, python

PACKAGE = Path(gguf_tools.__file__).parent


def copy_of_the_package(folder: Path) -> Path:
    shutil.copytree(PACKAGE, folder / "gguf_tools", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


# The directory


def test_the_directory_is_named_by_the_sources(tmp_path: Path) -> None:
    """An edit in a module that kernels of another one call must lead to other machine code."""
    path = copy_of_the_package(tmp_path / "copy")
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    data, before, files = python(ENCODE, cache, path=path)
    assert data == EXPECTED
    assert files
    assert Path(before).parent == tmp_path / "cache"
    assert python(ENCODE, cache, path=path)[1:] == [before, files]

    half = path / "gguf_tools" / "quants" / "kernels" / "half.py"
    text = half.read_text()
    edited = text.replace("return np.uint16(sign | half)", "return np.uint16(sign | half | 1)")
    assert edited != text
    half.write_text(edited)
    data, after, _ = python(ENCODE, cache, path=path)
    assert after != before
    assert data[0][0] == EXPECTED[0][0] | 1
    assert data[0][1:] == EXPECTED[0][1:]


def test_the_directory_is_the_same_for_the_same_sources(tmp_path: Path) -> None:
    code = "import json; from gguf_tools.compute.jit import _key; print(json.dumps(_key()))"
    assert python(code, path=copy_of_the_package(tmp_path)) == python(code)


def test_the_users_cache_is_the_default(tmp_path: Path) -> None:
    data, directory, files = python(ENCODE, {"XDG_CACHE_HOME": str(tmp_path)})
    assert data == EXPECTED
    assert files
    assert Path(directory).parent == tmp_path / "gguf-tools"


def test_without_a_directory_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    nowhere = {name: str(tmp_path / "file" / "x") for name in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    code = ENCODE.replace(', len(list(cache_directory().rglob("*.kernel")))', "")
    assert python(code, nowhere | {"TMPDIR": str(tmp_path)}) == [EXPECTED, "None"]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nothing_is_written_into_the_package(tmp_path: Path) -> None:
    path = copy_of_the_package(tmp_path / "copy")
    cache = {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONDONTWRITEBYTECODE": "1"}
    before = sorted(path.rglob("*"))
    python(ENCODE, cache, path=path)
    assert sorted(path.rglob("*")) == before


def test_threads_that_import_codecs_keep_to_the_directory(tmp_path: Path) -> None:
    """Whatever numba's own setting, which is the user's."""
    code = """
import importlib, json, sys, threading
import numba
from numba.core import config
sys.setswitchinterval(1e-6)
names = (
    ["kernels.lanes", "codecs.q4_k", "codecs.q6_k"],
    ["kernels.half", "kernels.scan", "kernels.absmax", "codecs.q8_0"],
    ["codecs.f16", "codecs.bf16", "codecs.q5_1"],
)
load = lambda names: [importlib.import_module("gguf_tools.quants." + name) for name in names]
threads = [threading.Thread(target=load, args=(some,)) for some in names]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
kernels = [
    kernel for name, module in sorted(sys.modules.items()) if name.startswith("gguf_tools.quants.")
    for kernel in vars(module).values() if hasattr(kernel, "py_func")
]
print(json.dumps([config.CACHE_DIR, sorted({kernel._cache.cache_path for kernel in kernels})]))
"""
    for _ in range(4):
        setting, places = python(code, {"XDG_CACHE_HOME": str(tmp_path)})
        assert setting == ""
        assert [Path(place).parent for place in places] == [tmp_path / "gguf-tools"]


def test_numbas_own_setting_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    monkeypatch.setattr(jit, "cache_directory", lambda: ours)
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(theirs))
    ours.mkdir(mode=0o700)

    @jit.kernel
    def double(x: float) -> float:
        return 2 * x

    assert double(2.0) == 4
    assert str(theirs) == numba.config.CACHE_DIR
    assert list(ours.rglob("*.kernel"))
    assert not theirs.exists()


# What is compiled


KERNELS = """
import sys
def kernels():
    return {
        kernel for name, module in sys.modules.items() if name.startswith("gguf_tools.quants.")
        for kernel in vars(module).values() if hasattr(kernel, "py_func")
    }
"""


def test_kernels_are_compiled_once(tmp_path: Path) -> None:
    """Read-only, misaligned and strided arrays are no reason to compile a kernel again."""
    code = f"""{KERNELS}
import json, numba, numpy as np
from gguf_tools import quants
for type_ in ("F16", "BF16", "Q8_0", "Q5_1"):
    x = np.ones((4, 256), np.float32)
    frozen = np.frombuffer(x.tobytes(), np.float32).reshape(x.shape)
    odd = np.frombuffer(b"-" + x.tobytes(), np.float32, offset=1).reshape(x.shape)
    for values in (x, frozen, odd, x.T.copy().T):
        data = quants.encode_rows(values, type_)
    odd = np.frombuffer(b"-" + data.tobytes(), np.uint8, offset=1).reshape(data.shape)
    for blocks in (data, odd):
        quants.decode_rows(blocks, type_, 256)
takes_arrays = lambda types: any(isinstance(type_, numba.types.Array) for type_ in types)
counts = [[kernel.__name__, sum(map(takes_arrays, kernel.signatures))] for kernel in kernels()]
print(json.dumps([[name, count] for name, count in counts if count]))
"""
    counts = python(code)
    assert counts
    assert [name for name, count in counts if count > 1] == []


def test_only_what_a_job_needs_is_compiled(tmp_path: Path) -> None:
    """To encode one type compiles nothing of other types, nor that type's decoder or weighted encoder."""
    code = f"""{KERNELS}
import json, numpy as np
from gguf_tools import quants
quants.quantize(np.ones(32, np.float32), "Q4_0")
plain = sorted(kernel.__name__ for kernel in kernels() if kernel.signatures)
types = sorted(name for name in sys.modules if name.startswith("gguf_tools.quants.codecs."))
quants.quantize(np.ones(32, np.float32), "Q4_0", weights=np.ones(32, np.float32))
weighted = sorted(kernel.__name__ for kernel in kernels() if kernel.signatures)
print(json.dumps([plain, types, weighted]))
"""
    plain, types, weighted = python(code, {"NUMBA_CACHE_DIR": str(tmp_path)})
    assert types == ["gguf_tools.quants.codecs.q4_0"]
    assert "_encode_blocks" in plain
    assert not {"_decode_blocks", "_encode_weighted"} & set(plain)
    assert "_encode_weighted" in weighted
    assert "_decode_blocks" not in weighted


def test_the_next_process_compiles_nothing(tmp_path: Path) -> None:
    code = f"""{KERNELS}
import json, numpy as np
from gguf_tools import quants
data = quants.quantize(np.ones(256, np.float32), "IQ2_S")
stats = [kernel.stats for kernel in kernels()]
print(json.dumps([sum(len(s.cache_hits) for s in stats), sum(len(s.cache_misses) for s in stats)]))
"""
    cache = {"NUMBA_CACHE_DIR": str(tmp_path)}
    hits, misses = python(code, cache)
    assert misses
    hits, misses = python(code, cache)
    assert hits
    assert misses == 0


@pytest.mark.parametrize(
    "line", ["import gguf_tools", "import gguf_tools.quants", "from gguf_tools import quantize"]
)
def test_importing_loads_no_numba(line: str) -> None:
    assert python(f"{line}\nimport json, sys\nprint(json.dumps('numba' in sys.modules))") is False


@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
def test_kernels_are_correct_without_a_compiler(weighted: bool) -> None:
    """The same bytes from the interpreter: kernels rely on nothing but Python's and numpy's rules."""
    code = f"""
import json, numba, numpy as np
from gguf_tools import quants
from tests.references import ggml
from tests.floats import same_floats
from tests.quants.common import ENCODABLE, WEIGHTED, even_weights
from tests.quants.inputs import make, make_weights
assert numba.config.DISABLE_JIT
different = []
for type_ in WEIGHTED if {weighted} else ENCODABLE:
    for name in ("normal", "zeros of both signs", "scales far apart", "ties of 4 bits", "random bits"):
        x = make(name)[:1, :max(32, quants.codec(type_).block_elements)].copy()
        length = x.shape[1]
        weights = make_weights("uneven")[:length].copy() if {weighted} else even_weights(type_, length)
        with np.errstate(all="ignore"):
            ours = quants.encode_rows(x, type_, weights=weights)
            theirs, possible = ggml.encode_possible(x, type_, weights)
            same = (ours[possible] == theirs[possible]).all()
            values = quants.decode_rows(theirs, type_, length)
        if not (same and same_floats(values, ggml.decode(theirs, type_, x.shape)).all()):
            different.append([type_.name, name])
print(json.dumps(different))
"""
    assert python(code, {"NUMBA_DISABLE_JIT": "1", "PYTHONWARNINGS": "ignore"}) == []
