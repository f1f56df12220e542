"""Encoders: RoBERTa, XLM-RoBERTa, DistilBERT, ModernBERT, Nomic's and Jina's BERTs, and T5."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from .base import Tensors, Tiny, encoder, norm, shaped, weight, with_bias
from .first import MODULES, POOLING

Config = dict[str, Any]
WIDTH, INNER, LAYERS, HEADS = 256, 96, 3, 4


def sentence_transformer(flag: str) -> dict[str, str]:
    """The files that say how token embeddings become one."""
    pooling = {key: key == flag for key in POOLING if key.startswith("pooling_mode")}
    settings = {"word_embedding_dimension": WIDTH} | pooling
    return {
        "modules.json": json.dumps(MODULES, indent=2) + "\n",
        "1_Pooling/config.json": json.dumps(settings, indent=2) + "\n",
    }


def bert_config(hf_class: str, model_type: str, vocab_size: int, **changes: Any) -> Config:
    """Config of a small encoder of BERT's shape."""
    return {
        "architectures": [hf_class],
        "attention_probs_dropout_prob": 0.1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "hidden_size": WIDTH,
        "initializer_range": 0.02,
        "intermediate_size": INNER,
        "layer_norm_eps": 1e-05,
        "max_position_embeddings": 66,
        "model_type": model_type,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
        "pad_token_id": 1,
        "position_embedding_type": "absolute",
        "torch_dtype": "float32",
        "transformers_version": "4.57.6",
        "type_vocab_size": 1,
        "use_cache": True,
        "vocab_size": vocab_size,
    } | changes


def classifier(config: Config) -> Tensors:
    """RoBERTa with a head, and the prefix that comes with one."""
    labels = len(config["id2label"])
    made: Tensors = {
        f"roberta.{name}": values for name, values in encoder(config).items() if not name.startswith("pooler")
    }
    made.update(
        [
            norm("classifier.dense.bias", WIDTH, 0.0),
            weight("classifier.dense.weight", WIDTH, WIDTH),
            norm("classifier.out_proj.bias", labels, 0.0),
            weight("classifier.out_proj.weight", labels, WIDTH),
        ]
    )
    return made


def distilbert(config: Config) -> Tensors:
    """Tensors of the bare model."""
    at = "transformer.layer.{i}."
    block = with_bias(
        {at + f"attention.{part}": (WIDTH, WIDTH) for part in ("q_lin", "k_lin", "v_lin", "out_lin")}
        | {at + "sa_layer_norm": (WIDTH,), at + "output_layer_norm": (WIDTH,)}
        | {at + "ffn.lin1": (INNER, WIDTH), at + "ffn.lin2": (WIDTH, INNER)}
    )
    outside: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], WIDTH),
        "embeddings.position_embeddings.weight": (config["max_position_embeddings"], WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
    }
    return shaped(outside, [block] * config["n_layers"])


def modern_bert(config: Config) -> Tensors:
    """Tensors of the bare model, or with the head its class has."""
    hf_class = config["architectures"][0]
    prefix = "" if hf_class == "ModernBertModel" else "model."
    at = prefix + "layers.{i}."
    block: dict[str, tuple[int, ...]] = {
        at + "attn.Wqkv.weight": (3 * WIDTH, WIDTH),
        at + "attn.Wo.weight": (WIDTH, WIDTH),
        at + "mlp_norm.weight": (WIDTH,),
        at + "mlp.Wi.weight": (2 * INNER, WIDTH),
        at + "mlp.Wo.weight": (WIDTH, INNER),
    }
    later = {at + "attn_norm.weight": (WIDTH,)} | block
    outside: dict[str, tuple[int, ...]] = {
        prefix + "embeddings.tok_embeddings.weight": (config["vocab_size"], WIDTH),
        prefix + "embeddings.norm.weight": (WIDTH,),
        prefix + "final_norm.weight": (WIDTH,),
    }
    if prefix:
        outside |= {"head.dense.weight": (WIDTH, WIDTH), "head.norm.weight": (WIDTH,)}
        labels = len(config["id2label"])
        outside |= {"classifier.weight": (labels, WIDTH), "classifier.bias": (labels,)}
    return shaped(outside, [block] + [later] * (config["num_hidden_layers"] - 1))


MODERN_BERT: Config = {
    "attention_bias": False,
    "classifier_pooling": "mean",
    "decoder_bias": True,
    "global_attn_every_n_layers": 3,
    "global_rope_theta": 160000.0,
    "hidden_activation": "gelu",
    "hidden_size": WIDTH,
    "intermediate_size": INNER,
    "layer_norm_eps": 1e-05,
    "local_attention": 16,
    "local_rope_theta": 10000.0,
    "max_position_embeddings": 128,
    "mlp_bias": False,
    "model_type": "modernbert",
    "norm_bias": False,
    "norm_eps": 1e-05,
    "num_attention_heads": HEADS,
    "num_hidden_layers": 4,
    "pad_token_id": 473,
    "torch_dtype": "bfloat16",
    "transformers_version": "4.57.6",
}


