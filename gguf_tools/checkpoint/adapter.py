"""LoRA adapters as PEFT saves them: a directory with adapter_config.json and adapter_model.safetensors.

Older releases saved adapter_model.bin, a pickle, which is read by those who ask for it, see `PickledFile`.

For a matrix W of a base model an adapter has A (rank, inputs) and B (outputs, rank), and what it adds to W
is ``alpha / rank · B · A``, or ``alpha / √rank · B · A`` for a rank-stabilized one:

    base_model.model.<module>.lora_A.weight     base_model.model.<module>.lora_B.weight
    base_model.model.<module>.lora_embedding_A  base_model.model.<module>.lora_embedding_B

The second line is of an embedding, whose W (tokens, width) is that sum transposed. Modules named in
``modules_to_save`` were trained whole, and their tensors are here under ``base_model.model.<name>``.
Options that change the arithmetic in another way are refused, by name.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..errors import CheckpointError, UnsupportedError
from ..io.closing import Closing
from .json_files import parse_object, read_bytes
from .pickled import PickledFile
from .reader import SafetensorsFile, SafetensorsTensor

if TYPE_CHECKING:
    from ..io.input_files import InputFile

__all__ = ["Adapter", "LoraPair", "open_adapter"]

CONFIG_NAME: Final = "adapter_config.json"
WEIGHTS_NAME: Final = "adapter_model.safetensors"
PICKLED_NAME: Final = "adapter_model.bin"

_PREFIX: Final = "base_model.model."
_FACTOR: Final = re.compile(r"(?P<module>.+)\.lora_(?P<embedding>embedding_)?(?P<factor>[AB])(?:\.weight)?")
_COPY: Final = ".base_layer.weight"
_WHOLE: Final = ".modules_to_save."

_INITIALIZED: Final = (None, True, False, "gaussian", "eva", "orthogonal")
"""Kinds of ``init_lora_weights`` that leave the base model's weights as they are."""

_SUPPORTED: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "peft_type": (lambda value: value == "LORA", "LORA"),
    "bias": (lambda value: value in (None, "none"), "none"),
    "init_lora_weights": (
        lambda value: isinstance(value, bool | str | None) and value in _INITIALIZED,
        "one that does not change the base model's weights: true, false, gaussian, eva or orthogonal",
    ),
    **{
        key: (lambda value: not value, "not set")
        for key in (
            *("use_dora", "lora_bias", "use_qalora", "use_bdlora", "megatron_config", "layer_replication"),
            *("target_parameters", "trainable_token_indices", "arrow_config"),
        )
    },
}
"""What an option must be for the arithmetic above to hold, as a predicate and in words."""

_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class LoraPair:
    """The two factors for one matrix.

    Attributes:
        a: (rank, inputs).
        b: (outputs, rank).
        alpha: what the product is multiplied by, times the rank.
        is_embedding: whether the matrix has the sum transposed.
    """

    a: SafetensorsTensor
    b: SafetensorsTensor
    alpha: float
    is_embedding: bool

    @property
    def rank(self) -> int:
        return self.a.shape[0]

    @property
    def scale(self) -> float:
        """What B · A is multiplied by."""
        return self.alpha / self.rank


class Adapter(Closing):
    """An open adapter. A context manager; closing ends reading of tensors.

    Attributes:
        path: the directory.
        config: adapter_config.json as parsed.
        pairs: by the HF name of the matrix they are for, in the order of their data in the file,
            which llama.cpp's converter keeps for adapters; in the order of names where it is a pickle.
        whole: tensors that replace those of the base model, by HF name.
        copies: names of tensors that only repeat the base model's.
        input: the file with the weights, open.
    """

    def __init__(self, path: Path, config: dict[str, Any], file: SafetensorsFile | PickledFile) -> None:
        self.path, self.config, self.input = path, config, file.input
        self._file = file
        self.whole: dict[str, SafetensorsTensor] = {}
        self.copies: list[str] = []
        self.pairs = self._paired(file)

    @property
    def inputs(self) -> tuple[InputFile, ...]:
        """All open files."""
        return (self.input,)

    def _paired(self, file: SafetensorsFile | PickledFile) -> dict[str, LoraPair]:
        settings = _Settings(self.config, os.fspath(self.path / CONFIG_NAME))
        factors: dict[str, dict[str, SafetensorsTensor]] = {}
        embeddings = set()
        for name, tensor in sorted(file.tensors.items(), key=lambda item: item[1].offset):
            short = name.removeprefix(_PREFIX)
            tensor.require_readable()
            if short.endswith(_COPY):
                self.copies.append(name)
            elif (match := _FACTOR.fullmatch(short)) is not None:
                factors.setdefault(match["module"], {})[match["factor"]] = tensor
                if match["embedding"]:
                    embeddings.add(match["module"])
            elif "lora_" in short:
                raise UnsupportedError("a part of an adapter that is not known", path=file.path, tensor=name)
            else:
                self.whole[short.replace(_WHOLE, ".")] = tensor
        alone = [module for module, parts in factors.items() if len(parts) < 2]
        if alone:
            more = f" and {len(alone) - _SHOWN} more" if len(alone) > _SHOWN else ""
            raise CheckpointError(
                f"only one of lora_A and lora_B is there: {', '.join(alone[:_SHOWN])}{more}", path=file.path
            )
        if not factors and not self.whole:
            raise CheckpointError("there is not a single tensor in it", path=file.path)
        return {
            f"{module}.weight": LoraPair(
                parts["A"],
                parts["B"],
                settings.alpha(module, _rank(parts["A"], parts["B"], settings.rank(module))),
                module in embeddings,
            )
            for module, parts in factors.items()
        }

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def open_adapter(path: str | os.PathLike[str], *, allow_pickle: bool = False) -> Adapter:
    """Open an adapter's directory; only headers are read.

    Args:
        path: the directory.
        allow_pickle: where there are no safetensors, let torch load pickled weights, with ``weights_only``.

    Raises:
        CheckpointError: something is missing, malformed or contradictory.
        UnsupportedError: it is no LoRA adapter, or of a kind that is not supported; or torch is missing.
    """
    directory = Path(path)
    data = read_bytes(directory / CONFIG_NAME)
    if data is None:
        raise CheckpointError(f"is not an adapter's directory: {CONFIG_NAME} is missing", path=directory)
    config = parse_object(data, os.fspath(directory / CONFIG_NAME), strict=False)
    _require_supported(config, directory / CONFIG_NAME)
    file = _weights(directory, allow_pickle)
    try:
        return Adapter(directory, config, file)
    except BaseException:
        file.close()
        raise


