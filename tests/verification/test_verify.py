from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gguf_tools.spec import BLOCK_SIZES, GGMLType
from gguf_tools.verification.verify import Finding, verify
from tests import builders as b
from tests.container.split_models import model, split_pairs, tensor

QUANTIZATION = ("general.quantization_version", b.U32, 2)
VOCABULARY = {
    "tokenizer.ggml.tokens": (b.STRING, ["<unk>", "<0x41>", "a"]),
    "tokenizer.ggml.scores": (b.F32, [0.0, -1.0, -2.0]),
    "tokenizer.ggml.token_type": (b.I32, [2, 6, 1]),
}


@pytest.fixture(autouse=True)
def no_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """These files are built to show one fault each; test_verify_models.py has what tables find."""
    monkeypatch.setattr("gguf_tools.verification.verify.known_architecture", lambda metadata, tensors: None)


def save(folder: Path, data: bytes) -> Path:
    path = folder / "model.gguf"
    path.write_bytes(data)
    return path


def findings(folder: Path, pairs: Any = (b.ARCHITECTURE, QUANTIZATION), tensors: Any = ()) -> list[Finding]:
    return verify(save(folder, b.build(pairs, tensors)))


def codes(found: list[Finding]) -> list[str]:
    return [finding.code for finding in found]


def only(found: list[Finding]) -> Finding:
    (finding,) = found
    return finding


def vocabulary(**changes: Any) -> list[Any]:
    arrays = VOCABULARY | {f"tokenizer.ggml.{name}": value for name, value in changes.items()}
    return [b.ARCHITECTURE, *((key, b.ARRAY, value) for key, value in arrays.items())]


class TestSound:
    def test_small(self, tmp_path: Path) -> None:
        assert findings(tmp_path, vocabulary(), [b.Tensor("norm.weight", (3,), 0, b.floats(1, 2, 3))]) == []

    @pytest.mark.parametrize("order", ["little", "big"])
    def test_every_type_of_zeros(self, tmp_path: Path, order: Any) -> None:
        tensors = [
            b.Tensor(f"t{kind.name}", (2 * size.elements, 3), int(kind), bytes(6 * size.bytes))
            for kind, size in BLOCK_SIZES.items()
        ]
        data = b.build([b.ARCHITECTURE, QUANTIZATION], tensors, order=order)
        assert verify(save(tmp_path, data)) == []

    def test_split(self, tmp_path: Path) -> None:
        for path in model(tmp_path):
            assert verify(path) == []

    def test_an_importance_matrix_needs_no_architecture(self, tmp_path: Path) -> None:
        assert findings(tmp_path, [("general.type", b.STRING, "imatrix")]) == []


