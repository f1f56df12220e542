"""Tiny checkpoints: GPT-2."""

from __future__ import annotations

from tests.architectures.parts.base import Tensors, Tiny, shaped, with_bias
from tests.architectures.parts.decoders import HEADS, TOKENS, WIDTH, Shapes


def gpt2_like(
    block: Shapes, *, at: str = "transformer.h.{i}.", final: str = "transformer.ln_f", positions: bool = True
) -> Tensors:
    outside: Shapes = {"transformer.wte.weight": (TOKENS, WIDTH)}
    if positions:
        outside["transformer.wpe.weight"] = (512, WIDTH)
    outside |= {f"{final}.weight": (WIDTH,), f"{final}.bias": (WIDTH,)}
    return shaped(outside, [{at + name: shape for name, shape in block.items()}] * 2)


MODELS: dict[str, Tiny] = {
    # Matrices stored as (inputs, outputs).
    "gpt2": Tiny(
        config={
            "activation_function": "gelu_new",
            "architectures": ["GPT2LMHeadModel"],
            "bos_token_id": 520,
            "eos_token_id": 524,
            "layer_norm_epsilon": 1e-05,
            "model_type": "gpt2",
            "n_ctx": 512,
            "n_embd": WIDTH,
            "n_head": HEADS,
            "n_layer": 2,
            "n_positions": 512,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "vocab_size": TOKENS,
        },
        tensors=lambda _: gpt2_like(
            with_bias({"ln_1": (WIDTH,), "ln_2": (WIDTH,)})
            | with_bias(
                {
                    "attn.c_attn": (WIDTH, 3 * WIDTH),
                    "attn.c_proj": (WIDTH, WIDTH),
                    "mlp.c_fc": (WIDTH, 4 * WIDTH),
                    "mlp.c_proj": (4 * WIDTH, WIDTH),
                },
                out=1,
            )
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        gelu=True,
    ),
}
