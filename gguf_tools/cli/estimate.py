"""``gguf-tools estimate``: how much memory running a model takes, from its header alone."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from .console import console, facts, json_option, print_json, table
from .parameters import to_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from ..estimation import Estimate, Fit, Model, Settings

FIRST_CONTEXT = 4096
"""Smallest of the contexts shown where none is asked for; each next is twice as long."""

MOST_ROWS = 8


@click.command(
    epilog="\b\nExamples:\n"
    "  gguf-tools estimate model.gguf\n"
    "  gguf-tools estimate model.gguf -c 8192 -c 32768 --cache-type-k q8_0\n"
    "  gguf-tools estimate model-00001-of-00003.gguf --gpu-layers 20\n"
    "  gguf-tools estimate model.gguf --fits 24GiB -c 16384\n"
    "  gguf-tools estimate ./Qwen3-0.6B --type Q4_K_M --fits 6GiB\n"
    "  gguf-tools estimate model.gguf -c 8192 --json | jq '.estimates[0].total'"
)
@click.argument("model", type=click.Path())
@click.option(
    "--context",
    "-c",
    "contexts",
    multiple=True,
    type=click.IntRange(min=1),
    metavar="N",
    help="Tokens of context, of all sequences together; may be repeated. Default: several, up to what the "
    "model was trained with.",
)
@click.option(
    "--batch", "-b", type=click.IntRange(min=1), default=2048, show_default=True, metavar="N",
    help="Tokens given at once.",
)  # fmt: skip
@click.option(
    "--ubatch", "-u", type=click.IntRange(min=1), default=512, show_default=True, metavar="N",
    help="Tokens computed at once: what the compute buffer is made for.",
)  # fmt: skip
@click.option(
    "--parallel", "-n", type=click.IntRange(1, 256), default=1, show_default=True, metavar="N",
    help="Sequences side by side, each with its part of the context.",
)  # fmt: skip
@click.option(
    "--outputs", type=click.IntRange(min=1), metavar="N",
    help="Tokens of a micro-batch whose logits are computed. Default: the last of each sequence, as "
    "llama-server and llama-cli do; llama-perplexity and older releases compute those of all --ubatch.",
)  # fmt: skip
@click.option(
    "--cache-type-k", default="f16", show_default=True, metavar="TYPE", help="Type of cached keys: q8_0 …"
)
@click.option(
    "--cache-type-v", default="f16", show_default=True, metavar="TYPE", help="Type of cached values."
)
@click.option(
    "--flash-attn/--no-flash-attn", default=True, show_default=True, help="Attention without its scores."
)
@click.option("--swa-full", is_flag=True, help="Cache the whole context for sliding-window layers too.")
@click.option(
    "--gpu-layers", "-g", type=click.IntRange(min=0), default=0, metavar="N",
    help="Layers on the device, from the last; the output counts as one, so 99 means all of most models.",
)  # fmt: skip
@click.option(
    "--fits",
    metavar="SIZE",
    callback=to_bytes,
    help="Tell how many layers fit into so much device memory, such as 24GiB, with the (largest) context "
    "asked for, and how much context with all layers. Leave room for what the driver takes.",
)
@click.option(
    "--type", "-t", "recipe", metavar="TYPE",
    help="Type to convert or quantize to first. [default for a directory: Q4_K_M]",
)  # fmt: skip
@json_option
def command(
    model: str,
    contexts: tuple[int, ...],
    fits: int | None,
    recipe: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Estimate the memory MODEL takes to run: weights, caches, compute and output buffers.

    MODEL is a GGUF file, one file of a split model, or the directory of a Hugging Face checkpoint, which is
    not converted for it. Sizes are those of llama.cpp; nothing is loaded.
    """
    from ..estimation import estimate, fit, load_model

    loaded = load_model(model, recipe=recipe)
    settings = _settings(options)
    wanted = contexts or _usual(loaded.trained_context)
    estimates = [estimate(loaded, replace(settings, context=context)) for context in wanted]
    asked = max(contexts) if contexts else loaded.trained_context
    found = None if fits is None else fit(loaded, replace(settings, context=asked), fits)
    if as_json:
        document: dict[str, Any] = {
            "path": model,
            "architecture": loaded.architecture,
            "type": recipe,
            "layers": len(loaded.layers),
            "trained_context": loaded.trained_context,
            "weights": loaded.weights,
            "estimates": [entry.to_dict() for entry in estimates],
        }
        if found is not None:
            document["fits"] = found.to_dict()
        print_json(document)
        return
    _print(console(), loaded, settings, estimates, found)