class TestStructure:
    @pytest.mark.parametrize("size", range(24))
    def test_what_is_not_gguf_is_one_finding(self, tmp_path: Path, size: int) -> None:
        finding = only(verify(save(tmp_path, b.small()[:size])))
        assert (finding.code, finding.severity) == ("format", "error")

    def test_every_truncation_is_found(self, tmp_path: Path) -> None:
        whole = b.small()
        for size in range(24, len(whole) - 32):
            assert any(finding.severity == "error" for finding in verify(save(tmp_path, whole[:size])))

    def test_a_missing_file(self, tmp_path: Path) -> None:
        assert "No such file" in only(verify(tmp_path / "none.gguf")).message

    def test_an_unknown_version(self, tmp_path: Path) -> None:
        finding = only(verify(save(tmp_path, b"GGUF" + struct.pack("<IQQ", 9, 0, 0))))
        assert (finding.code, finding.place) == ("unsupported", "byte 4")
        assert "found 9" in finding.message

    def test_all_faults_are_listed(self, tmp_path: Path) -> None:
        data = bytes(32)
        tensors = [
            b.Tensor("cut", (8,), 0, b"", 1 << 40),
            b.Tensor("a", (8,), 0, data, 0),
            b.Tensor("a", (8,), 0, data, 32),
            b.Tensor("odd", (8,), 0, data, 68),
            b.Tensor("row", (31,), 8, b"", 96),
        ]
        found = findings(tmp_path, tensors=tensors)
        assert codes(found) == ["truncated", "duplicate-tensor", "misaligned", "row-length"]
        assert all(finding.severity == "error" for finding in found)
        assert found[0].place.startswith("tensor 'cut', byte ")
        assert found[0].remedy == "download or copy the file again"

    @pytest.mark.parametrize(
        ("second", "expected"),
        [(0, ["overlap"]), (64, ["gap"]), (32, [])],
    )
    def test_density(self, tmp_path: Path, second: int, expected: list[str]) -> None:
        tensors = [b.Tensor("x", (8,), 0, bytes(32)), b.Tensor("y", (8,), 0, bytes(32 + second), second)]
        found = findings(tmp_path, tensors=tensors)
        assert [code for code in codes(found) if code != "trailing-bytes"] == expected

    def test_order(self, tmp_path: Path) -> None:
        tensors = [b.Tensor("x", (8,), 0, bytes(32), 32), b.Tensor("y", (8,), 0, bytes(32), 0)]
        assert only(findings(tmp_path, tensors=tensors)).code == "order"

    def test_alignment_that_lies(self, tmp_path: Path) -> None:
        pairs = [b.ARCHITECTURE, ("general.alignment", b.U32, 8)]
        found = findings(tmp_path, pairs, [b.Tensor("x", (8,), 0, b.floats(*range(8)))])
        assert codes(found) == ["alignment", "trailing-bytes"]

    def test_trailing_bytes(self, tmp_path: Path) -> None:
        data = b.build([b.ARCHITECTURE], [b.Tensor("x", (8,), 0, bytes(32))])
        finding = only(verify(save(tmp_path, data + b"junk")))
        assert (finding.code, finding.severity) == ("trailing-bytes", "warning")
        assert (finding.place, finding.message) == (f"byte {len(data)}", "4 bytes after the data")

    @pytest.mark.parametrize(
        ("tensor", "code", "severity"),
        [
            (b.Tensor("n" * 64, (1,), 0, bytes(4)), "long-name", "error"),
            (b.Tensor(b"\xff", (1,), 0, bytes(4)), "odd-name", "warning"),
            (b.Tensor("", (1,), 0, bytes(4)), "odd-name", "warning"),
            (b.Tensor("x", (1,), 99, bytes(4)), "unknown-type", "warning"),
            (b.Tensor("x", (1,), 4, bytes(4)), "removed-type", "error"),
            (b.Tensor("x", (1,), 37, bytes(4)), "removed-type", "error"),
            (b.Tensor("x", (0, 5), 0), "empty-tensor", "warning"),
        ],
    )
    def test_entries(self, tmp_path: Path, tensor: b.Tensor, code: str, severity: str) -> None:
        finding = only(findings(tmp_path, tensors=[tensor]))
        assert (finding.code, finding.severity) == (code, severity)


