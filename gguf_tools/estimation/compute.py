"""The computation of one micro-batch, from token numbers to logits: the size of the compute buffers."""

from __future__ import annotations

from typing import Final

from ..architectures.traits import Mixer, Stack
from .attention import AttentionInputs, attention, attention_inputs
from .feed_forward import experts, feed_forward
from .gemma3n import gemma3n
from .graph import HOST, Value
from .graph_builder import BEFORE, Builder
from .model import Model
from .recurrent import delta_net, mamba, mamba2, short_convolution
from .rwkv import rwkv
from .seq2seq import t5
from .settings import Sizes

__all__ = ["compute_bytes"]

_MIXERS: Final = {
    Mixer.MAMBA: mamba,
    Mixer.MAMBA2: mamba2,
    Mixer.SHORT_CONVOLUTION: short_convolution,
    Mixer.DELTA_NET: delta_net,
}


def compute_bytes(model: Model, sizes: Sizes) -> dict[int, int]:
    """Bytes of the buffer for intermediate values, by device (`HOST`, `ACCELERATOR`)."""
    build, stack = Builder(model, sizes), model.graph.stack
    inputs = attention_inputs(build) if any(layer.heads for layer in model.layers) else None
    hidden = _embedded(build, inputs)
    chosen = build.input(sizes.outputs)
    if _is_rwkv(model):
        hidden = rwkv(build, hidden, chosen)
    elif stack is Stack.GEMMA3N and inputs is not None:
        hidden = gemma3n(build, hidden, inputs, chosen)
    elif stack in (Stack.ENCODER_DECODER, Stack.ENCODER):
        hidden = t5(build, hidden, chosen)
    else:
        for index in range(len(model.layers)):
            hidden = _layer(build, index, hidden, inputs, chosen)
    _finished(build, hidden)
    return build.graph.buffer_sizes()


def _is_rwkv(model: Model) -> bool:
    """RWKV's norm of the embeddings is on the first layer's device."""
    return model.graph.stack is Stack.RWKV


def _embedded(build: Builder, inputs: AttentionInputs | None) -> Value:
    """Embeddings of the tokens, or of pictures in their place, or of both mixed: there is room for all."""
    model, tokens = build.model, build.tokens
    weight = build.weight(BEFORE)
    width = model.width * (1 + model.hparams.number("n_deepstack_layers", 0))
    hidden = _looked_up(build, weight, width)
    build.graph.expand(hidden)
    build.graph.expand(build.input(width, tokens))
    some, places = _looked_up(build, weight, width), build.input(tokens, width=8)
    mixed = Value(hidden.shape, "dup", (build.input(width, tokens),))
    build.graph.expand(Value(hidden.shape, "store", (some, places, mixed), base=mixed))
    build.embedded = hidden
    if width > model.width:
        hidden = build.part(hidden, model.width, tokens)
    if model.graph.scaled_embeddings:
        hidden = build.elementwise("mul", hidden, build.input(1, tokens))
        build.graph.expand(hidden)
    if model.has("token_types"):
        hidden = build.elementwise("add", hidden, build.weight(BEFORE))
    if model.has("position_embd") and inputs is not None:
        row = Value(hidden.shape, "get_rows", (build.weight(BEFORE), inputs.positions), place=HOST)
        if model.remembers:
            build.graph.expand(row)
        first, second = (hidden, row) if model.remembers else (row, hidden)
        hidden = build.elementwise("add", first, second)
    if model.has("token_embd_norm"):
        hidden = build.norm("token_embd_norm", 0 if _is_rwkv(model) else BEFORE, hidden)
    if model.hparams.real("embedding_scale") not in (0.0, 1.0):
        hidden = build.elementwise("scale", hidden)
    return hidden


def _looked_up(build: Builder, weight: Value, width: int) -> Value:
    """Rows of the embedding matrix, with zeros behind where pictures are given to several layers."""
    tokens = build.tokens
    found = Value((build.model.width, tokens), "get_rows", (weight, build.input(tokens)), place=HOST)
    return found if width == build.model.width else build.fresh("pad", (width, tokens), found)


