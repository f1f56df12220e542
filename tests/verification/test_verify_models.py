"""What `verify` says of whole models: held against tables, templates parsed, checksums compared.

An error must mean that llama.cpp refuses the file, and a sound file must load: both are tried.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.container import GGUFFile, open_gguf
from gguf_tools.editing.changes import Changes
from gguf_tools.editing.edit import edit
from gguf_tools.editing.splitting import merge, split
from gguf_tools.errors import FormatError, UnsupportedError
from gguf_tools.verification.findings import Finding
from gguf_tools.verification.hashing import Hashing, compare_hashes, hash_model, load_manifest
from gguf_tools.verification.templates import template_fault
from gguf_tools.verification.verify import verify
from tests import builders as b
from tests import tiny
from tests.references import oracles
from tests.references.llama import Llama, LlamaError

DEMO = Path(__file__).resolve().parents[2] / "fixtures" / "demo"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("verify") / "demo.gguf"
    gguf_tools.convert(DEMO, path, type="Q4_K_M")
    return path


def loads(path: Path) -> bool:
    try:
        with Llama(path) as llama:
            llama.logits([1, 2])
    except LlamaError:
        return False
    return True


def errors(found: list[Finding]) -> set[str]:
    return {finding.code for finding in found if finding.severity == "error"}


class TestSound:
    @pytest.mark.parametrize("name", tiny.NAMES)
    def test_all_conversions(self, name: str, tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
        gguf_tools.convert(tiny_checkpoints[name], tmp_path / "a.gguf", type="F16")
        assert verify(tmp_path / "a.gguf") == []

    @pytest.mark.parametrize("path", [oracles.smollm2, oracles.gemma3], ids=["SmolLM2", "Gemma 3"])
    def test_real_models(self, path: Any) -> None:
        assert verify(path()) == []

    def test_llama_cpp_vocabularies(self) -> None:
        """Files without any tensor, of old and new versions of its converter."""
        paths = sorted((oracles.llama_cpp() / "models").glob("ggml-vocab-*.gguf"))
        assert len(paths) > 10
        assert [finding for path in paths for finding in verify(path)] == []


CHANGES: dict[str, tuple[Changes, str]] = {
    "no context": (Changes(delete=["llama.context_length"]), "missing-key"),
    "no heads": (Changes(delete=["llama.attention.head_count"]), "missing-key"),
    "no epsilon": (Changes(delete=["llama.attention.layer_norm_rms_epsilon"]), "missing-key"),
    "no width": (Changes(delete=["llama.embedding_length"]), "missing-key"),
    "no layers": (Changes(delete=["llama.block_count"]), "missing-key"),
    "signed context": (
        Changes(delete=["llama.context_length"], set={"llama.context_length": 512}, type="int32"),
        "key-type",
    ),
    "wide heads": (
        Changes(delete=["llama.attention.key_length"], set={"llama.attention.key_length": 64}, type="uint64"),
        "key-type",
    ),
    "text for a number": (
        Changes(delete=["llama.context_length"], set={"llama.context_length": "512"}, type="string"),
        "key-value",
    ),
    "half the inner size": (Changes(set={"llama.feed_forward_length": 256}), "shape"),
    "twice the heads": (Changes(set={"llama.attention.head_count": 8}), "shape"),
    "half the width": (Changes(set={"llama.embedding_length": 128}), "shape"),
    "a layer less": (Changes(set={"llama.block_count": 1}), "unknown-tensor"),
    "a layer more": (Changes(set={"llama.block_count": 3}), "missing-tensor"),
    "no merges": (Changes(delete=["tokenizer.ggml.merges"]), "vocabulary"),
    "no tokenizer": (Changes(delete=["tokenizer.ggml.model"]), "vocabulary"),
    "no RoPE base": (Changes(delete=["llama.rope.freq_base"]), ""),
    "no vocabulary size": (Changes(delete=["llama.vocab_size"]), ""),
    "another family without biases": (Changes(architecture="qwen2"), ""),
}


@pytest.mark.parametrize("name", CHANGES)
def test_llama_cpp_agrees(model: Path, tmp_path: Path, name: str) -> None:
    changes, code = CHANGES[name]
    path = tmp_path / "changed.gguf"
    edit(model, changes, output=path)
    found = errors(verify(path))
    assert (code in found) if code else (found == set())
    assert loads(path) is not bool(code)


def test_llama_cpp_agrees_on_tensors(model: Path, tmp_path: Path) -> None:
    with open_gguf(model) as file:
        tensors: list[tuple[Any, ...]] = [(tensor.name, tensor) for tensor in file.tensors.values()]
        for name, some, code in (
            ("all", tensors, ""),
            ("one less", tensors[:-1], "missing-tensor"),
            ("one more", [*tensors, ("extra.weight", np.ones(4, np.float32))], "unknown-tensor"),
        ):
            path = tmp_path / f"{name}.gguf"
            gguf_tools.write(path, file.metadata, some)
            assert errors(verify(path)) == ({code} if code else set())
            assert loads(path) is not bool(code)


def test_places_and_remedies(model: Path, tmp_path: Path) -> None:
    edit(model, Changes(delete=["llama.context_length"]), output=tmp_path / "a.gguf")
    (finding,) = verify(tmp_path / "a.gguf")
    assert finding.place == "key 'llama.context_length'"
    assert finding.message == "the key is missing"
    assert "gguf-tools edit" in (finding.remedy or "")


def test_many_of_a_kind_are_counted(tiny_checkpoints: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "a.gguf"
    gguf_tools.convert(tiny_checkpoints["llama"], path, type="F16")
    edit(path, Changes(set={"llama.block_count": 9}))
    found = [finding for finding in verify(path) if finding.code == "missing-tensor"]
    assert len(found) == 21
    assert found[-1].message.endswith("more of this kind")


def test_a_mixed_set_of_shards(model: Path, tmp_path: Path) -> None:
    """Of a model twice as wide, but with as many tensors and files: merging could not tell all of it."""
    parts = [output.path for output in split(model, tmp_path / "m", max_tensors=7)]
    with open_gguf(parts[1], whole=False) as shard:
        wider = [
            (tensor.name, np.ones((*tensor.shape[:-1], 2 * tensor.shape[-1]), np.float32))
            for tensor in shard.tensors.values()
        ]
        metadata = shard.metadata.copy()
    gguf_tools.write(parts[1], metadata, wider, force=True)
    assert "shape" in errors(verify(parts[0]))


def test_no_model_has_no_table(tmp_path: Path) -> None:
    pairs = [("general.type", b.STRING, "adapter"), b.ARCHITECTURE]
    (tmp_path / "lora.gguf").write_bytes(b.build(pairs, [b.Tensor("x.lora_a", (2,), 0, b.floats(1, 2))]))
    assert verify(tmp_path / "lora.gguf") == []


class TestTemplates:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{% for m in messages %}{% if m %}{{ m.content }}{% else %}{% break %}{% endif %}{% endfor %}",
            "{% generation %}{{ x }}{% endgeneration %}",
            "{{ raise_exception('no') }}{{ 7 * 7 }}",
            "{%- set ns = namespace(a=1) -%}{{ strftime_now('%d') }}",
        ],
    )
    def test_that_parse(self, text: str) -> None:
        assert template_fault(text) is None

    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("a\n{% if %}", "line 2: Expected an expression, got 'end of statement block'"),
            ("{% for m in messages %}", "line 1: Unexpected end of template."),
            ("{{ x", "line 1: unexpected end of template"),
            ("{% nonsense %}", "line 1: Encountered unknown tag 'nonsense'"),
            ("x" * ((1 << 20) + 1), "is too large to check: 1,048,577 characters"),
            ("{{ " + "(" * 10_000 + "1" + ")" * 10_000 + " }}", "nested too deeply"),
        ],
        ids=["if", "for", "open", "tag", "long", "deep"],
    )
    def test_that_do_not(self, text: str, fault: str) -> None:
        assert fault in (template_fault(text) or "")

    def test_nothing_is_rendered(self) -> None:
        """A loop that would take years, and an attack: nothing runs."""
        loop = "{% for i in range(10**12) %}{{ i ** i }}{% endfor %}"
        assert template_fault(loop + "{{ ''.__class__.__mro__[1].__subclasses__() }}") is None

    def test_in_a_file(self, model: Path, tmp_path: Path) -> None:
        changes = Changes(
            set={"tokenizer.chat_template": "{% if %}", "tokenizer.chat_template.tool_use": "{{ ok }}"},
            type="string",
        )
        edit(model, changes, output=tmp_path / "a.gguf")
        (finding,) = verify(tmp_path / "a.gguf")
        assert (finding.code, finding.place) == ("chat-template", "key 'tokenizer.chat_template'")
        assert "--set-template" in (finding.remedy or "")

    def test_real_templates_parse(self) -> None:
        paths = sorted((oracles.llama_cpp() / "models" / "templates").glob("*.jinja"))
        assert len(paths) > 20
        faults = {path.name: template_fault(path.read_text(encoding="utf-8")) for path in paths}
        assert {name: fault for name, fault in faults.items() if fault} == {}


class TestHashes:
    def test_against_hashlib(self, model: Path) -> None:
        hashes = hash_model(model)
        assert hashes.files == {"demo.gguf": hashlib.sha256(model.read_bytes()).hexdigest()}
        with open_gguf(model) as file:
            assert hashes.tensors == {
                name: hashlib.sha256(tensor.stored(0, tensor.nbytes or 0)).hexdigest()
                for name, tensor in file.tensors.items()
            }

    def test_chunks_do_not_matter(self, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = hash_model(model)
        monkeypatch.setattr("gguf_tools.inspection.scan._CHUNK", 4099)
        assert hash_model(model) == whole

    def test_overlaps_and_what_lies_between(self, tmp_path: Path) -> None:
        """A file's checksum is of every byte once, in order, wherever its tensors claim to lie."""
        tensors = [
            b.Tensor("a", (8,), 0, b.floats(*range(8)), offset=64),
            b.Tensor("b", (8,), 0, b.floats(*range(8)), offset=80),
            b.Tensor("c", (2,), 0, b.floats(1, 2), offset=84),
            b.Tensor("lost", (999,), 0, b"", offset=64),
            b.Tensor("none", (0,), 0, b"", offset=64),
            b.Tensor("unknown", (32,), 99, b.floats(*range(40)), offset=32),
        ]
        data = b.build([b.ARCHITECTURE], tensors)
        (tmp_path / "odd.gguf").write_bytes(data)
        hashes = hash_model(tmp_path / "odd.gguf")
        assert hashes.files == {"odd.gguf": hashlib.sha256(data).hexdigest()}
        with open_gguf(tmp_path / "odd.gguf", check=False) as file:
            start = file.data_offset
        assert hashes.tensors == {
            name: hashlib.sha256(data[start + first : start + last]).hexdigest()
            for name, first, last in (("a", 64, 96), ("b", 80, 112), ("c", 84, 92), ("none", 64, 64))
        }

    def test_while_verifying_everything_is_read_once(
        self, model: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        separate = hash_model(model)
        real, ranges = GGUFFile.read, []

        def read(file: GGUFFile, start: int, stop: int) -> Any:
            ranges.append((start, stop))
            return real(file, start, stop)

        monkeypatch.setattr(GGUFFile, "read", read)
        hashing = Hashing("sha256")
        assert verify(model, hashing=hashing) == []
        assert hashing.result() == separate
        assert [start for start, _ in ranges] == [0, *(stop for _, stop in ranges[:-1])]
        assert ranges[-1][1] == model.stat().st_size

    def test_a_piece_that_cannot_be_read(self, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is a finding; what was read before and after is checked, and there are no checksums."""
        with open_gguf(model) as file:
            tensor = file.tensors["blk.0.ffn_up.weight"]
        real = GGUFFile.read

        def read(file: GGUFFile, start: int, stop: int) -> Any:
            if start <= tensor.offset < stop:
                raise FormatError("cannot read: Input/output error", path=file.path, offset=start)
            return real(file, start, stop)

        monkeypatch.setattr(GGUFFile, "read", read)
        hashing = Hashing("sha256")
        (finding,) = verify(model, hashing=hashing)
        assert (finding.code, finding.severity) == ("format", "error")
        assert "Input/output error" in finding.message
        with pytest.raises(FormatError, match="Input/output error"):
            hashing.result()

    def test_blake3(self, model: Path) -> None:
        import blake3

        hashes = hash_model(model, "blake3")
        assert hashes.files["demo.gguf"] == blake3.blake3(model.read_bytes()).hexdigest()

    def test_blake3_that_is_not_installed(self, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "blake3", None)
        with pytest.raises(UnsupportedError, match="pip install blake3"):
            hash_model(model, "blake3")
        with pytest.raises(UnsupportedError, match=r"unknown algorithm \(found md5, expected sha256"):
            hash_model(model, "md5")

    def test_splitting_and_editing_keep_tensors(self, model: Path, tmp_path: Path) -> None:
        before = hash_model(model)
        parts = split(model, tmp_path / "m", max_tensors=7)
        shards = hash_model(parts[1].path)
        assert shards.tensors == before.tensors
        assert sorted(shards.files) == [part.path.name for part in parts]
        merge(parts[0].path, tmp_path / "demo.gguf")
        assert hash_model(tmp_path / "demo.gguf") == before
        edit(tmp_path / "demo.gguf", Changes(set={"general.name": "x" * 999}))
        after = hash_model(tmp_path / "demo.gguf")
        assert after.tensors == before.tensors
        assert after.files != before.files

    def test_manifests(self, model: Path, tmp_path: Path) -> None:
        hashes = hash_model(model)
        manifest = tmp_path / "manifest.json"
        for document in (hashes.to_dict(), {"path": "x", "hashes": hashes.to_dict()}):
            manifest.write_text(json.dumps(document))
            assert load_manifest(manifest) == hashes
        sums = tmp_path / "SHA256SUMS"
        sums.write_text(f"{hashes.files['demo.gguf'].upper()} *some/dir/demo.gguf\n\n")
        assert load_manifest(sums).files == hashes.files
        assert list(compare_hashes(hashes, load_manifest(sums))) == []

    def test_a_changed_bit(self, model: Path, tmp_path: Path) -> None:
        data = bytearray(model.read_bytes())
        with open_gguf(model) as file:
            data[file.tensors["blk.1.ffn_up.weight"].offset + 99] ^= 4
        (tmp_path / "demo.gguf").write_bytes(data)
        found = list(compare_hashes(hash_model(tmp_path / "demo.gguf"), hash_model(model)))
        assert [(finding.code, finding.severity, finding.place) for finding in found] == [
            ("hash-mismatch", "error", "demo.gguf"),
            ("hash-mismatch", "error", "tensor 'blk.1.ffn_up.weight'"),
        ]

    def test_other_names(self, model: Path, tmp_path: Path) -> None:
        hashes = hash_model(model)
        (tmp_path / "copy.gguf").write_bytes(model.read_bytes())
        found = list(compare_hashes(hash_model(tmp_path / "copy.gguf"), hashes))
        assert [(finding.code, finding.severity) for finding in found] == [("not-in-manifest", "warning")]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "the manifest is empty"),
            ("hello", "line 1 of the manifest is not a checksum"),
            ("{}", "it has no checksums"),
            ('{"algorithm": "md5", "files": {}, "tensors": {}}', "its checksums are unusable"),
            ('{"algorithm": "sha256", "files": {"a": 1}, "tensors": {}}', "its checksums are unusable"),
            ('{"algorithm": "sha256", "files": [], "tensors": {}}', "it has no checksums"),
            ('{"hashes": 7}', "it has no checksums"),
            ("{" * 10_000, "is not valid JSON"),
            ('{"x": ' + "[" * 100_000, "nested too deeply"),
            ('{"x": ' + "7" * 5000 + "}", "too long a number"),
        ],
    )
    def test_unusable_manifests(self, tmp_path: Path, text: str, message: str) -> None:
        (tmp_path / "m").write_text(text)
        with pytest.raises(FormatError, match=message):
            load_manifest(tmp_path / "m")

    def test_manifests_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(FormatError, match="cannot open the file"):
            load_manifest(tmp_path / "none")
        (tmp_path / "m").write_bytes(b"\xff\xfe")
        with pytest.raises(FormatError, match="is not UTF-8 text"):
            load_manifest(tmp_path / "m")


def test_hostile_models_never_raise(model: Path, tmp_path: Path) -> None:
    """Flipped bytes in the header of a whole model: findings, whatever they are."""
    whole = model.read_bytes()
    with open_gguf(model) as file:
        end = file.header.end
    choose = random.Random(6)
    path = tmp_path / "hostile.gguf"
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(choose.randint(1, 4)):
            data[choose.randrange(24, end)] = choose.choice([0, 1, 0x7F, 0xFF, choose.randrange(256)])
        path.write_bytes(data)
        assert all(finding.severity in ("error", "warning") for finding in verify(path))