class TestMetadata:
    @pytest.mark.parametrize(
        "pairs", [[], [("general.architecture", b.U32, 1)]], ids=["missing", "not a string"]
    )
    def test_architecture(self, tmp_path: Path, pairs: Any) -> None:
        finding = only(findings(tmp_path, pairs))
        assert (finding.code, finding.place) == ("missing-architecture", "key 'general.architecture'")

    def test_quantization_version(self, tmp_path: Path) -> None:
        found = findings(tmp_path, [b.ARCHITECTURE], [b.Tensor("x", (32,), 8, bytes(34))])
        assert codes(found) == ["quantization-version"]

    def test_nested_arrays_and_odd_bools(self, tmp_path: Path) -> None:
        pairs = [b.ARCHITECTURE, ("n", b.ARRAY, (b.ARRAY, [])), ("f", b.BOOL, 2)]
        assert codes(findings(tmp_path, pairs)) == ["odd-bool", "nested-array"]

    @pytest.mark.parametrize(
        ("changes", "code", "words"),
        [
            ({"scores": (b.F32, [0.0, -1.0])}, "vocabulary", "2 items for 3 tokens"),
            ({"scores": (b.F64, [0.0, -1.0, 0.0])}, "vocabulary", "not an array of FLOAT32 but FLOAT64"),
            ({"scores": (b.F32, [0.0, -1.0, float("nan")])}, "vocabulary", "a score is NaN or infinite"),
            ({"token_type": (b.I32, [1, 6, 1, 1])}, "vocabulary", "4 items for 3 tokens"),
            ({"token_type": (b.U32, [1, 6, 1])}, "vocabulary", "not an array of INT32 but UINT32"),
            ({"token_type": (b.I32, [1, 6, 9])}, "token-type", "token 2 is of the unknown type 9"),
            ({"token_type": (b.I32, [6, 6, 1])}, "byte-token", "token 0 is a byte, but its text '<unk>'"),
            ({"tokens": (b.STRING, ["<unk>", "<0x-1>", "a"])}, "byte-token", "'<0x-1>' is not <0xHH>"),
            ({"tokens": (b.STRING, ["<unk>", "<0x100>", "a"])}, "byte-token", "'<0x100>' is not <0xHH>"),
            ({"tokens": (b.STRING, ["<unk>", b"<0xF\xff>", "a"])}, "byte-token", "is not <0xHH>"),
            ({"tokens": (b.I32, [1, 2, 3])}, "vocabulary", "the tokens are not an array of strings"),
            ({"merges": (b.I32, [1])}, "vocabulary", "the merges are not an array of strings"),
        ],
    )
    def test_vocabulary(self, tmp_path: Path, changes: Any, code: str, words: str) -> None:
        finding = only(findings(tmp_path, vocabulary(**changes)))
        assert finding.code == code
        assert words in finding.message

    @pytest.mark.parametrize("number", [3, 2**32 - 1])
    def test_token_ids(self, tmp_path: Path, number: int) -> None:
        pairs = [*vocabulary(), ("tokenizer.ggml.bos_token_id", b.U32, number)]
        finding = only(findings(tmp_path, pairs))
        assert (finding.code, finding.severity) == ("token-id", "warning")

    def test_embeddings_of_another_vocabulary(self, tmp_path: Path) -> None:
        found = findings(tmp_path, vocabulary(), [b.Tensor("token_embd.weight", (2, 4), 0, bytes(32))])
        assert only(found).message == "4 embeddings for 3 tokens"

    @pytest.mark.parametrize(
        ("pairs", "layers", "code"),
        [
            ([("llama.block_count", b.U32, 2)], 2, None),
            ([("llama.block_count", b.U32, 2)], 3, "layers"),
            ([("llama.block_count", b.U32, 3)], 2, "missing-layers"),
            ([("llama.block_count", b.U32, 2**32 - 1)], 2, "missing-layers"),
            ([("llama.block_count", b.F32, 2.0)], 2, "layers"),
            ([("llama.block_count", b.BOOL, 1)], 2, "layers"),
            (
                [("llama.block_count", b.U32, 2), ("llama.attention.head_count", b.ARRAY, (b.U32, [8]))],
                2,
                "layers",
            ),
        ],
    )
    def test_layers(self, tmp_path: Path, pairs: Any, layers: int, code: str | None) -> None:
        tensors = [b.Tensor(f"blk.{i}.x.weight", (1,), 0, b.floats(1)) for i in range(layers)]
        assert codes(findings(tmp_path, [b.ARCHITECTURE, *pairs], tensors)) == (
            [] if code is None else [code]
        )


