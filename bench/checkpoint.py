"""A Llama-shaped checkpoint of random weights, as large as wanted, made without torch.

Dimensions are those of TinyLlama-1.1B; weights are normal with σ 0.02 and stored as BF16; the tokenizer
is a SentencePiece model of made-up pieces. The seed makes the bytes reproducible for one numpy version.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["build"]

HIDDEN = 2048
FEED_FORWARD = 5632
HEADS = 32
KV_HEADS = 4
VOCABULARY = 32000
SIGMA = 0.02


def build(directory: Path, layers: int = 22, seed: int = 0) -> Path:
    """The checkpoint in a directory below ``directory``; made on the first call, 2.2 GB for 22 layers."""
    target = directory / f"llama-1.1b-shaped-{layers}-layers-seed-{seed}"
    if not (target / "config.json").exists():
        target.mkdir(parents=True, exist_ok=True)
        _write_weights(target / "model.safetensors", layers, seed)
        (target / "tokenizer.model").write_bytes(_sentencepiece_model(VOCABULARY))
        tokenizer = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "add_eos_token": False}
        tokenizer |= {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
        (target / "tokenizer_config.json").write_text(json.dumps(tokenizer))
        (target / "config.json").write_text(json.dumps(_config(layers), indent=1))  # last: marks it complete
    return target


def _config(layers: int) -> dict[str, object]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": FEED_FORWARD,
        "num_hidden_layers": layers,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "vocab_size": VOCABULARY,
        "max_position_embeddings": 2048,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "hidden_act": "silu",
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
    }


def _shapes(layers: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield "model.embed_tokens.weight", (VOCABULARY, HIDDEN)
    kv = HIDDEN // HEADS * KV_HEADS
    for i in range(layers):
        yield f"model.layers.{i}.input_layernorm.weight", (HIDDEN,)
        yield f"model.layers.{i}.self_attn.q_proj.weight", (HIDDEN, HIDDEN)
        yield f"model.layers.{i}.self_attn.k_proj.weight", (kv, HIDDEN)
        yield f"model.layers.{i}.self_attn.v_proj.weight", (kv, HIDDEN)
        yield f"model.layers.{i}.self_attn.o_proj.weight", (HIDDEN, HIDDEN)
        yield f"model.layers.{i}.post_attention_layernorm.weight", (HIDDEN,)
        yield f"model.layers.{i}.mlp.gate_proj.weight", (FEED_FORWARD, HIDDEN)
        yield f"model.layers.{i}.mlp.up_proj.weight", (FEED_FORWARD, HIDDEN)
        yield f"model.layers.{i}.mlp.down_proj.weight", (HIDDEN, FEED_FORWARD)
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (VOCABULARY, HIDDEN)


def _write_weights(path: Path, layers: int, seed: int) -> None:
    import numpy as np

    entries: dict[str, object] = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, shape in _shapes(layers):
        size = 2
        for extent in shape:
            size *= extent
        entries[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    rng = np.random.default_rng(seed)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(header)) + header)
        for _, shape in _shapes(layers):
            if len(shape) == 1:
                values = np.ones(shape, np.float32)
            else:
                values = rng.standard_normal(shape, np.float32)
                values *= np.float32(SIGMA)
            bits = values.view(np.uint32)
            bits += 0x7FFF + ((bits >> 16) & 1)  # to nearest, ties to even
            (bits >> 16).astype("<u2").tofile(out)


def _sentencepiece_model(size: int) -> bytes:
    """A BPE model: three control pieces, 256 bytes, then made-up words. See sentencepiece_model.proto."""
    normal, unknown, control, byte = 1, 2, 3, 6
    pieces = [("<unk>", 0.0, unknown), ("<s>", 0.0, control), ("</s>", 0.0, control)]
    pieces += [(f"<0x{value:02X}>", 0.0, byte) for value in range(256)]
    pieces += [(f"▁t{i}", -float(i), normal) for i in range(size - len(pieces))]
    model = b""
    for text, score, kind in pieces:
        data = text.encode()
        piece = (
            b"\x0a" + _varint(len(data)) + data + b"\x15" + struct.pack("<f", score) + b"\x18" + _varint(kind)
        )
        model += b"\x0a" + _varint(len(piece)) + piece
    trainer = (
        b"\x18\x02" + b"\x20" + _varint(size) + b"\x98\x02\x01"
    )  # model_type BPE, vocab_size, byte_fallback
    normalizer = b"\x0a\x08identity" + b"\x18\x01\x20\x00\x28\x01"
    return model + b"\x12" + _varint(len(trainer)) + trainer + b"\x1a" + _varint(len(normalizer)) + normalizer


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


if __name__ == "__main__":  # in a process of its own, so that its memory is not counted as the benchmark's
    build(Path(os.fspath(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3]))
