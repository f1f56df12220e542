"""What ``convert``, ``quantize`` and ``export`` have in common: plan, then show or execute, then report."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

from .console import console, facts, number, print_json, progress, seconds, size, table

if TYPE_CHECKING:
    from rich.console import Console

    from ..conversion.plan import Plan
    from ..conversion.predict import Draft, Prediction
    from ..conversion.type_stats import TypeShare
    from .options_quantize import Wanted
    from .options_run import Execution

MAX_NAMES_SHOWN = 8
"""Tensor names listed after a fallback or drop; ``--json`` has all of them."""


def run_draft(
    make_draft: Callable[[], Draft], destination: str, wanted: Wanted, *, action: str, how: Execution
) -> None:
    """`run` for a job whose types are a recipe's; a dry run tells how large other recipes would be too."""
    from ..conversion.predict import predict_draft
    from ..conversion.sharding import split_plan

    options = wanted.types
    recipe, matrix = options.load()
    draft = cache(make_draft)

    def make_plan() -> Plan:
        plan = draft().plan(recipe, matrix, options.overrides)
        return split_plan(plan, destination, options.split_max_size)

    run(
        make_plan,
        destination,
        action=action,
        dry_run=wanted.dry_run,
        how=how,
        explain=wanted.explain,
        others=lambda: predict_draft(draft(), matrix, options.overrides),
    )


def run(
    make_plan: Callable[[], Plan],
    destination: str,
    *,
    action: str,
    dry_run: bool,
    how: Execution,
    explain: bool = False,
    others: Callable[[], Sequence[Prediction]] | None = None,
) -> None:
    """Make the plan and carry it out, or with ``dry_run`` only show it, and what ``others`` predicts."""
    started = time.monotonic()
    with make_plan() as plan:
        _run(plan, destination, started, action, dry_run, how, explain, others)


def _run(
    plan: Plan,
    destination: str,
    started: float,
    action: str,
    dry_run: bool,
    how: Execution,
    explain: bool,
    others: Callable[[], Sequence[Prediction]] | None,
) -> None:
    elapsed = None
    if not dry_run:
        from ..conversion.engine import execute

        with _ending_orderly(), progress(action, quiet=how.quiet or how.as_json) as report:
            execute(plan, destination, replace(how.run, progress=report))
        elapsed = time.monotonic() - started
    if how.as_json:
        document = plan.to_dict()
        if dry_run and others is not None:
            document["recipes"] = [prediction.to_dict() for prediction in others()]
        print_json({**document, "destination": destination, "written": not dry_run, "seconds": elapsed})
    elif dry_run or explain or not how.quiet:
        out = console()
        if explain:
            _print_rules(out, plan)
        _print_plan(out, plan, destination, elapsed)
        if dry_run and others is not None and len(plan.files) == 1:
            _print_others(out, plan, others())


@contextmanager
def _ending_orderly() -> Iterator[None]:
    """Let SIGTERM end as an error does, which takes back what was begun, instead of just stopping."""

    def terminated(number: int, frame: object) -> None:
        sys.exit(128 + number)

    previous = signal.signal(signal.SIGTERM, terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _target(plan: Plan, destination: str) -> str:
    if plan.is_directory or not plan.files[0].name:
        return destination
    first = os.path.join(os.path.dirname(destination), plan.files[0].name)
    return first if len(plan.files) == 1 else f"{first} and {len(plan.files) - 1} more"


def _print_plan(out: Console, plan: Plan, destination: str, elapsed: float | None) -> None:
    bits = plan.bits_per_weight
    count = sum(1 for _ in plan.tensors())
    rows = {
        "from": plan.source,
        "to": _target(plan, destination) + ("  (dry run: nothing written)" if elapsed is None else ""),
        "architecture": plan.architecture,
        "type": plan.recipe,
        "parameters": f"{number(plan.parameters)} in {count:,} tensors",
        "size": f"{plan.size:,} bytes ({size(plan.size)})"
        + ("" if bits is None else f", {bits:.3f} bits per weight"),
    }
    if elapsed is not None:
        rows["time"] = f"{seconds(elapsed)}, {size(int(plan.tensor_bytes / max(elapsed, 1e-6)))}/s written"
    out.print(facts(rows))
    print_types(out, plan.types(), plan.parameters)
    _print_fallbacks(out, plan)
    for name, reason in plan.dropped[:MAX_NAMES_SHOWN]:
        out.print(f"left out  {name}: {reason}", style="dim")
    if len(plan.dropped) > MAX_NAMES_SHOWN:
        out.print(f"left out  {len(plan.dropped) - MAX_NAMES_SHOWN} more", style="dim")
    for note in plan.notes:
        out.print(f"note      {note}")


def print_types(out: Console, shares: list[TypeShare], parameters: int) -> None:
    """The table of tensor types: how many tensors and parameters, what share, what size."""
    if not shares:
        return
    numbers = ("tensors", "parameters", "share", "size", "bits/weight")
    listing = table("type", *numbers, right=numbers)
    for share in shares:
        bits = share.bits_per_weight
        listing.add_row(
            share.type,
            f"{share.tensors:,}",
            f"{share.parameters:,}",
            f"{share.parameters / parameters:.1%}" if parameters else "–",
            "?" if share.bytes is None else size(share.bytes),
            "?" if bits is None else f"{bits:.4g}",
        )
    out.print()
    out.print(listing)
    out.print()


def _print_others(out: Console, plan: Plan, predictions: Sequence[Prediction]) -> None:
    from .recipe_sizes import print_recipes

    if plan.dropped or plan.notes or plan.fallbacks:  # said after the table before, without a line between
        out.print()
    print_recipes(out, predictions, usual=True, chosen=plan.recipe)
    out.print("all recipes: gguf-tools inspect SRC --sizes", style="dim")


def _print_rules(out: Console, plan: Plan) -> None:
    """Every tensor with its type and the rule that chose it."""
    listing = table("tensor", "type", "why")
    for tensor in plan.tensors():
        why = tensor.rule + (", with importances" if tensor.weights is not None else "")
        listing.add_row(tensor.name, tensor.type.name, why)
    out.print(listing)
    out.print()


def _print_fallbacks(out: Console, plan: Plan) -> None:
    """A fallback is never silent: what fell back, from which type to which, and how much it is."""
    fallbacks = plan.fallbacks
    if not fallbacks:
        return
    parameters = sum(tensor.parameters for tensor in fallbacks)
    share = f" ({parameters / plan.parameters:.1%})" if plan.parameters else ""
    out.print(
        f"{len(fallbacks)} tensors, {number(parameters)} parameters{share}, fell back: "
        "their rows do not divide into blocks of the wanted type",
        style="yellow",
    )
    for tensor in fallbacks[:MAX_NAMES_SHOWN]:
        out.print(f"  {tensor.name}: {tensor.wanted.name} → {tensor.type.name}")
    if len(fallbacks) > MAX_NAMES_SHOWN:
        out.print(f"  and {len(fallbacks) - MAX_NAMES_SHOWN} more; --json lists all")
