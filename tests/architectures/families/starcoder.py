"""Tiny checkpoints: StarCoder."""

from __future__ import annotations

from tests.architectures.families.gpt2 import gpt2_like
from tests.architectures.parts.base import Tiny, with_bias
from tests.architectures.parts.decoders import HEAD, HEADS, TOKENS, WIDTH

MODELS: dict[str, Tiny] = {
    # One head of keys and values for all.
    "starcoder": Tiny(
        config={
            "activation_function": "gelu_pytorch_tanh",
            "architectures": ["GPTBigCodeForCausalLM"],
            "bos_token_id": 520,
            "eos_token_id": 524,
            "layer_norm_epsilon": 1e-05,
            "model_type": "gpt_bigcode",
            "multi_query": True,
            "n_embd": WIDTH,
            "n_head": HEADS,
            "n_layer": 2,
            "n_positions": 512,
            "torch_dtype": "bfloat16",
            "transformers_version": "4.57.6",
            "vocab_size": TOKENS,
        },
        tensors=lambda _: gpt2_like(
            with_bias(
                {
                    "ln_1": (WIDTH,),
                    "ln_2": (WIDTH,),
                    "attn.c_attn": (WIDTH + 2 * HEAD, WIDTH),
                    "attn.c_proj": (WIDTH, WIDTH),
                    "mlp.c_fc": (4 * WIDTH, WIDTH),
                    "mlp.c_proj": (WIDTH, 4 * WIDTH),
                }
            )
        ),
        tokenizer="llama3",
        pre="llama-bpe",
        gelu=True,
    ),
}
