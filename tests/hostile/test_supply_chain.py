"""What comes with a model is data: none of it is run, unpickled or rendered, and none leads elsewhere."""

from __future__ import annotations

import ast
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

import gguf_tools
from gguf_tools.errors import CheckpointError, FormatError, GGUFToolsError, OutputError
from gguf_tools.verification.templates import template_fault
from tests import builders as b
from tests import tiny
from tests.adapters import CASES as ADAPTERS
from tests.adapters import adapt

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = Path(gguf_tools.__file__).parent

LOOP = "{% for i in range(10 ** 12) %}{% for j in range(10 ** 12) %}x{% endfor %}{% endfor %}"
FOLDED = "{{ 'x' * 10 ** 11 }}{{ 9 ** 9 ** 9 }}{{ ('%' ~ 10 ** 11 ~ 'd') % 1 }}"
BREAKOUT = (
    "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ cycler.__init__.__globals__.os.system('touch mark') }}"
    "{{ lipsum.__globals__['os'].popen('touch mark').read() }}"
)
FILES = "{% include '/etc/passwd' %}{% import '../secret' as s %}{% extends '/etc/passwd' %}"
TEMPLATES = {"endless": LOOP, "folded constants": FOLDED, "out of the sandbox": BREAKOUT, "files": FILES}


