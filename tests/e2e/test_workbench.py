"""The workbench on published models: Gemma-3-270M (262,144 tokens), SmolLM2-135M, all-MiniLM-L6-v2.

Every command as a user runs it; llama.cpp loads what comes out, and its splitter's files are ours.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType, GGUFReader
from gguf.quants import dequantize
from numpy.typing import NDArray

import gguf_tools
from gguf_tools.container import open_gguf
from tests.cli.invoking import invoke, printed_json, said
from tests.floats import assert_same_floats
from tests.goldens import record_splits as golden
from tests.references import oracles
from tests.references.llama import Llama

PROMPT = "The capital of France is"
MODELS: dict[str, Callable[[], Path]] = {"gemma3": oracles.gemma3, "smollm2": oracles.smollm2}
TEMPLATE = "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}" * 20


@pytest.fixture(params=MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def copy(name: str, tmp_path: Path) -> Path:
    """A published file, to be edited."""
    return Path(shutil.copy(MODELS[name](), tmp_path / f"{name}.gguf"))


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """all-MiniLM-L6-v2 as GGUF files of three types."""
    folder = tmp_path_factory.mktemp("minilm")
    paths = {recipe: folder / f"{recipe}.gguf" for recipe in ("F32", "F16", "Q4_K_M")}
    for recipe, path in paths.items():
        gguf_tools.convert(oracles.minilm(), path, type=recipe)
    return paths


def logits(path: Path) -> NDArray[np.float32]:
    with Llama(path) as model:
        return model.logits(model.tokenize(PROMPT))


def decoded(path: Path, tensor: str) -> NDArray[np.float32]:
    """A tensor by the ``gguf`` package's decoder."""
    (found,) = (one for one in GGUFReader(path).tensors if one.name == tensor)
    return np.asarray(dequantize(found.data, found.tensor_type), np.float32)


def manifest(path: Path, folder: Path) -> Path:
    (folder / "manifest.json").write_text(json.dumps(printed_json("verify", path, "--hash")))
    return folder / "manifest.json"


def mismatches(path: Path, expected: Path) -> set[str]:
    """What has another checksum than the manifest says."""
    found = json.loads(invoke("verify", path, "--against", expected, "--json").stdout)["findings"]
    assert {finding["code"] for finding in found} <= {"hash-mismatch"}
    return {finding["place"] for finding in found}


class TestVerify:
    def test_published_files_are_sound(self, name: str) -> None:
        found = printed_json("verify", MODELS[name](), "--hash")
        assert (found["sound"], found["findings"]) == (True, [])
        (digest,) = found["hashes"]["files"].values()
        with MODELS[name]().open("rb") as file:
            assert digest == hashlib.file_digest(file, "sha256").hexdigest()
        assert len(found["hashes"]["tensors"]) == {"gemma3": 236, "smollm2": 272}[name]

    def test_minilm_is_sound_in_every_type(self, minilm: dict[str, Path]) -> None:
        for path in minilm.values():
            assert printed_json("verify", path)["findings"] == []

    def test_one_flipped_bit_is_found(self, copy: Path, tmp_path: Path) -> None:
        expected = manifest(copy, tmp_path)
        with open_gguf(copy) as file:
            tensor = file.tensors["blk.3.ffn_down.weight"]
            place = tensor.offset + 1000
        with copy.open("r+b") as opened:
            opened.seek(place)
            byte = opened.read(1)[0]
            opened.seek(place)
            opened.write(bytes([byte ^ 1]))
        assert mismatches(copy, expected) == {copy.name, "tensor 'blk.3.ffn_down.weight'"}


class TestDiff:
    def test_a_file_and_its_checkpoint_are_the_same(self, minilm: dict[str, Path]) -> None:
        assert "the same" in said("diff", oracles.minilm(), minilm["F32"])

    @pytest.mark.parametrize("other", ["F16", "checkpoint"])
    def test_q4_k_m_against_more_precise_ones(self, minilm: dict[str, Path], other: str) -> None:
        precise = minilm["F16"] if other == "F16" else oracles.minilm()
        result = invoke("diff", precise, minilm["Q4_K_M"], "--json")
        assert result.exit_code == 1
        found = json.loads(result.stdout)
        tensors = {one["name"]: one for one in found["tensors"]}
        assert len(tensors) + found["same_tensors"] == 101
        assert {one["type_b"] for one in tensors.values()} == {"Q8_0", "Q5_0", "Q4_K", "Q6_K"}
        for one in tensors.values():
            assert one["reason"] == ""
            assert 0.0005 < one["distance"]["relative_rms"] < 0.12, one["name"]
        path = minilm["F16" if other == "F16" else "F32"]
        x, y = (decoded(one, "blk.2.attn_q.weight") for one in (path, minilm["Q4_K_M"]))
        told = tensors["blk.2.attn_q.weight"]["distance"]
        assert told["maximum"] == np.abs(x.astype(float) - y).max()
        assert told["rms"] == pytest.approx(np.sqrt(np.mean((x.astype(float) - y) ** 2)), rel=1e-9)

    def test_an_edited_file_differs_in_the_key_alone(self, copy: Path, name: str) -> None:
        said("edit", copy, "--set", "general.name=Another", "-q")
        result = invoke("diff", MODELS[name](), copy, "--json")
        found = json.loads(result.stdout)
        assert result.exit_code == 1
        assert [difference["key"] for difference in found["metadata"]] == ["general.name"]
        assert found["tensors"] == []


