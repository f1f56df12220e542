"""GGUF → GGUF in another type, as ``llama_model_quantize`` of llama.cpp b11434 does it.

The output has the tensors in the order llama.cpp writes them (by layer, then name), the metadata in the
source's order with ``general.quantization_version`` and ``general.file_type`` renewed at the end, and no
``split.*`` keys: it is one file, byte for byte the one llama.cpp makes. Where llama.cpp goes wrong this
does not: ``general.alignment`` is honoured, strings keep their NULs, tensors of four dimensions are
quantized whole, and matrices of integers are copied.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ..container.opening import open_gguf
from ..errors import UnsupportedError
from ..io.closing import Closing, closed_on_error
from ..recipes import Overrides, TensorFacts, choose, visiting_order
from ..spec import BLOCK_SIZES, GGMLType
from .build_plan import assemble_gguf, ggml_shape, model_sizes, type_entries
from .engine import execute
from .options import QuantizeOptions
from .plan import Plan
from .run_options import Progress, RunOptions
from .sharding import split_plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..container.metadata import Metadata
    from ..container.reader import GGUFFile, Tensor
    from ..recipes import Choice, Recipe
    from ..recipes.imatrix import ImportanceMatrix
    from ..source import Source

__all__ = ["GGUFDraft", "draft_requantization", "plan_requantization", "requantize"]

_RENEWED_KEYS: Final = (
    *("split.no", "split.count", "split.tensors.count"),
    *("general.quantization_version", "general.file_type"),
)


def requantize(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    type: str,  # noqa: A002 - the field's word
    imatrix: str | os.PathLike[str] | None = None,
    overrides: Overrides | None = None,
    threads: int | None = None,
    force: bool = False,
    resume: bool = False,
    max_memory: int | None = None,
    split_max_size: int | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Write the GGUF file ``src`` again as ``dst``, quantized by the recipe called ``type``.

    Args:
        src: a GGUF file, or the first shard of a split one.
        dst: the file to write; it appears complete or not at all.
        type: a recipe, such as ``"Q4_K_M"`` or ``"F16"``.
        imatrix: a file with an importance matrix, see `gguf_tools.recipes.imatrix`.
        overrides: what is wanted otherwise than the recipe says.
        threads: workers; default all available cores.
        force: replace an existing file.
        resume: go on where an interrupted run stopped, see `RunOptions`.
        max_memory: bytes that work in flight may take.
        split_max_size: most bytes of tensor data in a file; then the output is shards of that, named after
            ``dst``, each there as soon as it is complete.
        progress: called with bytes done, bytes in all, and a tensor's name.

    Returns:
        The plan that was carried out: types, sizes, fallbacks.

    Raises:
        FormatError: ``src`` is not well formed, or lacks a key the recipe needs.
        UnsupportedError: a tensor is of a type that cannot be read.
        QuantizationError: unknown ``type``, values that cannot be encoded, or a type that needs an importance
            matrix without one.
        OutputError: ``dst`` exists or cannot be written.
    """
    wanted = QuantizeOptions(type, imatrix, overrides or Overrides(), split_max_size)
    with _plan(src, wanted) as whole:
        plan = split_plan(whole, dst, wanted.split_max_size)
        execute(plan, dst, RunOptions(threads, force, resume, max_memory, progress))
    return plan


def plan_requantization(
    src: str | os.PathLike[str],
    *,
    recipe: str,
    imatrix: str | os.PathLike[str] | None = None,
    overrides: Overrides | None = None,
) -> Plan:
    """Plan it without reading any weight; see ``requantize``, whose ``type`` is ``recipe`` here.

    The plan keeps the file open; close it.
    """
    return _plan(src, QuantizeOptions(recipe, imatrix, overrides or Overrides()))


def _plan(src: str | os.PathLike[str], wanted: QuantizeOptions) -> Plan:
    recipe, matrix = wanted.load()  # before the file is read: it is quickly seen that these are wrong
    with closed_on_error(draft_requantization(src)) as draft:
        return draft.plan(recipe, matrix, wanted.overrides)


@dataclass(frozen=True)
class GGUFDraft(Closing):
    """A requantization before it is said to what; see `gguf_tools.conversion.predict.Draft`.

    Attributes:
        source: the file, in words.
        file: the same, open; plans read from it, too.
    """

    source: str
    file: GGUFFile

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def choose(
        self, recipe: Recipe, *, weighted: bool, overrides: Overrides
    ) -> tuple[list[tuple[str, Source]], list[Choice]]:
        """The tensors in the order of the output, and the type of each."""
        file = self.file
        if recipe.rules or (weighted and recipe.weighted_rules):
            _require_model(file.metadata)
        tensors = [file.tensors[name] for name in visiting_order(file.tensors)]
        facts = [TensorFacts(t.name, ggml_shape(t.shape), _known_type(t, file)) for t in tensors]
        model = model_sizes(file.metadata)
        choices = choose(recipe.name, facts, model, weighted=weighted, overrides=overrides)
        return [(tensor.name, tensor) for tensor in tensors], choices

    def plan(self, recipe: Recipe, matrix: ImportanceMatrix | None, overrides: Overrides) -> Plan:
        """The plan under a recipe."""
        file = self.file
        tensors, choices = self.choose(recipe, weighted=matrix is not None, overrides=overrides)
        metadata = file.metadata.copy()
        for key in _RENEWED_KEYS:
            if key in metadata:
                del metadata[key]
        metadata.extend(type_entries(recipe.file_type))  # at the end, as llama.cpp does
        return assemble_gguf(
            metadata,
            tensors,
            choices,
            recipe,
            source=self.source,
            importance=matrix,
            notes=_notes(file, [file.tensors[name] for name, _ in tensors], choices),
            inputs=file.inputs,
            reads=overrides.reads,
        )


def draft_requantization(src: str | os.PathLike[str]) -> GGUFDraft:
    """Read the header of a GGUF file; see ``requantize`` for arguments and errors."""
    return GGUFDraft(os.fspath(src), open_gguf(src))


def _require_model(metadata: Metadata) -> None:
    """Rules count layers; without their number they would quietly give every layer the most bits.

    Raises:
        FormatError: the file does not say its architecture or number of layers.
    """
    architecture = metadata.require("general.architecture", str)
    if architecture != "clip":  # the encoder beside a multimodal model has no such key; llama.cpp takes 0
        metadata.require(f"{architecture}.block_count", int)


def _known_type(tensor: Tensor, file: GGUFFile) -> GGMLType:
    if isinstance(tensor.type, GGMLType):
        return tensor.type
    raise UnsupportedError(
        "the tensor is of an unknown type, which can be neither decoded nor copied",
        path=file.path,
        tensor=tensor.name,
        found=tensor.type_name,
    )


def _notes(file: GGUFFile, tensors: Sequence[Tensor], choices: Sequence[Choice]) -> list[str]:
    """What the user should know before trusting the output."""
    notes = []
    quantized: dict[str, int] = {}
    for tensor, choice in zip(tensors, choices, strict=True):
        if tensor.type is not choice.type and BLOCK_SIZES[GGMLType(tensor.type)].elements > 1:
            quantized[tensor.type_name] = quantized.get(tensor.type_name, 0) + 1
    if quantized:
        counts = ", ".join(f"{count} in {name}" for name, count in quantized.items())
        notes.append(f"the source is quantized already (tensors: {counts}); what that lost stays lost")
    if file.shards:
        notes.append(f"the source is split into {len(file.shards)} files; the output is one")
    return notes