def nomic_bert(config: Config) -> Tensors:
    """Tensors of version 1, or of version 2 with experts in every other layer."""
    moe = config.get("moe_every_n_layers")
    at = "encoder.layers.{i}."
    attention = {at + "attn.Wqkv": (3 * WIDTH, WIDTH), at + "attn.out_proj": (WIDTH, WIDTH)}
    norms = with_bias({at + "norm1": (WIDTH,), at + "norm2": (WIDTH,)})
    inner, outer = (INNER, WIDTH), (WIDTH, INNER)
    if moe:
        rows = config["num_experts"] * INNER
        dense = norms | with_bias(attention | {at + "mlp.fc1": inner, at + "mlp.fc2": outer})
        routed = norms | with_bias(attention)
        routed |= {
            at + "mlp.router.layer.weight": (config["num_experts"], WIDTH),
            at + "mlp.experts.mlp.w1": (rows, WIDTH),
            at + "mlp.experts.mlp.w2": (rows, WIDTH),
            at + "mlp.experts.bias": (WIDTH,),
        }
        blocks = [routed if i % moe == 1 else dense for i in range(config["n_layer"])]
    else:
        modules = attention | {at + "mlp.fc11": inner, at + "mlp.fc12": inner, at + "mlp.fc2": outer}
        blocks = [norms | {f"{name}.weight": shape for name, shape in modules.items()}] * config["n_layer"]
    outside: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], WIDTH),
        "embeddings.token_type_embeddings.weight": (config["type_vocab_size"], WIDTH),
        "emb_ln.weight": (WIDTH,),
        "emb_ln.bias": (WIDTH,),
    }
    return shaped(outside, blocks)


NOMIC_BERT: Config = {
    "activation_function": "swiglu",
    "architectures": ["NomicBertModel"],
    "causal": False,
    "layer_norm_epsilon": 1e-12,
    "max_trained_positions": 2048,
    "mlp_fc1_bias": False,
    "mlp_fc2_bias": False,
    "model_type": "nomic_bert",
    "n_embd": WIDTH,
    "n_head": HEADS,
    "n_inner": INNER,
    "n_layer": LAYERS,
    "n_positions": 8192,
    "prenorm": False,
    "qkv_proj_bias": False,
    "rotary_emb_base": 1000,
    "rotary_emb_fraction": 1.0,
    "rotary_emb_interleaved": False,
    "rotary_emb_scale_base": None,
    "rotary_scaling_factor": None,
    "torch_dtype": "float32",
    "transformers_version": "4.57.6",
    "type_vocab_size": 2,
    "use_rms_norm": False,
    "vocab_size": 448,
}


def jina_bert(config: Config) -> Tensors:
    """Tensors of the models for text, or of that for code, which has more norms and other names."""
    code = "qk-post-norm" in config["auto_map"]["AutoConfig"]
    at = "encoder.layer.{i}."
    down, last = ("mlp.down_layer", "layer_norm_2") if code else ("mlp.wo", "mlp.layernorm")
    modules: dict[str, tuple[int, ...]] = {
        **{at + f"attention.self.{part}": (WIDTH, WIDTH) for part in ("query", "key", "value")},
        at + "attention.output.dense": (WIDTH, WIDTH),
        at + "attention.output.LayerNorm": (WIDTH,),
        at + down: (WIDTH, INNER),
        at + last: (WIDTH,),
    }
    if code:
        modules |= {
            at + name: (WIDTH,)
            for name in ("attention.self.layer_norm_q", "attention.self.layer_norm_k", "layer_norm_1")
        }
    block = with_bias(modules) | {
        at + f"mlp.{'up_gated_layer' if code else 'gated_layers'}.weight": (192, WIDTH)
    }
    outside: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config["vocab_size"], WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
        "embeddings.LayerNorm.weight": (WIDTH,),
        "embeddings.LayerNorm.bias": (WIDTH,),
        "pooler.dense.weight": (WIDTH, WIDTH),
        "pooler.dense.bias": (WIDTH,),
    }
    return shaped(outside, [block] * LAYERS)


def jina_config(vocab_size: int, code: str, **changes: Any) -> Config:
    """Config as Jina publishes it: ``code`` is the repository of the model's code."""
    names = {"AutoConfig": "configuration_bert.JinaBertConfig", "AutoModel": "modeling_bert.JinaBertModel"}
    return bert_config(
        "JinaBertModel",
        "bert",
        vocab_size,
        auto_map={key: f"{code}--{name}" for key, name in names.items()},
        feed_forward_type="geglu",
        layer_norm_eps=1e-12,
        max_position_embeddings=8192,
        position_embedding_type="alibi",
        type_vocab_size=2,
        **changes,
    )


