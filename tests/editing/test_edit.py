"""Editing metadata: what it says, where it writes, and what others see meanwhile."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.container import Array, Metadata, open_gguf
from gguf_tools.container.journal import journal_path
from gguf_tools.editing import in_place
from gguf_tools.editing.changes import Changes
from gguf_tools.editing.edit import edit, plan_edit, recover
from gguf_tools.editing.splitting import merge, split
from gguf_tools.errors import FormatError, GGUFToolsError, OutputError, UnsupportedError
from gguf_tools.spec import ValueType
from tests import builders as b
from tests.references.llama import Llama

DEMO = Path(__file__).resolve().parents[2] / "fixtures" / "demo"
LONG = "x" * 3000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("edit") / "demo.gguf"
    gguf_tools.convert(DEMO, path, type="Q4_K_M")
    return path.read_bytes()


@pytest.fixture
def path(model: bytes, tmp_path: Path) -> Path:
    """The demo model, to be edited."""
    path = tmp_path / "demo.gguf"
    path.write_bytes(model)
    return path


def data_of(path: Path) -> str:
    """A checksum of all tensors, with names, shapes and types."""
    digest = hashlib.sha256()
    with open_gguf(path) as file:
        for name, tensor in file.tensors.items():
            digest.update(f"{name} {tensor.shape} {tensor.type_name}".encode())
            digest.update(tensor.stored(0, tensor.nbytes or 0).tobytes())
    return digest.hexdigest()


def metadata_of(path: Path) -> dict[str, tuple[ValueType, Any]]:
    with open_gguf(path) as file:
        return {
            key: (kind, list(value) if isinstance(value, Array) else value)
            for key, kind, value in file.metadata.entries()
        }


def room_of(path: Path) -> int:
    """Bytes between header and data."""
    with open_gguf(path) as file:
        return file.data_offset - file.header.end


def set_(**values: Any) -> Changes:
    """A change of ``general.*`` keys."""
    return Changes(set={f"general.{key}": value for key, value in values.items()})


class TestChanges:
    def test_a_value_keeps_its_type(self, path: Path) -> None:
        before, data = metadata_of(path), data_of(path)
        done = edit(
            path,
            Changes(
                set={
                    "llama.context_length": "0x400",
                    "llama.rope.freq_base": "5e5",
                    "general.name": "42",
                    "tokenizer.ggml.token_type": Array(ValueType.INT32, [1] * 525),
                }
            ),
        )
        after = metadata_of(path)
        assert after == before | {
            "llama.context_length": (ValueType.UINT32, 1024),
            "llama.rope.freq_base": (ValueType.FLOAT32, 500000.0),
            "general.name": (ValueType.STRING, "42"),
            "tokenizer.ggml.token_type": (ValueType.ARRAY, [1] * 525),
        }
        assert list(after) == list(before)
        assert data_of(path) == data
        assert {(d.key, d.before_type, d.after_type) for d in done.differences} == {
            ("llama.context_length", "uint32", "uint32"),
            ("llama.rope.freq_base", "float32", "float32"),
            ("general.name", "string", "string"),
            ("tokenizer.ggml.token_type", "int32[]", "int32[]"),
        }

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("llama.context_length", "many", r"does not fit UINT32 \(found many, expected an integer\)"),
            ("llama.context_length", "1.5", r"does not fit UINT32 \(found 1\.5, expected an integer\)"),
            ("llama.context_length", "-1", r"does not fit UINT32 \(found -1, expected an int from 0 to"),
            ("llama.context_length", "4294967296", r"does not fit UINT32"),
            ("llama.rope.freq_base", "high", r"does not fit FLOAT32 \(found high, expected a number\)"),
            ("llama.rope.freq_base", "1e39", r"overflows FLOAT32"),
            ("tokenizer.ggml.add_bos_token", "1", r"does not fit BOOL \(found 1, expected true or false\)"),
            ("tokenizer.ggml.token_type", "1, 2", r"an array is given as JSON"),
            ("tokenizer.ggml.token_type", '{"a": 1}', r"an array is given as JSON"),
            ("tokenizer.ggml.token_type", '["a"]', r"does not fit INT32"),
            ("tokenizer.ggml.tokens", "[1]", r"does not fit its type \(found 1, expected str\)"),
        ],
    )
    def test_values_that_do_not_fit(
        self, path: Path, model: bytes, key: str, value: str, message: str
    ) -> None:
        with pytest.raises(FormatError, match=message) as caught:
            edit(path, Changes(set={key: value, "tokenizer.ggml.add_bos_token": "true"} | {key: value}))
        assert caught.value.key == key
        assert caught.value.path == str(path)
        assert path.read_bytes() == model

    @pytest.mark.parametrize(
        ("kind", "text", "value"),
        [
            ("uint8", "255", 255),
            ("int64", "-9_000_000_000", -9_000_000_000),
            ("float64", "0.1", 0.1),
            ("BOOL", "True", True),
            ("string", " a b ", " a b "),
            ("uint16[]", "[1, 2]", [1, 2]),
            ("string[]", '["é", ""]', ["é", ""]),
            ("bool[]", "[true, false]", [True, False]),
        ],
    )
    def test_new_keys(self, path: Path, kind: str, text: str, value: Any) -> None:
        edit(path, Changes(set={"my.key": text}, type=kind))
        with open_gguf(path) as file:
            found = file.metadata["my.key"]
            assert (list(found) if isinstance(found, Array) else found) == value
            assert list(file.metadata)[-1] == "my.key"

    def test_a_new_key_needs_a_type(self, path: Path) -> None:
        with pytest.raises(GGUFToolsError, match=r"key 'my\.key': the key is new: say its type"):
            edit(path, Changes(set={"my.key": "1"}))
        with pytest.raises(GGUFToolsError, match=r"unknown type \(found int, expected uint8, "):
            edit(path, Changes(set={"my.key": "1"}, type="int"))

    def test_another_type_only_by_deleting(self, path: Path) -> None:
        change = Changes(set={"llama.context_length": "x"}, type="string")
        with pytest.raises(FormatError, match=r"exists with another type.*\(found uint32, expected string\)"):
            edit(path, change)
        edit(path, Changes(delete=["llama.context_length"], set={"llama.context_length": "x"}, type="string"))
        assert metadata_of(path)["llama.context_length"] == (ValueType.STRING, "x")

    def test_delete_and_rename(self, path: Path) -> None:
        before = metadata_of(path)
        edit(path, Changes(delete=["general.type"], rename={"general.name": "general.nom"}))
        after = metadata_of(path)
        names = [key for key in before if key != "general.type"]
        assert list(after) == ["general.nom" if key == "general.name" else key for key in names]
        assert after["general.nom"] == before["general.name"]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            (
                Changes(delete=["general.nam"]),
                r"key 'general\.nam': .*no such key; did you mean general\.name",
            ),
            (Changes(rename={"nothing.like.it": "x"}), r"key 'nothing\.like\.it': there is no such key$"),
            (Changes(rename={"general.name": "general.type"}), r"'general\.type': two keys would have this"),
            (Changes(rename={"general.name": ""}), r"a key is of a length that is not allowed"),
        ],
    )
    def test_impossible_changes(self, path: Path, model: bytes, changes: Changes, message: str) -> None:
        with pytest.raises(FormatError, match=message):
            edit(path, changes)
        assert path.read_bytes() == model

    def test_rename_architecture(self, path: Path) -> None:
        before = metadata_of(path)
        done = edit(path, Changes(architecture="qwen2"))
        after = metadata_of(path)
        assert list(after) == [key.replace("llama.", "qwen2.", 1) for key in before]
        assert after["general.architecture"] == (ValueType.STRING, "qwen2")
        assert after["qwen2.block_count"] == before["llama.block_count"]
        assert [d.renamed_from for d in done.differences if d.key == "qwen2.block_count"] == [
            "llama.block_count"
        ]

    def test_nothing_to_change(self, path: Path, model: bytes) -> None:
        before = path.stat()
        done = edit(path, set_(architecture="llama"))
        assert (done.how, done.differences, done.written) == ("nothing", [], 0)
        assert path.stat().st_mtime_ns == before.st_mtime_ns

    def test_untouched_values_keep_their_bits(self, tmp_path: Path) -> None:
        """Strings that are not UTF-8, NaN payloads, nested and empty arrays."""
        nan = b.Bytes().string("nan") + (6).to_bytes(4, "little") + bytes.fromhex("010080ff")
        pairs = [*b.SMALL_PAIRS, nan, ("name", b.STRING, "a"), ("last", b.ARRAY, (b.STRING, []))]
        path = tmp_path / "odd.gguf"
        path.write_bytes(b.build(pairs, b.SMALL_TENSORS))
        edit(path, Changes(set={"name": LONG}))
        pairs[pairs.index(("name", b.STRING, "a"))] = ("name", b.STRING, LONG)
        assert path.read_bytes() == b.build(pairs, b.SMALL_TENSORS)

    def test_dry_run_touches_nothing(self, path: Path, model: bytes) -> None:
        planned = plan_edit(path, set_(name=LONG))
        assert path.read_bytes() == model
        done = edit(path, set_(name=LONG))
        assert planned == done
        assert done.size == path.stat().st_size


class TestPlaces:
    def test_a_number_is_a_few_bytes_in_place(self, path: Path, model: bytes) -> None:
        inode = path.stat().st_ino
        done = edit(path, Changes(set={"llama.context_length": 1024}))
        assert (done.how, done.written, path.stat().st_ino) == ("in place", 1, inode)
        changed = [
            i for i, pair in enumerate(zip(model, path.read_bytes(), strict=True)) if len(set(pair)) > 1
        ]
        assert len(changed) == 1

    def test_padding_takes_a_longer_text(self, path: Path) -> None:
        inode, data = path.stat().st_ino, data_of(path)
        room = room_of(path)
        assert room > 0, "choose another model: this one has no room at all"
        done = edit(path, set_(name="Demo" + "x" * room))
        assert (done.how, path.stat().st_ino) == ("in place", inode)
        assert data_of(path) == data
        assert edit(path, set_(name="Demo" + "x" * (room + 1))).how == "rewritten"
        assert path.stat().st_ino != inode
        assert data_of(path) == data

    def test_a_rewritten_file_is_the_one_written_from_scratch(self, path: Path, tmp_path: Path) -> None:
        with open_gguf(path) as file:
            metadata = file.metadata.copy()
            metadata.set("general.name", LONG, ValueType.STRING)
            gguf_tools.write(tmp_path / "whole.gguf", metadata, [(t.name, t) for t in file.tensors.values()])
        assert edit(path, set_(name=LONG)).how == "rewritten"
        assert path.read_bytes() == (tmp_path / "whole.gguf").read_bytes()

    def test_into_another_file(self, path: Path, model: bytes, tmp_path: Path) -> None:
        out = tmp_path / "out.gguf"
        edit(path, set_(name="Other"), output=out)
        assert path.read_bytes() == model
        assert metadata_of(out)["general.name"] == (ValueType.STRING, "Other")
        assert data_of(out) == data_of(path)
        with pytest.raises(OutputError, match=r"out\.gguf: exists already"):
            edit(path, set_(name="Third"), output=out)
        edit(path, set_(name="Third"), output=out, force=True)
        assert metadata_of(out)["general.name"] == (ValueType.STRING, "Third")

    def test_permissions_and_links_survive(self, path: Path, tmp_path: Path) -> None:
        path.chmod(0o640)
        link = tmp_path / "link.gguf"
        link.symlink_to(path.name)
        assert edit(link, set_(name=LONG)).how == "rewritten"
        assert link.is_symlink()
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        assert metadata_of(path)["general.name"][1] == LONG

    def test_other_names_of_the_file_keep_the_old_contents(
        self, path: Path, model: bytes, tmp_path: Path
    ) -> None:
        os.link(path, tmp_path / "backup.gguf")
        done = edit(path, Changes(set={"llama.context_length": 7}))
        assert done.how == "rewritten"
        assert "hard links" in done.reason
        assert (tmp_path / "backup.gguf").read_bytes() == model

    def test_a_vocabulary_without_tensors(self, tmp_path: Path) -> None:
        path = tmp_path / "vocab.gguf"
        pairs = [b.ARCHITECTURE, ("general.name", b.STRING, "abc"), ("x", b.U32, 1)]
        path.write_bytes(b.build(pairs))
        assert edit(path, set_(name="abd")).how == "in place"
        assert edit(path, set_(name="abdef")).how == "rewritten"
        pairs[1] = ("general.name", b.STRING, "abdef")
        assert path.read_bytes() == b.build(pairs)

    def test_bytes_after_the_data_stay(self, path: Path) -> None:
        path.write_bytes(path.read_bytes() + b"tail")
        edit(path, set_(name=LONG))
        assert path.read_bytes().endswith(b"tail")

    def test_unknown_tensor_types_are_copied(self, tmp_path: Path) -> None:
        path, tensor = tmp_path / "a.gguf", b.Tensor("x", (32,), 99, bytes(range(64)))
        path.write_bytes(b.build([b.ARCHITECTURE], [tensor]))
        edit(path, Changes(set={"k": "v" * 99}, type="string"))
        assert path.read_bytes() == b.build([b.ARCHITECTURE, ("k", b.STRING, "v" * 99)], [tensor])

    @pytest.mark.parametrize("given", [0, 2])
    def test_of_a_split_model_the_first_file(self, path: Path, tmp_path: Path, given: int) -> None:
        paths = [output.path for output in split(path, max_tensors=8)]
        others = [other.read_bytes() for other in paths[1:]]
        done = edit(paths[given], set_(name=LONG))
        assert done.path == paths[0]
        assert [other.read_bytes() for other in paths[1:]] == others
        merge(paths[1], tmp_path / "whole.gguf")
        edit(path, set_(name=LONG))
        assert (tmp_path / "whole.gguf").read_bytes() == path.read_bytes()


class TestPadding:
    def test_shorter_metadata_stays_in_place(self, path: Path) -> None:
        data, size = data_of(path), path.stat().st_size
        done = edit(path, Changes(set={"tokenizer.chat_template": "{{ x }}"}), insist=True)
        assert (done.how, path.stat().st_size) == ("in place", size)
        assert data_of(path) == data
        assert room_of(path) < 32
        with open_gguf(path) as file:
            assert not np.any(file.metadata["_padding"].numpy())  # type: ignore[union-attr]
        with Llama(path) as llama:
            assert llama.n_vocab == 525

    @pytest.mark.parametrize("shorter", [31, 32, 33, 40, 63, 64, 65])
    def test_every_gap_can_be_filled(self, tmp_path: Path, shorter: int) -> None:
        for length in range(32):
            path = tmp_path / f"{length}.gguf"
            name = "n" * (100 + length)
            path.write_bytes(b.build([b.ARCHITECTURE, ("general.name", b.STRING, name)], b.SMALL_TENSORS))
            data = data_of(path)
            edit(path, set_(name=name[shorter:]), insist=True)
            assert data_of(path) == data

    def test_later_edits_use_it_up(self, path: Path) -> None:
        data = data_of(path)
        assert edit(path, set_(name=LONG), reserve=4096).how == "rewritten"
        for name in ("", LONG * 2, "y", LONG + "z" * 17, "é"):
            done = edit(path, set_(name=name))
            assert done.how == "in place"
            assert metadata_of(path)["general.name"][1] == name
            assert data_of(path) == data
        assert edit(path, set_(name=LONG * 4)).how == "rewritten"

    def test_longer_metadata_cannot_insist(self, path: Path, model: bytes) -> None:
        with pytest.raises(OutputError, match="cannot be edited in place: the metadata does not end in"):
            edit(path, set_(name=LONG), insist=True)
        assert path.read_bytes() == model

    def test_contradictions(self, path: Path, tmp_path: Path) -> None:
        with pytest.raises(GGUFToolsError, match="writes no other file"):
            edit(path, set_(name="x"), insist=True, output=tmp_path / "o.gguf")
        with pytest.raises(GGUFToolsError, match="reserves no room"):
            edit(path, set_(name="x"), insist=True, reserve=1)


class TestAlignmentAndOldFiles:
    def test_a_new_alignment_moves_the_tensors(self, path: Path) -> None:
        data = data_of(path)
        done = edit(path, Changes(set={"general.alignment": "4096"}, type="uint32"))
        assert (done.how, done.size) == ("rewritten", path.stat().st_size)
        with open_gguf(path) as file:
            assert file.data_offset % 4096 == 0
        assert data_of(path) == data
        with Llama(path) as llama:
            assert llama.generate("The capital of France is", 8).startswith(" Paris.")

    def test_a_wrong_alignment_is_only_corrected(self, tmp_path: Path) -> None:
        """As llama-quantize leaves it: laid out for 32, but saying 8."""
        tensors = [b.Tensor(f"t{i}", (3,), 0, b.floats(i, 2, 3)) for i in range(3)]
        path = tmp_path / "wrong.gguf"
        path.write_bytes(b.build([b.ARCHITECTURE, ("general.alignment", b.U32, 8)], tensors))
        assert "alignment" in {finding.code for finding in gguf_tools.verify(path)}
        assert edit(path, set_(alignment=32)).how == "in place"
        assert path.read_bytes() == b.build([b.ARCHITECTURE, ("general.alignment", b.U32, 32)], tensors)

    def test_shards_do_not_move(self, path: Path) -> None:
        first, *_ = split(path, max_tensors=8)
        with pytest.raises(UnsupportedError, match="merge the model first"):
            edit(first.path, Changes(set={"general.alignment": 64}, type="uint32"))

    @pytest.mark.parametrize(("version", "order"), [(1, "little"), (3, "big")])
    def test_other_encodings_become_version_3(self, tmp_path: Path, version: int, order: Any) -> None:
        prefix = ">" if order == "big" else "<"
        values = np.array([1, 2, 3], f"{prefix}f4").tobytes()
        path = tmp_path / "old.gguf"
        path.write_bytes(
            b.build(
                [b.ARCHITECTURE, ("n", b.U32, 1)],
                [b.Tensor("norm.weight", (3,), 0, values)],
                version=version,
                order=order,
            )
        )
        assert edit(path, Changes(set={"n": 2})).how == "rewritten"
        assert path.read_bytes() == b.build([b.ARCHITECTURE, ("n", b.U32, 2)], b.SMALL_TENSORS[:1])

    def test_version_2_stays(self, tmp_path: Path) -> None:
        path = tmp_path / "two.gguf"
        path.write_bytes(b.build([b.ARCHITECTURE, ("n", b.U32, 1)], b.SMALL_TENSORS, version=2))
        edit(path, Changes(set={"m": "x" * 99}, type="string"))
        expected = [b.ARCHITECTURE, ("n", b.U32, 1), ("m", b.STRING, "x" * 99)]
        assert path.read_bytes() == b.build(expected, b.SMALL_TENSORS, version=2)


def run(function: Callable[[], object]) -> int:
    """Exit code of a forked child that runs a function: 0, negative for a signal."""
    child = os.fork()
    if not child:
        try:
            function()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class TestOthers:
    """What other processes see."""

    def test_a_file_open_elsewhere_is_replaced(self, path: Path, model: bytes) -> None:
        with open_gguf(path) as reader:
            done = edit(path, Changes(set={"llama.context_length": 7}))
            assert done.how == "rewritten"
            assert "open elsewhere" in done.reason
            assert reader.metadata["llama.context_length"] == 512
            assert reader.tensors["output_norm.weight"].dequantize().shape == (256,)
        assert metadata_of(path)["llama.context_length"] == (ValueType.UINT32, 7)

    def test_insisting_is_refused_then(self, path: Path, model: bytes) -> None:
        with open_gguf(path), pytest.raises(OutputError, match="open elsewhere"):
            edit(path, Changes(set={"llama.context_length": 7}), insist=True)
        assert path.read_bytes() == model

    def test_an_edit_by_somebody_else_meanwhile_is_not_undone(self, path: Path) -> None:
        theirs = path.with_name("theirs.gguf")
        edit(path, set_(name="theirs"), output=theirs)

        def intrude(done: int, total: int, what: str) -> None:
            if theirs.exists():
                theirs.replace(path)

        with pytest.raises(OutputError, match="changed by somebody else meanwhile"):
            edit(path, set_(name=LONG), progress=intrude)
        assert metadata_of(path)["general.name"] == (ValueType.STRING, "theirs")
        assert os.listdir(path.parent) == [path.name]

    def test_a_second_edit_meanwhile_is_refused(self, path: Path) -> None:
        def intrude(done: int, total: int, what: str) -> None:
            with pytest.raises(OutputError, match="another process is writing this output"):
                edit(path, set_(name="theirs"))

        edit(path, set_(name=LONG), progress=intrude)
        assert metadata_of(path)["general.name"] == (ValueType.STRING, LONG)
        assert os.listdir(path.parent) == [path.name]

    def test_who_opens_it_meanwhile_waits(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A reader that comes in the middle of the write sees the result."""
        real, pids = os.pwrite, []

        def slow(fd: int, data: Any, offset: int) -> int:
            done = real(fd, data[: (len(data) + 1) // 2], offset)
            if not pids:
                pid = os.fork()
                if not pid:
                    ok = False
                    try:
                        ok = metadata_of(path)["general.name"][1] == "After"
                    finally:
                        os._exit(0 if ok else 1)
                pids.append(pid)
                time.sleep(0.2)
                assert os.waitpid(pid, os.WNOHANG) == (0, 0), "it did not wait"
            return done

        monkeypatch.setattr(os, "pwrite", slow)
        monkeypatch.setattr(in_place, "_write_journal", lambda *_: None)
        assert edit(path, set_(name="After", type="mod"), insist=True).how == "in place"
        assert os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1]) == 0

    def test_readers_never_see_a_mix(self, path: Path) -> None:
        """One process edits two distant keys over and over, others look whether they belong together."""
        edit(path, Changes(set={"z.last": "A" * 50, "general.name": "A" * 50}, type="string"), reserve=64)
        context = multiprocessing.get_context("fork")
        seen = context.Queue()

        def look() -> None:
            give_up, looks, odd, names = time.monotonic() + 60, 0, [], set()
            while time.monotonic() < give_up and (looks < 200 or len(names) < 3):
                with open_gguf(path) as file:
                    name = file.metadata["general.name"]
                    other = file.metadata["z.last"]
                names.add(name)
                looks += 1
                if name != other:
                    odd.append((name, other))
                del file  # its mapping, too: now and then, nobody has the file open
                time.sleep(0.002)
            seen.put((odd, looks, len(names)))

        readers = [context.Process(target=look) for _ in range(2)]
        for reader in readers:
            reader.start()
        hows = set()
        while any(reader.is_alive() for reader in readers):
            for letter, length in (("B", 40), ("A", 50), ("C", 60)):
                text = letter * length
                hows.add(edit(path, Changes(set={"z.last": text, "general.name": text})).how)
        for reader in readers:
            odd, looks, names = seen.get(timeout=30)
            reader.join()
            assert odd == []
            assert looks >= 200
            assert names == 3
        assert hows == {"in place", "rewritten"}