def _weights(directory: Path, allow_pickle: bool) -> SafetensorsFile | PickledFile:
    if os.path.lexists(directory / WEIGHTS_NAME):
        return SafetensorsFile(directory / WEIGHTS_NAME)
    if not os.path.lexists(directory / PICKLED_NAME):
        raise CheckpointError(f"{WEIGHTS_NAME} is missing", path=directory)
    if not allow_pickle:
        raise CheckpointError(
            f"{WEIGHTS_NAME} is missing, and {PICKLED_NAME} is a pickle: loading one can run code; save it "
            "again; or, if you trust where it comes from and have torch, --allow-pickle loads it with "
            "weights_only",
            path=directory,
        )
    return PickledFile(directory / PICKLED_NAME)


def _require_supported(config: Mapping[str, Any], path: Path) -> None:
    if "peft_type" not in config:
        raise CheckpointError("does not say what kind of adapter it is", path=path, key="peft_type")
    for key, (holds, words) in _SUPPORTED.items():
        if key in config and not holds(config[key]):
            raise UnsupportedError(
                "an adapter of this kind is not supported",
                path=path,
                key=key,
                found=config[key],
                expected=words,
            )


def _rank(a: SafetensorsTensor, b: SafetensorsTensor, expected: int) -> int:
    """The rank of a pair.

    Raises:
        CheckpointError: they are no pair of matrices, or of another rank than the config says.
    """
    for tensor, at in ((a, 0), (b, 1)):
        if len(tensor.shape) != 2 or tensor.shape[at] != expected:
            raise CheckpointError(
                "the factor of an adapter has a shape that its rank does not allow",
                path=tensor.path,
                tensor=tensor.name,
                found=tensor.shape,
                expected=f"a matrix of {expected} {'columns' if at else 'rows'}",
            )
    return expected


class _Settings:
    """Rank and alpha of each module, by adapter_config.json.

    ``rank_pattern`` and ``alpha_pattern`` map ends of module names, of whole parts, to other values; after
    a ``^``, whole names.
    """

    def __init__(self, config: Mapping[str, Any], path: str) -> None:
        self._config, self._path = config, path
        self._ranks = self._pattern("rank_pattern")
        self._alphas = self._pattern("alpha_pattern")
        self._stabilized = bool(config.get("use_rslora"))

    def rank(self, module: str) -> int:
        value = self._of(module, self._ranks, "r")
        if type(value) is not int or value < 1:
            raise self._unusable("r", value, "a positive integer")
        return value

    def alpha(self, module: str, rank: int) -> float:
        value = self._of(module, self._alphas, "lora_alpha")
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._unusable("lora_alpha", value, "a number")
        try:
            alpha = float(value) * (math.sqrt(rank) if self._stabilized else 1)
        except OverflowError:
            alpha = math.inf
        if not 1e-30 < abs(alpha) < 1e30:
            raise self._unusable("lora_alpha", value, "a finite number that is not 0")
        return alpha

    def _of(self, module: str, pattern: Mapping[str, Any], key: str) -> Any:
        ends = (end for end in pattern if module == end.removeprefix("^") or module.endswith(f".{end}"))
        end = next(ends, None)
        return self._config.get(key) if end is None else pattern[end]

    def _pattern(self, key: str) -> dict[str, Any]:
        found = self._config.get(key) or {}
        if not isinstance(found, dict):
            raise self._unusable(key, found, "an object")
        for end in found:
            if not re.fullmatch(r"\^?[\w.-]+", end):
                raise UnsupportedError(
                    "a regular expression, where only names of modules are supported",
                    path=self._path,
                    key=key,
                    found=end,
                )
        return found

    def _unusable(self, key: str, found: object, expected: str) -> CheckpointError:
        return CheckpointError("unusable value", path=self._path, key=key, found=found, expected=expected)