def t5(config: Config) -> Tensors:
    """Tensors of the encoder and, but for the encoder's own class, of the decoder."""
    alone = config["architectures"] == ["T5EncoderModel"]
    every = config["model_type"] == "umt5"
    gated = config["feed_forward_proj"].startswith("gated")
    inside = config["num_heads"] * config["d_kv"]

    def attention(at: str) -> dict[str, tuple[int, ...]]:
        return {at + f"{part}.weight": (inside, WIDTH) for part in "qkv"} | {at + "o.weight": (WIDTH, inside)}

    def feed_forward(at: str) -> dict[str, tuple[int, ...]]:
        names = ("wi_0", "wi_1") if gated else ("wi",)
        made = {at + f"DenseReluDense.{name}.weight": (INNER, WIDTH) for name in names}
        return made | {at + "DenseReluDense.wo.weight": (WIDTH, INNER), at + "layer_norm.weight": (WIDTH,)}

    def block(side: str, layer: int) -> dict[str, tuple[int, ...]]:
        at = f"{side}.block.{layer}.layer."
        made = attention(at + "0.SelfAttention.") | {at + "0.layer_norm.weight": (WIDTH,)}
        if layer == 0 or every:
            made[at + "0.SelfAttention.relative_attention_bias.weight"] = (32, config["num_heads"])
        if side == "decoder":
            made |= attention(at + "1.EncDecAttention.") | {at + "1.layer_norm.weight": (WIDTH,)}
        return made | feed_forward(at + ("2." if side == "decoder" else "1."))

    named: dict[str, tuple[int, ...]] = {"shared.weight": (config["vocab_size"], WIDTH)}
    for side, layers in (("encoder", config["num_layers"]), ("decoder", config.get("num_decoder_layers", 0))):
        if side == "encoder" or not alone:
            for layer in range(layers):
                named |= block(side, layer)
            named[f"{side}.final_layer_norm.weight"] = (WIDTH,)
    if not alone and not config["tie_word_embeddings"]:
        named["lm_head.weight"] = (config["vocab_size"], WIDTH)
    # T5 does not divide attention by the root of the head's size: its queries are small instead
    return {
        name: values / 8 if name.endswith("Attention.q.weight") else values
        for name, values in shaped(named, []).items()
    }


def t5_config(hf_class: str, model_type: str, **changes: Any) -> Config:
    """Config of a small T5."""
    return {
        "architectures": [hf_class],
        "d_ff": INNER,
        "d_kv": 32,
        "d_model": WIDTH,
        "decoder_start_token_id": 0,
        "dropout_rate": 0.1,
        "eos_token_id": 1,
        "feed_forward_proj": "gated-gelu",
        "is_encoder_decoder": True,
        "layer_norm_epsilon": 1e-06,
        "model_type": model_type,
        "n_positions": 512,
        "num_decoder_layers": 2,
        "num_heads": HEADS,
        "num_layers": LAYERS,
        "pad_token_id": 0,
        "relative_attention_max_distance": 128,
        "relative_attention_num_buckets": 32,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.57.6",
        "vocab_size": 288,
    } | changes


def repeated(config: Config) -> Tensors:
    """T5 as its first checkpoints store it: the embedding under every name it has."""
    made = t5(config)
    return made | {f"{side}.embed_tokens.weight": made["shared.weight"] for side in ("encoder", "decoder")}


_SENTIMENT = {"0": "negative", "1": "neutral", "2": "positive"}