def _layer(build: Builder, index: int, hidden: Value, inputs: AttentionInputs | None, chosen: Value) -> Value:
    """One layer: something that mixes tokens, a network for each token, and sums around both."""
    model, layer = build.model, build.model.layers[index]
    normed = build.norm("attn_norm", index, hidden) if _norms_first(build, index) else hidden
    if not layer.heads and not layer.recurrent:
        return _only_network(build, index, hidden, normed, chosen)
    given = normed
    if model.graph.attention_norm and build.has("attn_norm_2", index):
        given = build.norm("attn_norm_2", index, hidden)
    mixed = _mixed(build, index, given, hidden, inputs)
    if index == len(model.layers) - 1:
        mixed, hidden = build.rows(mixed, chosen), build.rows(hidden, chosen)
        normed = build.rows(normed, chosen) if _is_parallel(build, index) else normed
    if model.graph.stack is Stack.MIXERS:
        return build.elementwise("add", mixed, hidden)
    if _is_parallel(build, index):
        network = _network(build, index, normed)
        parts = (mixed, network) if model.graph.attention_first else (network, mixed)
        return build.elementwise("add", build.elementwise("add", *parts), hidden)
    mixed = _scaled(build, _normed_after(build, index, "post_attention_norm", mixed))
    first, second = (hidden, mixed) if model.graph.residual_first else (mixed, hidden)
    before_attention, hidden = hidden, build.elementwise("add", first, second)
    hidden = _normed_after(build, index, "attn_output_norm", hidden)
    if model.graph.second_residual and build.has("attn_norm_2", index):
        hidden = build.norm("attn_norm_2", index, build.elementwise("add", hidden, before_attention))
    before = _normed_before(build, index, hidden)
    made = _normed_after(build, index, "post_ffw_norm", _network(build, index, before))
    hidden = build.elementwise("add", _scaled(build, made), hidden)
    if build.embedded is not None and index < model.hparams.number("n_deepstack_layers", 0):
        hidden = build.elementwise("add", hidden, build.part(build.embedded, *hidden.shape))
    return _normed_after(build, index, "layer_output_norm", hidden)


def _mixed(build: Builder, index: int, value: Value, hidden: Value, inputs: AttentionInputs | None) -> Value:
    """Attention, a recurrence, or both, which then is given what is normalized again."""
    model, layer = build.model, build.model.layers[index]
    if layer.heads and inputs is not None:
        attended = attention(build, index, value, inputs)
        if not layer.recurrent:
            return attended
        again = build.norm("attn_norm", index, hidden)
        return build.elementwise("add", attended, mamba2(build, index, again))
    return _MIXERS[model.graph.mixer](build, index, value)


def _norms_first(build: Builder, index: int) -> bool:
    """Whether a layer normalizes what it is given; OLMo does without a weight."""
    return build.has("attn_norm", index) or build.model.graph.unweighted_norms


def _is_parallel(build: Builder, index: int) -> bool:
    """Whether attention and network are given the same."""
    after = ("ffn_norm", "post_attention_norm", "attn_output_norm", "post_ffw_norm")
    return not build.model.graph.unweighted_norms and not any(build.has(name, index) for name in after)


def _normed_before(build: Builder, index: int, value: Value) -> Value:
    """What the network is given."""
    graph = build.model.graph
    if graph.network_norm_after or graph.unweighted_norms:
        return build.norm("post_attention_norm", index, value)
    return build.norm("ffn_norm", index, value) if build.has("ffn_norm", index) else value


def _normed_after(build: Builder, index: int, name: str, value: Value) -> Value:
    """A part's result, normalized where the layer has a norm of that name for it."""
    before = name == "post_attention_norm" and build.model.graph.network_norm_after
    return build.norm(name, index, value) if build.has(name, index) and not before else value


def _scaled(build: Builder, value: Value) -> Value:
    scale = build.model.hparams.real("residual_scale")
    return build.elementwise("scale", value) if scale not in (0.0, 1.0) else value


def _network(build: Builder, index: int, value: Value) -> Value:
    """The network of a layer: of experts where it has a router."""
    if build.has("ffn_gate_inp", index):
        return experts(build, index, value)
    return feed_forward(build, index, value)


def _only_network(build: Builder, index: int, hidden: Value, normed: Value, chosen: Value) -> Value:
    """A layer that does not mix tokens."""
    made = _network(build, index, normed)
    if index == len(build.model.layers) - 1:
        made, hidden = build.rows(made, chosen), build.rows(hidden, chosen)
    return build.elementwise("add", made, hidden)


def _finished(build: Builder, hidden: Value) -> None:
    """The last norm and the logits, or an encoder's states."""
    model = build.model
    if model.has("output_norm"):
        hidden = build.norm("output_norm", None, hidden)
    if model.remembers and model.graph.stack is not Stack.ENCODER:
        logits = build.multiplied(model.vocabulary, None, hidden)
        logits = build.biased("output", None, logits)
        if model.hparams.real("final_logit_softcapping"):
            for operation in ("scale", "unary", "scale"):
                logits = build.elementwise(operation, logits)
        logits.is_output = True
        build.graph.expand(logits)
        return
    hidden.is_output = True
    build.graph.expand(hidden)