class TestData:
    @pytest.mark.parametrize("order", ["little", "big"])
    def test_the_faulty_block_is_named(self, tmp_path: Path, order: Any) -> None:
        blocks = np.zeros((12, 144), np.uint8)  # Q4_K, 3 rows of 4 blocks
        low, high = (2, 3) if order == "little" else (3, 2)  # the min's scale
        blocks[7, high] = blocks[9, high] = 0x7C
        blocks[7, low] = 1
        blocks[3, low] = 0x7C  # not in the exponent: sound
        data = b.build(
            [b.ARCHITECTURE, QUANTIZATION],
            [b.Tensor("ok", (256,), 12, bytes(144)), b.Tensor("bad", (1024, 3), 12, blocks.tobytes())],
            order=order,
        )
        finding = only(verify(save(tmp_path, data)))
        assert (finding.code, finding.severity, finding.place) == (
            "non-finite",
            "error",
            "tensor 'bad', block 7",
        )
        assert finding.message == (
            "2 of 12 blocks of Q4_K have a NaN or infinite scale, the first in row 1, elements 768 to 1023"
        )

    @pytest.mark.parametrize(
        ("kind", "values"),
        [
            (GGMLType.F32, np.array([1, np.inf, np.nan], np.float32).tobytes()),
            (GGMLType.F16, np.array([1, np.inf, np.nan], np.float16).tobytes()),
            (GGMLType.BF16, np.array([0x3F80, 0xFF80, 0x7FC0], np.uint16).tobytes()),
        ],
    )
    def test_the_faulty_value_is_named(self, tmp_path: Path, kind: GGMLType, values: bytes) -> None:
        finding = only(findings(tmp_path, tensors=[b.Tensor("x", (3,), int(kind), values)]))
        assert finding.place == "tensor 'x', element 1"
        assert finding.message == "2 of 3 values are NaN or infinite, the first in row 0 at position 1"

    def test_large_data_in_bounded_memory(self, tmp_path: Path) -> None:
        values = np.zeros((9, 1_500_000), np.float32)
        values[8, 1_234_567] = np.nan
        path = save(tmp_path, b.build([b.ARCHITECTURE], [b.Tensor("x", (1_500_000, 9), 0, values.tobytes())]))
        tracemalloc.start()
        try:
            finding = only(verify(path))
            assert tracemalloc.get_traced_memory()[1] < 20 << 20
        finally:
            tracemalloc.stop()
        assert finding.place == f"tensor 'x', element {8 * 1_500_000 + 1_234_567}"
        assert "in row 8 at position 1234567" in finding.message

    def test_progress(self, tmp_path: Path) -> None:
        calls: list[tuple[int, int, str]] = []
        path = save(tmp_path, b.small())
        verify(path, progress=lambda *call: calls.append(call))
        assert calls == [(12, 80, "norm.weight"), (80, 80, "blk.0.attn_q.weight")]

    def test_what_is_cut_off_is_not_read(self, tmp_path: Path) -> None:
        found = verify(save(tmp_path, b.small()[:-40]))
        assert "truncated" in codes(found)
        assert "non-finite" not in codes(found)


class TestShards:
    def test_missing(self, tmp_path: Path) -> None:
        paths = model(tmp_path)
        paths[1].unlink()
        finding = verify(paths[0])[0]
        assert finding.code == "shards"
        assert "model-00002-of-00003.gguf" in finding.message

    def test_faults_name_their_shard(self, tmp_path: Path) -> None:
        paths = model(tmp_path)
        data = paths[1].read_bytes()
        paths[1].write_bytes(data[:-32] + b.floats(float("nan")) + data[-28:])
        finding = only(verify(paths[0]))
        assert finding.place == "model-00002-of-00003.gguf, tensor 't1', element 0"

    def test_damaged(self, tmp_path: Path) -> None:
        paths = model(tmp_path)
        paths[1].write_bytes(b"<html>")
        finding = only(verify(paths[0]))
        assert (finding.code, finding.place) == ("format", "model-00002-of-00003.gguf, byte 0")

    def test_a_name_in_two_shards(self, tmp_path: Path) -> None:
        paths = model(tmp_path)
        paths[2].write_bytes(b.build(split_pairs(2, 3, 3), [tensor(1)]))
        finding = only(verify(paths[0]))
        assert (finding.code, finding.place) == ("duplicate-tensor", "model-00003-of-00003.gguf, tensor 't1'")

    def test_wrong_index_and_count(self, tmp_path: Path) -> None:
        paths = model(tmp_path)
        paths[2].write_bytes(b.build(split_pairs(0, 3, 3), [tensor(2)]))
        finding = only(verify(paths[0]))
        assert (finding.code, finding.place) == ("shards", "model-00003-of-00003.gguf, key 'split.no'")
        paths[2].write_bytes(b.build(split_pairs(2, 3, 3)))
        finding = only(verify(paths[0]))
        assert (finding.code, finding.place) == ("shards", "key 'split.tensors.count'")


def test_findings_become_json() -> None:
    finding = Finding("gap", "error", "file", "a gap")
    assert finding.to_dict() == {
        "code": "gap",
        "severity": "error",
        "place": "file",
        "message": "a gap",
        "remedy": None,
    }


def test_hostile_files_never_raise(tmp_path: Path) -> None:
    whole = b.small()
    for place in range(len(whole) - 40):
        data = bytearray(whole)
        data[place] ^= 0xFF
        assert all(
            finding.severity in ("error", "warning") for finding in verify(save(tmp_path, bytes(data)))
        )