_MODELS: dict[str, Tiny] = {
    # A position embedding with two rows no token uses; the bare model.
    "roberta": Tiny(
        config=bert_config("RobertaModel", "roberta", 481),
        tensors=encoder,
        tokenizer="roberta",
        pre="roberta-bpe",
        dtype="F16",
        files=sentence_transformer("pooling_mode_mean_tokens"),
        gelu=True,
    ),
    "roberta-classifier": Tiny(
        config=bert_config(
            "RobertaForSequenceClassification",
            "roberta",
            482,
            id2label=_SENTIMENT,
            label2id={label: int(i) for i, label in _SENTIMENT.items()},
        ),
        tensors=classifier,
        tokenizer="roberta",
        pre="roberta-bpe",
        gelu=True,
    ),
    # From the SentencePiece model, whose ids are not the tokenizer's.
    "xlm-roberta": Tiny(
        config=bert_config("XLMRobertaModel", "xlm-roberta", 264),
        tensors=encoder,
        tokenizer="xlm-roberta",
        files=sentence_transformer("pooling_mode_cls_token"),
        gelu=True,
    ),
    # From tokenizer.json.
    "xlm-roberta-json": Tiny(
        config=bert_config(
            "XLMRobertaForSequenceClassification",
            "xlm-roberta",
            262,
            id2label={"0": "LABEL_0"},
            label2id={"LABEL_0": 0},
        ),
        tensors=classifier,
        tokenizer="xlm-roberta",
        without=("sentencepiece.bpe.model",),
        gelu=True,
    ),
    "distilbert": Tiny(
        config={
            "activation": "gelu",
            "architectures": ["DistilBertModel"],
            "dim": WIDTH,
            "hidden_dim": INNER,
            "max_position_embeddings": 64,
            "model_type": "distilbert",
            "n_heads": HEADS,
            "n_layers": LAYERS,
            "pad_token_id": 0,
            "sinusoidal_pos_embds": False,
            "tie_weights_": True,
            "torch_dtype": "float32",
            "transformers_version": "4.57.6",
            "vocab_size": 437,
        },
        tensors=distilbert,
        tokenizer="bert",
        pre="jina-v2-en",
        gelu=True,
    ),
    # Windows shorter than the text in three layers of four.
    "modern-bert": Tiny(
        config=MODERN_BERT | {"architectures": ["ModernBertModel"], "vocab_size": 480},
        tensors=modern_bert,
        tokenizer="modern-bert",
        pre="modern-bert",
        files=sentence_transformer("pooling_mode_cls_token"),
        gelu=True,
    ),
    "modern-bert-classifier": Tiny(
        config=MODERN_BERT
        | {
            "architectures": ["ModernBertForSequenceClassification"],
            "id2label": {"0": "LABEL_0"},
            "label2id": {"LABEL_0": 0},
            "vocab_size": 475,
        },
        tensors=modern_bert,
        tokenizer="modern-bert",
        pre="modern-bert",
        gelu=True,
    ),
    # Their code is not in transformers.
    "nomic-bert": Tiny(
        config=NOMIC_BERT,
        tensors=nomic_bert,
        tokenizer="bert",
        pre="jina-v2-en",
        files=sentence_transformer("pooling_mode_mean_tokens"),
        runs=False,
        foreign=True,
    ),
    "nomic-bert-moe": Tiny(
        config=NOMIC_BERT
        | {
            "activation_function": "gelu",
            "layer_norm_epsilon": 1e-05,
            "mlp_fc1_bias": True,
            "mlp_fc2_bias": True,
            "moe_every_n_layers": 2,
            "moe_top_k": 2,
            "n_layer": 4,
            "n_positions": 2048,
            "num_experts": 4,
            "pad_token_id": 1,
            "qkv_proj_bias": True,
            "rotary_emb_base": 10000,
            "type_vocab_size": 1,
            "vocab_size": 272,
        },
        tensors=nomic_bert,
        tokenizer="xlm-roberta",
        without=("sentencepiece.bpe.model",),
        gelu=True,
        runs=False,
        foreign=True,
    ),
    "jina-bert-v2": Tiny(
        config=jina_config(437, "jinaai/jina-bert-implementation", pad_token_id=0),
        tensors=jina_bert,
        tokenizer="bert",
        pre="jina-v2-en",
        dtype="F16",
        files=sentence_transformer("pooling_mode_mean_tokens"),
        gelu=True,
        runs=False,
        foreign=True,
    ),
    "jina-bert-v2-code": Tiny(
        config=jina_config(481, "jinaai/jina-bert-v2-qk-post-norm"),
        tensors=jina_bert,
        tokenizer="roberta",
        pre="roberta-bpe",
        dtype="F16",
        gelu=True,
        runs=False,
        foreign=True,
    ),
    # Fewer layers in the decoder, gated, untied; padding after the tokens.
    "t5": Tiny(
        config=t5_config("T5ForConditionalGeneration", "t5"),
        tensors=repeated,
        tokenizer="t5",
        gelu=True,
    ),
    # The first T5: tied, not gated.
    "t5-tied": Tiny(
        config=t5_config(
            "T5ForConditionalGeneration",
            "t5",
            feed_forward_proj="relu",
            num_decoder_layers=LAYERS,
            tie_word_embeddings=True,
            vocab_size=280,
        ),
        tensors=t5,
        tokenizer="t5",
    ),
    "umt5": Tiny(
        config=t5_config("UMT5ForConditionalGeneration", "umt5", num_decoder_layers=LAYERS),
        tensors=t5,
        tokenizer="t5",
        gelu=True,
    ),
    "t5-encoder": Tiny(
        config=t5_config("T5EncoderModel", "t5"),
        tensors=t5,
        tokenizer="t5",
        gelu=True,
    ),
}

MODELS: dict[str, Tiny] = {
    name: replace(model, encoder=name not in ("t5", "t5-tied", "umt5")) for name, model in _MODELS.items()
}