def _settings(options: dict[str, Any]) -> Settings:
    from ..estimation import Settings

    return Settings(
        batch=options["batch"],
        ubatch=options["ubatch"],
        sequences=options["parallel"],
        outputs=options["outputs"],
        cache_type_k=options["cache_type_k"],
        cache_type_v=options["cache_type_v"],
        flash_attention=options["flash_attn"],
        full_window=options["swa_full"],
        gpu_layers=options["gpu_layers"],
    )


def _usual(trained: int) -> tuple[int, ...]:
    """Contexts to show where none is asked for: powers of two, up to the one the model was trained with."""
    contexts: list[int] = []
    context = FIRST_CONTEXT
    while context < trained and len(contexts) < MOST_ROWS - 1:
        contexts.append(context)
        context *= 2
    return (*contexts, trained)


def _print(
    out: Console, model: Model, settings: Settings, estimates: list[Estimate], found: Fit | None
) -> None:
    out.print(facts(_facts(model, settings, estimates[0])))
    out.print()
    split = bool(settings.gpu_layers)
    recurrent = any(layer.recurrent for layer in model.layers)
    parts = ["KV cache"] if model.attends else []
    parts += ["state"] if recurrent else []
    parts += ["compute", *(["device", "host"] if split else ["output"]), "total"]
    listing = table("context", *parts, right=("context", *parts))
    for entry in estimates:
        listing.add_row(f"{entry.sizes.context:,}", *(_cell(entry, part) for part in parts))
    out.print(listing)
    if found is not None:
        out.print()
        for line in _told(found):
            out.print(line)


def _facts(model: Model, settings: Settings, first: Estimate) -> dict[str, str]:
    """What holds for all rows."""
    attending = [layer for layer in model.layers if layer.cached]
    recurrent = sum(layer.recurrent for layer in model.layers)
    layers = [f"{len(model.layers)}"]
    if model.window:
        layers.append(f"{sum(layer.windowed for layer in attending)} see {model.window:,} tokens back")
    if recurrent:
        layers.append(f"{recurrent} with a state, {len(attending)} with a cache")
    weights = memory(model.weights)
    if settings.gpu_layers:
        weights += f": device {memory(first.device.weights)}, host {memory(first.host.weights)}"
    cache = f"{first.sizes.key_type.name} keys"
    cache += " only, compressed" if model.latent else f", {first.sizes.value_type.name} values"
    return {
        "model": model.path,
        "architecture": model.architecture,
        "layers": ", ".join(layers),
        "weights": weights,
        **({"cache": cache} if model.attends else {}),
        "micro-batch": f"{first.sizes.ubatch:,} tokens, logits of {first.sizes.outputs:,}"
        + (", flash attention" if settings.flash_attention and model.layers[0].heads else ""),
    }


def _cell(entry: Estimate, part: str) -> str:
    host, device = entry.host, entry.device
    values = {
        "KV cache": host.kv_cache + device.kv_cache,
        "state": host.state + device.state,
        "compute": host.compute + device.compute,
        "output": host.output + device.output,
        "device": device.total,
        "host": host.total,
        "total": entry.total,
    }
    return memory(values[part])


def _told(found: Fit) -> list[str]:
    budget = memory(found.budget)
    if found.layers == found.of_layers:
        first = f"{budget} hold all {found.of_layers} layers with {found.context:,} tokens of context"
    elif found.layers:
        first = f"{budget} hold {found.layers} of {found.of_layers} layers with {found.context:,} tokens"
        first += f" of context: --gpu-layers {found.layers}"
    else:
        first = f"{budget} hold no layer with {found.context:,} tokens of context"
    if found.largest_context is None:
        return [first, f"{budget} do not hold all layers, whatever the context"]
    return [first, f"with all layers, {found.largest_context:,} tokens of context fit"]


def memory(count: int) -> str:
    """Bytes in binary units, as llama.cpp and graphics cards count them: ``235.2 MiB``."""
    value, unit = count / 2**20, "MiB"
    if value >= 1024:
        value, unit = value / 1024, "GiB"
    return f"{value:.2f} {unit}" if unit == "GiB" else f"{value:.1f} {unit}"
