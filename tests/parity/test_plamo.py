"""PLaMo: the file llama.cpp's converter makes, attention as its authors define it, and the way back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import gguf_tools
from tests import tiny
from tests.architectures.families.plamo import plamo
from tests.goldens.converter import Job, convert
from tests.goldens.describe import describe
from tests.parity.reference import LARGEST_DIFFERENCE, TEXT, load_state
from tests.references.llama import Llama

pytestmark = pytest.mark.parity

F32 = NDArray[np.float32]

WIDTH, HEADS, KEYS, SIZE = 256, 8, 2, 32


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = plamo(WIDTH, HEADS, HEADS // KEYS)
    return tiny.write(model, tmp_path_factory.mktemp("plamo") / "tiny-plamo")


def test_the_file_is_the_converters(tmp_path: Path) -> None:
    checkpoint = tiny.write(plamo(5120, 40, 8), tmp_path / "tiny-plamo")
    theirs, ours = tmp_path / "theirs.gguf", tmp_path / "ours.gguf"
    convert([Job(checkpoint, theirs, "bf16")])
    gguf_tools.convert(checkpoint, ours, type="BF16")
    found, expected = describe(ours), describe(theirs)
    for path in (ours, theirs, *checkpoint.glob("*.safetensors")):
        path.unlink()  # a hundred megabytes each
    assert found == expected


def test_it_goes_there_and_back(checkpoint: Path, tmp_path: Path) -> None:
    path, exported = tmp_path / "model.gguf", tmp_path / "tiny-plamo"
    gguf_tools.convert(checkpoint, path, type="BF16")
    gguf_tools.export(path, exported, dtype="bf16")
    theirs, ours = load_state(checkpoint), load_state(exported)
    assert set(ours) == set(theirs)
    for name, values in theirs.items():
        np.testing.assert_array_equal(ours[name], values, err_msg=name)


def test_logits_agree(checkpoint: Path, tmp_path: Path, measured: Callable[[str], None]) -> None:
    path = tmp_path / "f32.gguf"
    gguf_tools.convert(checkpoint, path, type="F32")
    with Llama(path) as model:
        tokens = model.tokenize(TEXT)
        ours = model.logits(tokens)
    theirs = computed(load_state(checkpoint), tokens)
    largest = float(np.abs(ours - theirs).max())
    measured(f"logits plamo: largest difference {largest:.1e}")
    assert theirs.std() > 0.5
    assert largest < LARGEST_DIFFERENCE


def computed(state: dict[str, F32], tokens: list[int]) -> F32:
    """One layer: attention and feed-forward of the same normed input, added to it."""
    at = "model.layers.layers.0."
    x = state["model.embed_tokens.weight"][tokens]
    h = normed(x, state[at + "norm.weight"])
    q, k, v = (
        (h @ state[f"{at}self_attn.{name}_proj.weight"].T).reshape(len(tokens), -1, SIZE).swapaxes(0, 1)
        for name in "qkv"
    )
    # key heads repeated as a whole: the first queries ask one each, then the next
    k, v = np.tile(rotated(k), (HEADS // KEYS, 1, 1)), np.tile(v, (HEADS // KEYS, 1, 1))
    scores = rotated(q) @ k.swapaxes(1, 2) / SIZE**0.5
    scores += np.triu(np.full((len(tokens), len(tokens)), -np.inf), 1)
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    attended = (weights @ v).swapaxes(0, 1).reshape(len(tokens), -1) @ state[at + "self_attn.o_proj.weight"].T
    gate, up = h @ state[at + "mlp.gate_proj.weight"].T, h @ state[at + "mlp.up_proj.weight"].T
    fed = (gate / (1 + np.exp(-gate)) * up) @ state[at + "mlp.down_proj.weight"].T
    made: F32 = normed(x + attended + fed, state["model.norm.weight"]) @ state["lm_head.weight"].T
    return made


def normed(x: F32, weight: F32) -> F32:
    made: F32 = x / np.sqrt((x.astype(np.float64) ** 2).mean(axis=-1, keepdims=True) + 1e-5) * weight
    return made


def rotated(x: F32) -> F32:
    """(heads, tokens, size): the first half of a head turned against the second."""
    half = SIZE // 2
    angles = np.arange(x.shape[1])[:, None] * 10000.0 ** -(np.arange(half) / half)
    a, b = x[..., :half], x[..., half:]
    made: F32 = np.concatenate(
        [a * np.cos(angles) - b * np.sin(angles), b * np.cos(angles) + a * np.sin(angles)], axis=-1
    )
    return made
