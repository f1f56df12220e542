"""What commands are told about types: overrides, files of overrides, importance matrices, explanations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gguf_tools
from tests.cli.invoking import invoke, printed_json, refused, said
from tests.goldens.record_recipes import write_imatrix


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoints: dict[str, Path]) -> Path:
    path = tmp_path_factory.mktemp("quantizing") / "bf16.gguf"
    gguf_tools.convert(tiny_checkpoints["qwen3"], path, type="BF16")
    return path


@pytest.fixture(scope="module")
def imatrix(source: Path) -> Path:
    path = source.with_name("imatrix.dat")
    with gguf_tools.open(source) as file:
        write_imatrix(path, {name: tensor.shape for name, tensor in file.tensors.items()})
    return path


def types(path: Path) -> dict[str, str]:
    with gguf_tools.open(path) as file:
        return {name: tensor.type_name for name, tensor in file.tensors.items()}


def test_options(source: Path, tmp_path: Path) -> None:
    options = [
        "--tensor-type",
        r"blk\.0\.ffn=Q5_1",
        "--tensor-type",
        "ffn=q8_0",
        "--token-embedding-type",
        "Q5_0",
    ]
    said("quantize", source, tmp_path / "a.gguf", "-t", "Q4_0", *options)
    found = types(tmp_path / "a.gguf")
    assert found["blk.0.ffn_up.weight"] == "Q5_1"
    assert found["blk.1.ffn_up.weight"] == "Q8_0"
    assert found["blk.1.attn_q.weight"] == "Q4_0"
    assert found["token_embd.weight"] == "Q5_0"


def test_convert_takes_the_same_options(
    source: Path, imatrix: Path, tiny_checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    options = ["-t", "Q4_K_S", "--imatrix", imatrix, "--tensor-type", "ffn_up=Q5_0", "--pure"]
    said("convert", tiny_checkpoints["qwen3"], tmp_path / "a.gguf", *options)
    said("quantize", source, tmp_path / "b.gguf", *options)
    with gguf_tools.open(tmp_path / "a.gguf") as a, gguf_tools.open(tmp_path / "b.gguf") as b:
        assert a.metadata["quantize.imatrix.entries_count"] == b.metadata["quantize.imatrix.entries_count"]
        for name, tensor in a.tensors.items():
            rows = tensor.shape[0] if len(tensor.shape) > 1 else 1
            assert tensor.type == b.tensors[name].type
            assert tensor.raw(0, rows).tobytes() == b.tensors[name].raw(0, rows).tobytes()


def test_pure(source: Path, tmp_path: Path) -> None:
    said("quantize", source, tmp_path / "a.gguf", "-t", "Q4_0", "--pure")
    assert set(types(tmp_path / "a.gguf").values()) == {"F32", "Q4_0"}


def test_file_of_overrides(source: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('type = "Q4_0"\n[tensors]\nattn_v = "Q8_0"\n')
    said("quantize", source, tmp_path / "a.gguf", "--overrides", tmp_path / "mine.toml")
    found = types(tmp_path / "a.gguf")
    assert (found["blk.0.attn_v.weight"], found["blk.0.attn_q.weight"]) == ("Q8_0", "Q4_0")
    said("quantize", source, tmp_path / "b.gguf", "--overrides", tmp_path / "mine.toml", "-t", "Q5_0")
    found = types(tmp_path / "b.gguf")
    assert (found["blk.0.attn_v.weight"], found["blk.0.attn_q.weight"]) == ("Q8_0", "Q5_0")


def test_the_former_name_of_overrides_works_and_says_so(source: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('type = "Q4_0"\npure = true\n')
    former = ["--recipe", tmp_path / "mine.toml"]
    result = invoke("quantize", source, tmp_path / "a.gguf", *former, "--json")
    assert result.stderr == "note: --recipe is now called --overrides\n"
    assert json.loads(result.stdout)["type"] == "Q4_0"
    assert set(types(tmp_path / "a.gguf").values()) == {"F32", "Q4_0"}
    both = invoke("quantize", source, tmp_path / "b.gguf", *former, "--overrides", tmp_path / "mine.toml")
    assert both.exit_code == 2
    assert "give one of them" in both.stderr
    assert "--recipe " not in said("quantize", "--help")


def test_a_type_is_needed_from_somewhere(source: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("pure = true\n")
    for options in ([], ["--overrides", tmp_path / "mine.toml"]):
        result = invoke("quantize", source, tmp_path / "a.gguf", *options)
        assert result.exit_code == 2
        assert "Missing option '--type'" in result.stderr


def test_explain_names_a_rule_for_every_tensor(source: Path, imatrix: Path, tmp_path: Path) -> None:
    options = ["-t", "Q4_K_M", "--tensor-type", "attn_k=Q8_0", "--imatrix", imatrix, "--dry-run"]
    text = said("quantize", source, tmp_path / "a.gguf", *options, "--explain")
    for name in types(source):
        assert name in text
    assert "asked for: matches 'attn_k'" in text
    assert "kept as it is: has one dimension" in text
    assert "with importances" in text
    assert "asked for" not in said("quantize", source, tmp_path / "a.gguf", *options)
    found = printed_json("quantize", source, tmp_path / "a.gguf", *options)
    tensors = {tensor["name"]: tensor for file in found["files"] for tensor in file["tensors"]}
    assert tensors["blk.0.attn_k.weight"]["rule"] == "asked for: matches 'attn_k'"
    assert tensors["blk.0.attn_k.weight"]["weighted"]
    assert not tensors["blk.0.attn_norm.weight"]["weighted"]
    assert not (tmp_path / "a.gguf").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-t", "IQ2_XXS"], "needs an importance matrix"),
        (["-t", "Q4_0", "--tensor-type", "x"], "not of the form REGEX=TYPE"),
        (["-t", "Q4_0", "--output-tensor-type", "Q4"], "unknown tensor type"),
        (["-t", "Q4_0", "--tensor-type", "attn=Q8_K"], "Q8_K cannot be encoded"),
        (["-t", "Q4_0", "--imatrix", "none.dat"], "none.dat"),
        (["--overrides", "none.toml"], "cannot open the file"),
    ],
)
def test_refusals_are_one_line(options: list[str], message: str, source: Path, tmp_path: Path) -> None:
    assert message in refused("quantize", source, tmp_path / "a.gguf", *options)
    assert not list(tmp_path.iterdir())


def test_warmup() -> None:
    assert said("warmup", "Q4_0").startswith("1 type ready in ")
    found = json.loads(said("warmup", "q4_0", "Q8_0", "--json"))
    assert list(found["seconds"]) == ["Q4_0", "Q8_0"]
    assert [path for path in Path(found["directory"]).rglob("*") if path.is_file()]
    assert said("warmup", "Q4_0", "--quiet") == ""
    assert "did you mean Q4_0" in refused("warmup", "Q4_00")
