"""What a checkpoint or a directory prepared by somebody else must not bring about."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import stat
from pathlib import Path

import pytest

import gguf_tools
from gguf_tools.errors import CheckpointError, GGUFToolsError, OutputError
from tests import tiny


class Evil:
    """Unpickled, it makes a directory."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (os.fspath(self.marker),)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return tiny.build("llama", tmp_path)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "it-ran"


def test_the_marker_would_tell(marker: Path) -> None:
    pickle.loads(pickle.dumps(Evil(marker)))
    assert marker.exists()


def test_code_of_a_checkpoint_is_not_run(checkpoint: Path, marker: Path, tmp_path: Path) -> None:
    gguf_tools.convert(checkpoint, tmp_path / "plain.gguf", type="Q8_0")
    for name in ("configuration_evil", "modeling_evil", "tokenization_evil", "__init__", "setup"):
        (checkpoint / f"{name}.py").write_text(f"import os; os.mkdir({os.fspath(marker)!r})\n")
    for file in ("config.json", "tokenizer_config.json"):
        values = json.loads((checkpoint / file).read_text())
        values["auto_map"] = {
            "AutoConfig": "configuration_evil.Evil",
            "AutoModelForCausalLM": "modeling_evil.Evil",
            "AutoTokenizer": ["tokenization_evil.Evil", "tokenization_evil.Evil"],
        }
        values["trust_remote_code"] = True
        (checkpoint / file).write_text(json.dumps(values))
    gguf_tools.convert(checkpoint, tmp_path / "evil.gguf", type="Q8_0")
    gguf_tools.export(tmp_path / "evil.gguf", tmp_path / "again")
    assert not marker.exists()
    assert (tmp_path / "evil.gguf").read_bytes() == (tmp_path / "plain.gguf").read_bytes()


def test_a_template_is_not_run(checkpoint: Path, marker: Path, tmp_path: Path) -> None:
    path = checkpoint / "tokenizer_config.json"
    values = json.loads(path.read_text())
    values["chat_template"] = (
        f"{{{{ cycler.__init__.__globals__.os.mkdir({os.fspath(marker)!r}) }}}}"
        "{% for x in range(10 ** 12) %}{% endfor %}"
    )
    path.write_text(json.dumps(values))
    gguf_tools.convert(checkpoint, tmp_path / "a.gguf", type="Q8_0")
    gguf_tools.verify(tmp_path / "a.gguf")
    gguf_tools.export(tmp_path / "a.gguf", tmp_path / "again")
    assert not marker.exists()


@pytest.mark.parametrize(
    "name", ["model.safetensors", "tokenizer.model", "tokenizer.json", "config.json", "vocab.json"]
)
def test_a_pickle_by_another_name_is_not_opened(
    checkpoint: Path, marker: Path, tmp_path: Path, name: str
) -> None:
    if name in {"tokenizer.model", "vocab.json"}:
        (checkpoint / "tokenizer.json").unlink()
    if name == "model.safetensors":
        for file in checkpoint.glob("model*"):
            file.unlink()
    (checkpoint / name).write_bytes(pickle.dumps(Evil(marker)))
    with pytest.raises(GGUFToolsError):
        gguf_tools.convert(checkpoint, tmp_path / "a.gguf")
    assert not marker.exists()


def test_pickles_that_nobody_asked_for_are_not_opened(checkpoint: Path, marker: Path, tmp_path: Path) -> None:
    for name in ("pytorch_model.bin", "tokenizer.pkl", "optimizer.pt", "training_args.bin"):
        (checkpoint / name).write_bytes(pickle.dumps(Evil(marker)))
    gguf_tools.convert(checkpoint, tmp_path / "a.gguf", type="Q8_0")
    assert not marker.exists()


def test_an_index_cannot_name_a_pickle(checkpoint: Path, marker: Path, tmp_path: Path) -> None:
    (checkpoint / "pytorch_model.bin").write_bytes(pickle.dumps(Evil(marker)))
    index = {"weight_map": {"model.norm.weight": "pytorch_model.bin"}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    for allowed in (False, True):
        with pytest.raises(CheckpointError, match="names a file it must not"):
            gguf_tools.convert(checkpoint, tmp_path / "a.gguf", allow_pickle=allowed)
    assert not marker.exists()


def test_the_layout_of_the_hugging_face_cache(checkpoint: Path, tmp_path: Path) -> None:
    """A snapshot whose files are links to ``../../blobs``."""
    gguf_tools.convert(checkpoint, tmp_path / "plain.gguf", type="Q8_0")
    blobs = tmp_path / "models--x" / "blobs"
    snapshot = tmp_path / "models--x" / "snapshots" / checkpoint.name
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, file in enumerate(sorted(checkpoint.iterdir())):
        shutil.move(file, blobs / f"{number:040}")
        (snapshot / file.name).symlink_to(Path("..", "..", "blobs", f"{number:040}"))
    gguf_tools.convert(snapshot, tmp_path / "linked.gguf", type="Q8_0")
    assert (tmp_path / "linked.gguf").read_bytes() == (tmp_path / "plain.gguf").read_bytes()


@pytest.mark.parametrize("mask", [0o077, 0o027, 0o022])
def test_outputs_are_no_more_open_than_the_umask_allows(checkpoint: Path, tmp_path: Path, mask: int) -> None:
    before = set(tmp_path.rglob("*"))
    seen: set[int] = set()

    def look(*_: object) -> None:
        seen.update(stat.S_IMODE(path.stat().st_mode) & mask for path in tmp_path.glob(".*"))

    old = os.umask(mask)
    try:
        gguf_tools.convert(checkpoint, tmp_path / "a.gguf", type="Q8_0", resume=True, progress=look)
        gguf_tools.export(tmp_path / "a.gguf", tmp_path / "again", progress=look)
        gguf_tools.split(tmp_path / "a.gguf", tmp_path / "part", max_tensors=15)
        gguf_tools.extract(tmp_path / "a.gguf", tmp_path / "one", ["output_norm.weight"])
    finally:
        os.umask(old)
    made = set(tmp_path.rglob("*")) - before
    assert len(made) > 8
    assert seen == {0}
    assert [path for path in made if path.stat().st_mode & mask or path.stat().st_mode & 0o7000] == []


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("suffix", ["partial", "journal"])
def test_a_link_planted_where_the_work_goes_is_not_followed(
    checkpoint: Path, tmp_path: Path, suffix: str, resume: bool
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / f".a.gguf.{suffix}").symlink_to(victim)
    try:
        gguf_tools.convert(checkpoint, tmp_path / "a.gguf", type="Q8_0", resume=resume)
    except OutputError:
        assert not (tmp_path / "a.gguf").exists()
    else:
        assert not (tmp_path / "a.gguf").is_symlink()
    assert victim.read_bytes() == b"precious"


def test_a_link_under_the_final_name_is_replaced_not_followed(checkpoint: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "a.gguf").symlink_to(victim)
    with pytest.raises(OutputError, match="exists already"):
        gguf_tools.convert(checkpoint, tmp_path / "a.gguf", type="Q8_0")
    gguf_tools.convert(checkpoint, tmp_path / "a.gguf", type="Q8_0", force=True)
    assert victim.read_bytes() == b"precious"
    assert not (tmp_path / "a.gguf").is_symlink()