class TestInterrupted:
    @pytest.fixture
    def killed(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """The model after a process was killed halfway through writing a header in place."""
        real = os.pwrite

        def die(fd: int, data: Any, offset: int) -> int:
            if os.path.lexists(journal_path(path)):
                real(fd, data[: len(data) // 2], offset)
                os.kill(os.getpid(), 9)
            return real(fd, data, offset)

        monkeypatch.setattr(os, "pwrite", die)
        assert run(lambda: edit(path, set_(name="y", type=LONG[:3]), insist=True)) == -9
        monkeypatch.undo()
        return path

    def test_the_header_is_damaged_and_opening_says_so(self, killed: Path, model: bytes) -> None:
        assert killed.read_bytes() != model
        message = r"demo\.gguf: an edit of this file was interrupted.*--recover"
        with pytest.raises(FormatError, match=message):
            open_gguf(killed)
        with pytest.raises(FormatError, match=message):
            edit(killed, set_(name="z"))
        (finding,) = gguf_tools.verify(killed)
        assert (finding.code, finding.severity) == ("interrupted-edit", "error")

    def test_recovery_restores_every_byte(self, killed: Path, model: bytes) -> None:
        assert recover(killed) is True
        assert killed.read_bytes() == model
        assert recover(killed) is False
        assert [entry.name for entry in killed.parent.iterdir()] == [killed.name]

    def test_a_damaged_journal_restores_nothing(self, killed: Path) -> None:
        before = killed.read_bytes()
        journal = journal_path(killed)
        journal.write_bytes(journal.read_bytes()[:-1])
        with pytest.raises(FormatError, match="the journal of the interrupted edit is damaged"):
            recover(killed)
        assert killed.read_bytes() == before

    def test_a_journal_of_a_file_since_replaced(self, killed: Path, model: bytes, tmp_path: Path) -> None:
        (tmp_path / "new").write_bytes(model)
        (tmp_path / "new").rename(killed)
        assert metadata_of(killed)["general.name"] == (ValueType.STRING, "Demo")
        with pytest.raises(FormatError, match="not of this file, which has been replaced since"):
            recover(killed)
        assert killed.read_bytes() == model
        assert edit(killed, set_(name="y", type="z"), insist=True).how == "in place"
        assert os.listdir(killed.parent) == [killed.name]

    def test_an_exception_halfway_puts_the_old_bytes_back(
        self, path: Path, model: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, calls = os.fsync, []

        def fail(fd: int) -> None:
            calls.append(fd)
            if os.path.lexists(journal_path(path)) and len(calls) < 8:
                calls.extend([0] * 8)
                raise KeyboardInterrupt
            real(fd)

        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(KeyboardInterrupt):
            edit(path, set_(name="y", type="z"), insist=True)
        assert path.read_bytes() == model
        assert os.listdir(path.parent) == [path.name]

    @pytest.mark.parametrize("signal", [2, 9])
    def test_rewriting_leaves_the_old_file(
        self, path: Path, model: bytes, monkeypatch: pytest.MonkeyPatch, signal: int
    ) -> None:
        def stop(done: int, total: int, what: str) -> None:
            os.kill(os.getpid(), signal)
            time.sleep(0.3)  # the main thread takes it; this one only copies

        def child() -> None:
            try:
                edit(path, set_(name=LONG), progress=stop)
            except KeyboardInterrupt:
                os._exit(130)

        assert run(child) == (-9 if signal == 9 else 130)
        assert path.read_bytes() == model

    def test_a_copy_that_reads_back_differently(
        self, path: Path, model: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A disk that lies, or a bug of ours: the copy is compared before it replaces anything."""
        monkeypatch.delattr(os, "copy_file_range")
        real = os.pwrite

        def flip(fd: int, data: Any, offset: int) -> int:
            wrong = bytearray(data)
            if len(wrong) > 100_000:
                wrong[77] ^= 1
            return real(fd, wrong, offset)

        monkeypatch.setattr(os, "pwrite", flip)
        with pytest.raises(OutputError, match="what was written reads back differently"):
            edit(path, set_(name=LONG))
        assert path.read_bytes() == model
        assert os.listdir(path.parent) == [path.name]

    def test_a_change_by_somebody_else(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(OutputError, match="changed by somebody else meanwhile"):
            in_place.overwrite(path, b"GGUX" + bytes(20), b"GGUY" + bytes(20))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (b"", b"", (0, 0)),
        (b"abc", b"abc", (0, 0)),
        (b"abc", b"abd", (2, 3)),
        (b"abc", b"xbc", (0, 1)),
        (b"abcdefgh", b"aXcdeYgh", (1, 6)),
        (b"abcdefgh", b"XbcdefgY", (0, 8)),
    ],
)
def test_changed_range(old: bytes, new: bytes, expected: tuple[int, int]) -> None:
    assert in_place.changed_range(old, new) == expected


def test_llama_cpp_reads_an_edited_template_and_name(path: Path) -> None:
    template = "{% for m in messages %}{{ m.content }}{% endfor %}" * 40
    edit(path, Changes(set={"tokenizer.chat_template": template.encode(), "general.name": "Ünïcode"}))
    with Llama(path) as llama:
        assert llama.generate("The capital of France is", 8).startswith(" Paris.")
    assert metadata_of(path)["tokenizer.chat_template"] == (ValueType.STRING, template)


def test_metadata_renamed_keeps_the_order() -> None:
    metadata = Metadata([("a", ValueType.UINT8, 1), ("b", ValueType.UINT8, 2)])
    assert list(metadata.renamed({"a": "c"}).entries()) == [
        ("c", ValueType.UINT8, 1),
        ("b", ValueType.UINT8, 2),
    ]
    with pytest.raises(FormatError, match="two keys"):
        metadata.renamed({"a": "b"})