class TestEdit:
    def test_a_number_in_place(self, copy: Path, name: str) -> None:
        architecture = {"gemma3": "gemma3", "smollm2": "llama"}[name]
        before = copy.read_bytes()
        done = printed_json("edit", copy, "--set", f"{architecture}.context_length=1024")
        assert (done["how"], done["bytes_written"] <= 4) == ("in place", True)
        after = copy.read_bytes()
        assert len(after) == len(before)
        assert sum(x != y for x, y in zip(before[:200_000], after[:200_000], strict=True)) <= 4
        assert before[200_000:] == after[200_000:]
        with Llama(copy) as model:
            assert model.metadata[f"{architecture}.context_length"] == "1024"
        assert np.array_equal(logits(copy), logits(MODELS[name]()))

    def test_a_template_that_does_not_fit_rewrites_and_tensors_stay(
        self, copy: Path, name: str, tmp_path: Path
    ) -> None:
        expected = manifest(copy, tmp_path)
        (tmp_path / "chat.jinja").write_text(TEMPLATE)
        done = printed_json("edit", copy, "--set-template", tmp_path / "chat.jinja", "--type", "string")
        assert done["how"] == "rewritten"
        assert mismatches(copy, expected) == {copy.name}  # the file as a whole, and no tensor
        with Llama(copy) as model:
            assert model.metadata["tokenizer.chat_template"] == TEMPLATE
        assert np.array_equal(logits(copy), logits(MODELS[name]()))

    def test_a_renamed_architecture(self, tmp_path: Path) -> None:
        """To llama.cpp, mistral3 is a llama under another name: the same tensors, keys and computation."""
        copy = Path(shutil.copy(oracles.smollm2(), tmp_path / "smollm2.gguf"))
        original = copy.read_bytes()
        said("edit", copy, "--rename-arch", "mistral3", "-q")
        with open_gguf(copy) as file:
            assert file.metadata["general.architecture"] == "mistral3"
            assert file.metadata["mistral3.block_count"] == 30
            assert not [key for key in file.metadata if key.startswith("llama.")]
        with Llama(copy) as model:
            assert model.metadata["general.architecture"] == "mistral3"
        assert np.array_equal(logits(copy), logits(oracles.smollm2()))
        said("edit", copy, "--rename-arch", "llama", "-q")
        assert copy.read_bytes() == original


class TestSplitAndMerge:
    def test_files_are_those_of_llama_cpp_and_merge_to_the_original(self, name: str, tmp_path: Path) -> None:
        """Its splitter's and its merger's checksums are recorded; it was given our files to merge, too."""
        case, recorded = golden.REAL[name], golden.load()["real"][name]
        ((limit, value),) = case["ours"].items()
        (tmp_path / "parts").mkdir()
        said("split", MODELS[name](), tmp_path / "parts" / "m", f"--{limit.replace('_', '-')}", value, "-q")
        parts = sorted((tmp_path / "parts").iterdir())
        assert {part.name: golden.checksum(part) for part in parts} == recorded["files"]
        assert np.array_equal(logits(parts[0]), logits(MODELS[name]()))
        assert printed_json("verify", parts[1])["findings"] == []
        said("merge", parts[-1], tmp_path / "whole.gguf", "-q")
        assert golden.checksum(tmp_path / "whole.gguf") == golden.checksum(MODELS[name]())
        said("merge", parts[0], tmp_path / "kept.gguf", "--keep-split-keys", "-q")
        assert golden.checksum(tmp_path / "kept.gguf") == recorded["merged"]

    def test_shards_of_two_models_do_not_mix(self, tmp_path: Path) -> None:
        for name, path in (("a", oracles.smollm2()), ("b", oracles.gemma3())):
            said("split", path, tmp_path / name, "--max-tensors", 140, "-q")
        second = "-00002-of-00002.gguf"
        (tmp_path / f"b{second}").replace(tmp_path / f"a{second}")
        result = invoke("merge", tmp_path / "a-00001-of-00002.gguf", tmp_path / "whole.gguf")
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"a{second}: key 'split.tensors.count': the shard does not belong here" in result.stderr
        assert not (tmp_path / "whole.gguf").exists()


class TestExtract:
    def test_rows_of_a_huge_embedding(self, tmp_path: Path) -> None:
        said(
            *("extract", oracles.gemma3(), tmp_path / "rows.npy", "-t", "token_embd.weight"),
            *("--rows", "262000:262144", "-q"),
        )
        with open_gguf(oracles.gemma3()) as file:
            blocks = file.tensors["token_embd.weight"].raw(262000, 262144)
        rows = np.load(tmp_path / "rows.npy")
        assert rows.shape == (144, 640)
        assert_same_floats(rows, dequantize(blocks, GGMLQuantizationType.Q8_0))

    def test_a_layer_decoded_and_as_blocks(self, tmp_path: Path) -> None:
        from safetensors.numpy import load_file

        arguments: list[Any] = ["extract", oracles.smollm2(), tmp_path / "x.safetensors", "-t", "blk.7.*"]
        said(*arguments, "-q")
        values = load_file(tmp_path / "x.safetensors")
        said(*arguments, "--dtype", "raw", "--force", "-q")
        blocks = load_file(tmp_path / "x.safetensors")
        theirs = {one.name: one for one in GGUFReader(oracles.smollm2()).tensors if "blk.7." in one.name}
        assert values.keys() == blocks.keys() == theirs.keys()
        for name, tensor in theirs.items():
            assert_same_floats(values[name], dequantize(tensor.data, tensor.tensor_type), name)
            assert blocks[name].tobytes() == tensor.data.tobytes(), name
