"""Hugging Face checkpoint → GGUF."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .. import architectures, recipes, tokenizers
from ..architectures.shapes import require_shapes
from ..checkpoint import Checkpoint, SafetensorsTensor, open_checkpoint, unpack
from ..container.metadata import Array, Metadata
from ..errors import ArchitectureError
from ..io.closing import Closing, closed_on_error
from ..spec import ValueType
from .build_plan import assemble_gguf, ggml_shape, model_sizes, type_entries
from .engine import execute
from .merging import MergeLora, Merger
from .options import CheckpointOptions, QuantizeOptions
from .plan import Plan
from .prequantized import kept, packed_file_type, packed_notes, packed_type, weight_only_keys
from .run_options import Progress, RunOptions
from .sharding import split_plan

if TYPE_CHECKING:
    from ..io.input_files import InputFile
    from ..recipes.imatrix import ImportanceMatrix
    from ..source import Source
    from ..spec import FileType

__all__ = ["CheckpointDraft", "convert", "draft_conversion", "plan_conversion"]


def convert(
    src: str | os.PathLike[str],
    dst: str | os.PathLike[str],
    *,
    type: str = "Q4_K_M",  # noqa: A002 - the field's word
    pre: str | None = None,
    allow_pickle: bool = False,
    merge_lora: Sequence[MergeLora] = (),
    imatrix: str | os.PathLike[str] | None = None,
    overrides: recipes.Overrides | None = None,
    threads: int | None = None,
    force: bool = False,
    resume: bool = False,
    max_memory: int | None = None,
    split_max_size: int | None = None,
    progress: Progress | None = None,
) -> Plan:
    """Convert a checkpoint directory to a GGUF file in one pass.

    Args:
        src: directory with safetensors, config.json and tokenizer files, or in Mistral's own format.
        dst: the GGUF file to write; it appears complete or not at all.
        type: a recipe's name, such as ``"Q4_K_M"`` or ``"BF16"``.
        pre: pre-tokenizer name, instead of recognising it.
        allow_pickle: where there are no safetensors, let torch load pickled weights, with ``weights_only``;
            those of adapters, too.
        merge_lora: LoRA adapters to merge into the weights, in this order: directories as PEFT saves them, or
            such a directory and a factor for all it adds.
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
        The plan that was carried out: types, sizes, fallbacks, what was left out.

    Raises:
        CheckpointError: the checkpoint is incomplete or malformed.
        ArchitectureError: the architecture is unsupported or its tensors do not match its table.
        TokenizerError: the tokenizer's files are missing or not recognised.
        UnsupportedError: an adapter is of a kind that is not supported.
        QuantizationError: the recipe is unknown, or needs an importance matrix.
        NonFiniteError: a weight is NaN or infinite and its type cannot hold that.
        OutputError: the output exists or cannot be written.
    """
    checkpoint = CheckpointOptions(pre, allow_pickle, tuple(merge_lora))
    wanted = QuantizeOptions(type, imatrix, overrides or recipes.Overrides(), split_max_size)
    with _plan(src, checkpoint, wanted) as whole:
        plan = split_plan(whole, dst, wanted.split_max_size)
        execute(plan, dst, RunOptions(threads, force, resume, max_memory, progress))
    return plan


def plan_conversion(
    src: str | os.PathLike[str],
    *,
    recipe: str = "Q4_K_M",
    pre: str | None = None,
    allow_pickle: bool = False,
    merge_lora: Sequence[MergeLora] = (),
    imatrix: str | os.PathLike[str] | None = None,
    overrides: recipes.Overrides | None = None,
) -> Plan:
    """Plan the conversion without reading any weight; see ``convert``, whose ``type`` is ``recipe`` here.

    The plan keeps the checkpoint open; close it.
    """
    checkpoint = CheckpointOptions(pre, allow_pickle, tuple(merge_lora))
    return _plan(src, checkpoint, QuantizeOptions(recipe, imatrix, overrides or recipes.Overrides()))


def _plan(src: str | os.PathLike[str], checkpoint: CheckpointOptions, wanted: QuantizeOptions) -> Plan:
    recipe, matrix = wanted.load()  # before the checkpoint is read: it is quickly seen that these are wrong
    with closed_on_error(draft_conversion(src, checkpoint)) as draft:
        return draft.plan(recipe, matrix, wanted.overrides)


@dataclass(frozen=True)
class CheckpointDraft(Closing):
    """A conversion before it is said what to convert to; see `gguf_tools.conversion.predict.Draft`.

    Attributes:
        source: the checkpoint, in words.
        side: what the architecture makes of it.
        general: the ``general.*`` keys.
        vocabulary: the tokenizer's keys.
        dropped, notes, inputs, reads, settings: see `Plan`.
    """

    source: str
    side: architectures.GGUFParts
    general: Sequence[tuple[str, ValueType, Any]]
    vocabulary: Metadata
    dropped: Sequence[tuple[str, str]]
    notes: Sequence[str]
    inputs: Sequence[InputFile]
    reads: Sequence[str | os.PathLike[str]]
    settings: Sequence[str]

    def close(self) -> None:
        """Close the checkpoint and its adapters."""
        for file in self.inputs:
            file.close()

    def choose(
        self, recipe: recipes.Recipe, *, weighted: bool, overrides: recipes.Overrides
    ) -> tuple[list[tuple[str, Source]], list[recipes.Choice]]:
        """The tensors in the order of the output, and the type of each."""
        tensors = self.side.tensors
        if recipe.quantizes:
            by_name = dict(tensors)
            tensors = [(name, by_name[name]) for name in recipes.visiting_order(by_name)]
        # its converter counts dimensions as torch does: a classifier of one class is a matrix
        counted = ggml_shape if recipe.quantizes else tuple
        facts = [
            recipes.TensorFacts(name, counted(rows.shape), packed=packed_type(rows)) for name, rows in tensors
        ]
        model = model_sizes(Metadata([*self.general[:1], *self.side.metadata]))
        choices = recipes.choose(recipe.name, facts, model, weighted=weighted, overrides=overrides)
        return kept(tensors, choices, self.side.factors)

    def plan(
        self, recipe: recipes.Recipe, matrix: ImportanceMatrix | None, overrides: recipes.Overrides
    ) -> Plan:
        """The plan under a recipe."""
        tensors, choices = self.choose(recipe, weighted=matrix is not None, overrides=overrides)
        stated = packed_file_type(recipe, tensors, choices)
        return assemble_gguf(
            self._metadata(recipe, stated, weight_only_keys(tensors, choices, self.side.weight_only)),
            tensors,
            choices,
            recipe,
            source=self.source,
            importance=matrix,
            dropped=self.dropped,
            notes=[*self.notes, *packed_notes(tensors, choices), *self.side.notes],
            inputs=self.inputs,
            reads=[*self.reads, *overrides.reads],
            settings=self.settings,
        )

    def _metadata(
        self, recipe: recipes.Recipe, file_type: FileType, extra: Sequence[tuple[str, ValueType, Any]]
    ) -> Metadata:
        """All keys, in llama.cpp's order, so that whole files are equal.

        Its converter writes F32, F16 and BF16 files, its quantizer all others, which puts what the file says
        of its types last. ``extra`` is said of single tensors.
        """
        side, vocabulary = self.side, self.vocabulary.entries()
        architecture, *general = self.general
        version, stated = type_entries(file_type)
        first = (architecture, *side.leading, *general, *side.shared)
        if recipe.quantizes:
            return Metadata([*first, *side.family, *extra, *vocabulary, version, stated])
        return Metadata([*first, stated, *side.family, version, *extra, *vocabulary])


def draft_conversion(
    src: str | os.PathLike[str], options: CheckpointOptions | None = None
) -> CheckpointDraft:
    """Read everything about a checkpoint but its weights; see ``convert`` for errors.

    The draft keeps the checkpoint open; close it.
    """
    options = options or CheckpointOptions()
    with closed_on_error(open_checkpoint(src, allow_pickle=options.allow_pickle)) as checkpoint:
        return _drafted(os.fspath(src), checkpoint, options)


def _drafted(src: str, checkpoint: Checkpoint, options: CheckpointOptions) -> CheckpointDraft:
    config = checkpoint.config
    assumed = []
    kinds = None
    if checkpoint.is_mistral:
        assumed = architectures.mistral_notes(config)
        config = architectures.mistral_config(config)
        kinds = architectures.MISTRAL_TOKENIZERS
    architecture = architectures.find(config)
    vocabulary = tokenizers.load(
        checkpoint.path,
        config,
        kinds=kinds or architecture.tokenizer_kinds,
        traits=architecture.vocabulary_of(config),
        pre=options.pre,
    )
    tokens = vocabulary.get("tokenizer.ggml.tokens")
    plain = unpack(config, checkpoint.tensors, checkpoint.read_json("hf_quant_config.json"))
    rows = architectures.mistral_tensors(config, plain.tensors) if checkpoint.is_mistral else plain.tensors
    with closed_on_error(Merger(architecture, config, allow_pickle=options.allow_pickle)) as merger:
        for adapter in options.merge_lora:
            rows = merger.merge(rows, adapter)
        try:
            side = architecture.to_gguf(
                config,
                rows,
                token_count=len(tokens) if isinstance(tokens, Array) else None,
                read_json=checkpoint.read_json,
            )
        except ArchitectureError as error:  # which knows the config, but not where it is from
            error.path = error.path or src
            raise
        merger.require_used(side.dropped)
        left_out = {name for name, _ in side.dropped}
        checkpoint.require_readable(
            name
            for name, source in plain.tensors.items()
            if isinstance(source, SafetensorsTensor) and name not in left_out
        )
        general = architectures.general_metadata(
            checkpoint.path, config, architecture=architecture, tensors=side.tensors
        )
        try:
            require_shapes(
                Metadata([*general[:1], *side.metadata, *vocabulary.entries()]), dict(side.tensors)
            )
        except ArchitectureError as error:
            error.path = src
            raise
        return CheckpointDraft(
            src,
            side,
            general,
            vocabulary,
            [*plain.dropped, *side.dropped],
            [*assumed, *plain.notes, *merger.notes],
            [*checkpoint.inputs, *merger.inputs],
            [src, *merger.reads],
            merger.settings,
        )