class Marking:
    """Unpickling it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.fspath(self._mark),)


def marking_code(mark: Path) -> str:
    return f"import os\nos.makedirs({os.fspath(mark)!r}, exist_ok=True)\n"


def changed(path: Path, changes: dict[str, Any]) -> None:
    known = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(known | changes), encoding="utf-8")


def trapped(folder: Path, mark: Path) -> Path:
    """A sound Llama among code, pickles and templates that would leave a mark if anything touched them."""
    checkpoint = tiny.build("llama", folder)
    automatic = {
        "AutoConfig": "configuration_evil.EvilConfig",
        "AutoModelForCausalLM": "modeling_evil.EvilModel",
        "AutoTokenizer": ["tokenization_evil.EvilTokenizer", None],
    }
    remote = {"auto_map": automatic, "trust_remote_code": True, "custom_pipelines": {"x": {"impl": "evil.X"}}}
    changed(checkpoint / "config.json", remote)
    changed(
        checkpoint / "tokenizer_config.json",
        remote | {"tokenizer_class": "EvilTokenizer", "chat_template": LOOP + FOLDED + BREAKOUT},
    )
    for name in ("configuration_evil", "modeling_evil", "tokenization_evil", "evil", "__init__", "conftest"):
        (checkpoint / f"{name}.py").write_text(marking_code(mark))
    # shadows of what the program imports, for whoever works in the checkpoint's directory
    for name in ("numpy", "numba", "jinja2", "torch", "transformers", "sitecustomize", "gguf", "safetensors"):
        (checkpoint / f"{name}.py").write_text(marking_code(mark))
    bomb = pickle.dumps(Marking(mark))
    for name in ("training_args.bin", "pytorch_model.bin", "tokenizer.pkl", "optimizer.pt", "rng_state.pth"):
        (checkpoint / name).write_bytes(bomb)
    with zipfile.ZipFile(checkpoint / "scheduler.pt", "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
    return checkpoint


def commands(checkpoint: str, adapter: str, out: str) -> list[list[str]]:
    """Every command that reads a checkpoint, and every one that reads what they make of it."""
    made, other, copy = f"{out}/a.gguf", f"{out}/b.gguf", f"{out}/exported"
    return [
        ["convert", checkpoint, made, "--type", "Q8_0"],
        ["convert", checkpoint, other, "--type", "F16", "--merge-lora", adapter],
        ["convert-lora", adapter, f"{out}/lora.gguf", "--base", checkpoint],
        ["inspect", made, "--metadata", "--tensors"],
        ["verify", made, "--hash", "sha256"],
        ["export", made, copy],
        ["convert", copy, f"{out}/again.gguf", "--type", "F16"],
        ["quantize", other, f"{out}/c.gguf", "--type", "Q4_0"],
        ["extract", made, f"{out}/x.safetensors"],
        ["split", made, f"{out}/s", "--max-tensors", "9"],
        ["edit", made, "--set", "general.name=x"],
        ["diff", made, made],
    ]


class TestNothingIsRun:
    @pytest.fixture
    def mark(self, tmp_path: Path) -> Path:
        return tmp_path / "mark"

    def test_by_any_command(self, tmp_path: Path, mark: Path) -> None:
        checkpoint = trapped(tmp_path, mark)
        adapter = ADAPTERS["llama"].build(checkpoint, tmp_path / "adapter")
        (adapter / "modeling_evil.py").write_text(marking_code(mark))
        (adapter / "training_args.bin").write_bytes(pickle.dumps(Marking(mark)))
        (tmp_path / "out").mkdir()
        given = commands(os.fspath(checkpoint), os.fspath(adapter), os.fspath(tmp_path / "out"))
        done = subprocess.run(
            [sys.executable, "-m", "tests.hostile.audited", os.fspath(tmp_path), json.dumps(given)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        assert report == {"codes": [0] * len(given), "found": [], "foreign": []}, done.stderr
        assert not mark.exists()

    def test_by_a_program_started_in_the_checkpoint(self, tmp_path: Path, mark: Path) -> None:
        """The command as pip installs it does not import modules from the working directory."""
        checkpoint = trapped(tmp_path, mark)
        program = tmp_path / "bin" / "gguf-tools"
        program.parent.mkdir()
        program.write_text("import sys\nfrom gguf_tools.cli import main\nsys.exit(main())\n")
        for command in (["convert", ".", "../a.gguf", "--type", "Q8_0"], ["verify", "../a.gguf"]):
            done = subprocess.run(
                [sys.executable, program, *command],
                cwd=checkpoint,
                env=os.environ | {"PYTHONPATH": os.fspath(ROOT)},
                capture_output=True,
                text=True,
                timeout=300,
            )
            assert done.returncode == 0, done.stderr
        assert not mark.exists()

    def test_the_watch_notices(self, tmp_path: Path, mark: Path) -> None:
        """An audit that finds nothing must be able to find something."""
        (tmp_path / "evil.py").write_text(marking_code(mark))
        (tmp_path / "a.pkl").write_bytes(pickle.dumps(Marking(mark)))
        code = (
            "import pathlib, pickle, socket, sys\nfrom tests.hostile import audited\n"
            f"folder = pathlib.Path({os.fspath(tmp_path)!r})\naudited.watch(folder)\n"
            "sys.path.insert(0, str(folder))\nimport evil\n"
            "try: pickle.loads((folder / 'a.pkl').read_bytes())\nexcept OSError: pass\n"
            "socket.getaddrinfo('localhost', 1)\nprint(audited._found)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        )
        for word in ("opened evil.py", "opened a.pkl", "executed", "unpickled", "socket."):
            assert word in done.stdout

    def test_a_pickle_under_another_name(self, tmp_path: Path, mark: Path) -> None:
        checkpoint = tiny.build("llama", tmp_path)
        bomb = pickle.dumps(Marking(mark))
        for name in (
            "model-00001-of-00002.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
            "config.json",
        ):
            kept = (checkpoint / name).read_bytes()
            (checkpoint / name).write_bytes(bomb)
            with pytest.raises(GGUFToolsError):
                gguf_tools.convert(checkpoint, tmp_path / "a.gguf", type="F16")
            (checkpoint / name).write_bytes(kept)
        (tmp_path / "a.gguf").write_bytes(bomb)
        with pytest.raises(FormatError):
            gguf_tools.open(tmp_path / "a.gguf")
        with pytest.raises(GGUFToolsError):
            gguf_tools.requantize(
                tmp_path / "a.gguf", tmp_path / "b.gguf", type="Q8_0", imatrix=tmp_path / "a.gguf"
            )
        assert not mark.exists()

    def test_pickles_alone_are_not_opened(self, tmp_path: Path, mark: Path) -> None:
        checkpoint = trapped(tmp_path, mark)
        for file in [*checkpoint.glob("*.safetensors"), *checkpoint.glob("*.index.json")]:
            file.unlink()
        with pytest.raises(CheckpointError, match="--allow-pickle"):
            gguf_tools.convert(checkpoint, tmp_path / "a.gguf")
        adapter = adapt(tiny.build("llama", tmp_path / "base"), tmp_path / "adapter", r".*q_proj\.weight")
        (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
        with pytest.raises(CheckpointError, match="is a pickle"):
            gguf_tools.convert_lora(adapter, tmp_path / "a.gguf", base=tmp_path / "base" / "tiny-llama")
        assert not mark.exists()

    def test_by_the_package_at_all(self) -> None:
        """No module of it imports what runs code or programs, or calls what does."""
        modules = {
            "pickle",
            "marshal",
            "shelve",
            "dill",
            "joblib",
            "runpy",
            "code",
            "subprocess",
            "pty",
            "socket",
        }
        calls = {"eval", "exec", "compile", "__import__", "system", "popen", "from_string", "render"}
        found = []
        for path in PACKAGE.rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found += [(path.name, a.name) for a in node.names if a.name.partition(".")[0] in modules]
                elif isinstance(node, ast.ImportFrom) and not node.level:
                    found += [(path.name, node.module)] * ((node.module or "").partition(".")[0] in modules)
                elif isinstance(node, ast.Call):
                    name = node.func.id if isinstance(node.func, ast.Name) else ""
                    name = node.func.attr if isinstance(node.func, ast.Attribute) else name
                    harmless = ast.unparse(node.func) in {"re.compile", "super().render"}  # rich's, of texts
                    found += [(path.name, name)] * (name in calls and not harmless)
                elif isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                    fine = not isinstance(node.value, ast.Constant) or node.value.value is False
                    found += [(path.name, "allow_pickle")] * (not fine)
        allowed = {
            ("jit.py", "pickle"),  # compiled kernels, of files that only the user or root can have written
            ("http_connections.py", "socket"),  # where answers are bounded
        }
        assert set(found) == allowed


class TestTemplates:
    @pytest.mark.parametrize("text", TEMPLATES.values(), ids=TEMPLATES)
    def test_are_parsed_and_nothing_more(
        self, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        start = time.perf_counter()
        template_fault(text)
        assert time.perf_counter() - start < 5
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("text", TEMPLATES.values(), ids=TEMPLATES)
    def test_arrive_as_they_are(self, text: str, tmp_path: Path) -> None:
        checkpoint = tiny.build("llama", tmp_path)
        changed(checkpoint / "tokenizer_config.json", {"chat_template": text})
        gguf_tools.convert(checkpoint, tmp_path / "a.gguf", type="F16")
        with gguf_tools.open(tmp_path / "a.gguf") as file:
            assert file.metadata["tokenizer.chat_template"] == text
        gguf_tools.verify(tmp_path / "a.gguf")
        gguf_tools.export(tmp_path / "a.gguf", tmp_path / "out")


class TestPaths:
    """What files say stays inside the directory; what the user's own directory links to is followed."""

    @pytest.mark.parametrize(
        "name", ["../secret", "/etc", "a/../../secret", "..", "..\\secret", "a\0b", "out/link/x"]
    )
    def test_a_path_in_modules_json(self, name: str, tmp_path: Path) -> None:
        (tmp_path / "secret").mkdir()
        (tmp_path / "secret" / "config.json").write_text('{"pooling_mode_cls_token": true}')
        checkpoint = tiny.build("bert", tmp_path)
        (checkpoint / "out").mkdir()
        (checkpoint / "out" / "link").symlink_to(tmp_path)
        modules = [{"type": "sentence_transformers.models.Pooling", "path": name}]
        (checkpoint / "modules.json").write_text(json.dumps(modules))
        with pytest.raises(CheckpointError, match=r"is unusable|leaves the checkpoint"):
            gguf_tools.convert(checkpoint, tmp_path / "a.gguf")

    def test_the_base_model_an_adapter_names(self, tmp_path: Path) -> None:
        base = tiny.build("llama", tmp_path)
        adapter = adapt(
            base, tmp_path / "adapter", r".*q_proj\.weight", base_model_name_or_path=os.fspath(base)
        )
        with pytest.raises(CheckpointError, match="say where it is"):
            gguf_tools.convert_lora(adapter, tmp_path / "a.gguf")

    def test_the_cache_of_hugging_face(self, tmp_path: Path) -> None:
        """``snapshots/REVISION/FILE`` is a link to ``../../blobs/HASH``, for every file."""
        plain = tiny.build("llama", tmp_path / "plain")
        snapshot = tmp_path / "hub" / "models--x--y" / "snapshots" / "0123"
        blobs = tmp_path / "hub" / "models--x--y" / "blobs"
        snapshot.mkdir(parents=True)
        blobs.mkdir()
        for number, file in enumerate(plain.iterdir()):
            shutil.copyfile(file, blobs / str(number))
            (snapshot / file.name).symlink_to(f"../../blobs/{number}")
        linked = tmp_path / "linked" / plain.name
        linked.parent.mkdir()
        linked.symlink_to(snapshot)
        for source, name in ((plain, "a.gguf"), (linked, "b.gguf")):
            gguf_tools.convert(source, tmp_path / name, type="F16")
        assert (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()

    @pytest.mark.parametrize(
        "name", ["../secret", "/etc/x", "..", ".", "a/b", "~", "x\0y", "-rf", "a\nb", ""]
    )
    def test_a_tensors_name_as_a_files_name(self, name: str, tmp_path: Path) -> None:
        folder = tmp_path / "inside"
        folder.mkdir()
        data = b.build([b.ARCHITECTURE], [b.Tensor(name, (1,), 0, b.floats(1))])
        (folder / "a.gguf").write_bytes(data)
        with pytest.raises(OutputError, match="is no file name"):
            gguf_tools.extract(folder / "a.gguf", folder / "out")
        assert [path.name for path in tmp_path.rglob("*")] == ["inside", "a.gguf"]

    def test_a_tensors_name_in_an_export(self, tmp_path: Path) -> None:
        """Names of an export come from the architecture's table: a foreign one is an error, and no path."""
        gguf_tools.convert(tiny.build("llama", tmp_path), tmp_path / "a.gguf", type="F16")
        data = (tmp_path / "a.gguf").read_bytes()
        assert data.count(b"blk.0.attn_q.weight") == 1
        (tmp_path / "b.gguf").write_bytes(data.replace(b"blk.0.attn_q.weight", b"../../../../../../q"))
        with pytest.raises(GGUFToolsError):
            gguf_tools.export(tmp_path / "b.gguf", tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_names_of_a_split_model_come_from_the_user(self, tmp_path: Path) -> None:
        data = b.build(
            [b.ARCHITECTURE, ("general.name", b.STRING, "../../evil")], [b.Tensor("x", (1,), 0, b.floats(1))]
        )
        folder = tmp_path / "inside"
        folder.mkdir()
        (folder / "a.gguf").write_bytes(data)
        gguf_tools.split(folder / "a.gguf", max_tensors=1)
        assert sorted(path.name for path in folder.iterdir()) == ["a-00001-of-00001.gguf", "a.gguf"]
        assert list(tmp_path.iterdir()) == [folder]
