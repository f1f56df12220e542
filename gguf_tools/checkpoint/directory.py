"""A checkpoint directory as Hugging Face lays it out: config.json, safetensors, perhaps an index.

Which files hold the tensors is decided as llama.cpp's converter does: with
``model.safetensors.index.json`` the files it names; otherwise ``model.safetensors`` and
``model-00001-of-0000N.safetensors``. Tensors come file by file in the order of file names, within a
file in the order of tensor names, and GGUF files keep that order.

Policies:

- An index and its files must agree exactly: no tensor missing, none more, none elsewhere. Its
  ``metadata.total_size`` is ignored; in the wild it is often wrong, and nothing depends on it.
- What the user's own directory links to is followed; what the text of a file names must stay inside.
- File names in an index are plain names. Anything with a directory in it, absolute or not, is refused. A
  plain name may be a symbolic link: that is how the Hugging Face cache lays out a snapshot.
- Other files are found by relative paths whose directories stay inside the checkpoint; the file itself
  may again be a link.
- Only safetensors are read. ``pytorch_model.bin`` is a pickle, and loading a pickle can run code: that takes
  a user who asks for it, and has torch; see ``pickled``.
- Without any of these, Mistral's own format is looked for: ``consolidated*.safetensors``, in shards or not,
  with ``params.json`` in place of config.json.
- Behind a URL, an index or a single file of the usual name is asked for first, and a listing only without
  them: the Hub and most of fsspec's file systems have one, a web server has none.
- Code that config.json refers to (``auto_map``) is never run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

from ..errors import CheckpointError, UnsupportedError, reported
from ..io.closing import Closing
from ..io.remote import Location, PathOrLocation, exists, list_names, locate
from .json_files import parse_json, parse_object, read_bytes
from .pickled import PickledFile
from .reader import SafetensorsFile, SafetensorsTensor

__all__ = ["INDEX_NAME", "SINGLE_NAME", "Checkpoint", "open_checkpoint", "read_config"]

SINGLE_NAME: Final = "model.safetensors"
INDEX_NAME: Final = "model.safetensors.index.json"
CONFIG_NAME: Final = "config.json"

PARAMS_NAME: Final = "params.json"

_SHARD: Final = re.compile(r"(?:model|consolidated)-([0-9]{5,6})-of-([0-9]{5,6})\.safetensors")
_CONSOLIDATED: Final = "consolidated.safetensors"
_CONSOLIDATED_INDEX: Final = f"{_CONSOLIDATED}.index.json"
_PICKLED: Final = re.compile(r"(pytorch_model|model)(-([0-9]{5,6})-of-([0-9]{5,6}))?\.(bin|pth|pt)")
_PICKLED_SHARD: Final = re.compile(r"pytorch_model-([0-9]{5,6})-of-([0-9]{5,6})\.bin")
_PICKLED_INDEX: Final = "pytorch_model.bin.index.json"

_PICKLES: Final = (".bin", ".pt", ".pth", ".ckpt")

_MOST_NAMED: Final = 200
"""How many missing files or tensors one message lists before it only counts the rest: more than any real
model has shards, and yet a hostile index cannot fill the screen for minutes."""


class Checkpoint(Closing):
    """An open checkpoint. A context manager; closing ends reading of tensors.

    Attributes:
        path: the directory.
        config: config.json as parsed.
        files: the safetensors files, in order.
        inputs: the same, open.
        tensors: all tensors by name, in the order described above.
        is_mistral: whether it is in Mistral's own format; ``config`` is params.json then.
    """

    def __init__(
        self,
        path: PathOrLocation,
        config: dict[str, Any],
        files: Sequence[SafetensorsFile | PickledFile],
        *,
        is_mistral: bool = False,
    ) -> None:
        self.is_mistral = is_mistral
        self.path = path
        self.config = config
        self.files = tuple(file.path for file in files)
        self.inputs = tuple(file.input for file in files)
        self.tensors: dict[str, SafetensorsTensor] = {
            name: tensor for file in files for name, tensor in file.tensors.items()
        }
        self._opened = files

    def __repr__(self) -> str:
        return f"Checkpoint({str(self.path)!r}, {len(self.tensors)} tensors)"

    def read_bytes(self, name: str) -> bytes | None:
        """Contents of a small file by its relative path, such as ``"1_Pooling/config.json"``; or None.

        Raises:
            CheckpointError: the path leaves the checkpoint, or the file cannot be read.
        """
        return read_bytes(self._inside(name))

    def read_text(self, name: str) -> str | None:
        """As `read_bytes`, decoded as UTF-8; a file that is not UTF-8 raises CheckpointError."""
        data = self.read_bytes(name)
        try:
            return None if data is None else data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise CheckpointError("is not UTF-8 text", path=self.path / name, offset=error.start) from error

    def read_json(self, name: str) -> Any:
        """As `read_bytes`, parsed as JSON; a file that is not JSON raises CheckpointError."""
        data = self.read_bytes(name)
        return None if data is None else parse_json(data, os.fspath(self.path / name), strict=False)

    def require_readable(self, names: Iterable[str] | None = None) -> None:
        """Say before any work that tensors are of a dtype whose values cannot be read.

        Args:
            names: the tensors that will be needed; default all.

        Raises:
            UnsupportedError: naming dtypes and tensors.
        """
        wanted = self.tensors if names is None else names
        unreadable = [self.tensors[name] for name in wanted if not self.tensors[name].readable]
        if unreadable:
            dtypes = ", ".join(sorted({tensor.dtype for tensor in unreadable}))
            names = [tensor.name for tensor in unreadable]
            raise UnsupportedError(
                f"cannot read values of dtype {dtypes}, which {_listed('tensor', names)} need",
                path=self.path,
            )

    def close(self) -> None:
        """Close all files."""
        for file in self._opened:
            file.close()

    def _inside(self, name: str) -> PathOrLocation:
        parts = [part for part in name.split("/") if part not in {"", "."}]
        if not parts or name.startswith("/") or ".." in parts or "\0" in name or "\\" in name:
            raise CheckpointError(
                "the path of a file of the checkpoint is unusable",
                path=self.path,
                found=name,
                expected="a relative path without `..`",
            )
        if isinstance(self.path, Location):
            return self.path / "/".join(parts)
        path = self.path.joinpath(*parts)
        if not path.parent.resolve().is_relative_to(self.path.resolve()):
            raise CheckpointError("the path leaves the checkpoint by a link", path=self.path, found=name)
        return path


def open_checkpoint(path: str | os.PathLike[str], *, allow_pickle: bool = False) -> Checkpoint:
    """Open a checkpoint: a directory, or a single .safetensors file with config.json beside it; or its URL.

    Only headers are read.

    Args:
        path: see above. A URL leads to a directory if it ends in a slash or is ``hf://ORG/NAME``.
        allow_pickle: where there are no safetensors, let torch load pickled weights.

    Raises:
        CheckpointError: something is missing, malformed or contradictory; all missing files are listed.
    """
    given = locate(path)
    directory: PathOrLocation
    names: dict[str, None] | None
    with reported(CheckpointError, "cannot look at the checkpoint", str(given)):
        is_directory = given.is_dir()
    if is_directory:
        directory, names = given, None
    elif isinstance(given, Path) and not os.path.lexists(given):
        raise CheckpointError("no such directory", path=given)
    elif given.name.endswith(".safetensors"):
        directory, names = given.parent, {given.name: None}
    else:
        raise CheckpointError(
            "is not a checkpoint",
            path=given,
            expected="a directory with config.json and safetensors, or a .safetensors file",
        )
    expected = names if names is not None else _files_of(directory, allow_pickle)
    is_mistral = any(name.startswith("consolidated") for name in expected)
    config = read_config(directory, PARAMS_NAME if is_mistral else CONFIG_NAME)
    files: list[SafetensorsFile | PickledFile] = []
    try:
        for name in sorted(expected):
            kind = SafetensorsFile if name.endswith(".safetensors") else PickledFile
            files.append(kind(directory / name))
        _check_unique(files)
        for file in files:
            _check_against_index(file, expected)
        if not any(file.tensors for file in files):
            raise CheckpointError("there is not a single tensor in it", path=given)
    except BaseException:
        for file in files:
            file.close()
        raise
    return Checkpoint(directory, config, files, is_mistral=is_mistral)


def _files_of(directory: PathOrLocation, allow_pickle: bool) -> dict[str, set[str] | None]:
    """Names of the files with tensors, and for each the tensors an index puts there (None: no index)."""
    present = _probed(directory) if isinstance(directory, Location) else _names_in(directory)
    for index, single, stem in (
        (INDEX_NAME, SINGLE_NAME, "model-"),
        (_CONSOLIDATED_INDEX, _CONSOLIDATED, "consolidated-"),
    ):
        if index in present:
            return dict(_weight_map(directory, index, present))
        shards = [name for name in present if name.startswith(stem) and _SHARD.fullmatch(name)]
        if shards:
            _check_complete(directory, shards, stem)
        if found := [name for name in present if name == single] + shards:
            return dict.fromkeys(found)
    pickled = [name for name in present if _PICKLED.fullmatch(name)]
    if allow_pickle and _PICKLED_INDEX in present:
        return dict(_weight_map(directory, _PICKLED_INDEX, present, ".bin"))
    if pickled and allow_pickle:
        shards = [name for name in pickled if _PICKLED_SHARD.fullmatch(name)]
        if shards:
            _check_complete(directory, shards, "pytorch_model-", _PICKLED_SHARD, ".bin")
        return dict.fromkeys(pickled)
    raise _nothing_to_read(directory, present)


def _names_in(directory: Path) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError as error:
        raise CheckpointError(f"cannot list the directory: {error.strerror}", path=directory) from error


def _probed(directory: Location) -> list[str]:
    """Of the files that say where the tensors are, the first that is there; without them all that are listed.

    Raises:
        CheckpointError: there is nothing, as far as can be known.
    """
    names = (INDEX_NAME, SINGLE_NAME, _CONSOLIDATED_INDEX, _CONSOLIDATED)
    for name in names:
        if exists(directory / name):
            return [name]
    if listed := list_names(directory):
        return listed
    raise CheckpointError("no checkpoint is there", path=directory, expected=f"one of {', '.join(names)}")


def read_config(directory: PathOrLocation, name: str = CONFIG_NAME) -> dict[str, Any]:
    """The config of a model in a directory, as parsed; no weights need be there.

    Raises:
        CheckpointError: there is none, or it is no JSON object.
    """
    data = read_bytes(directory / name)
    if data is None:
        raise CheckpointError(f"{name} is missing", path=directory)
    return parse_object(data, os.fspath(directory / name), strict=False)


def _weight_map(
    directory: PathOrLocation, name: str, present: Sequence[str], ending: str = ".safetensors"
) -> dict[str, set[str]]:
    """The index turned around: file name → tensors. All files it names exist, and end so.

    Raises:
        CheckpointError: not an index, unusable file names, or missing files (all of them listed).
    """
    path = directory / name
    data = read_bytes(path)
    if data is None:  # a dangling link: it is listed and cannot be opened
        raise CheckpointError("the index is a link to nothing", path=path)
    weight_map = parse_object(data, os.fspath(path), strict=True).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(
            "the index has no usable map of tensors to files",
            path=path,
            key="weight_map",
            found=type(weight_map).__name__,
            expected="an object with entries",
        )
    files: dict[str, set[str]] = {}
    for tensor, name in weight_map.items():
        if not isinstance(name, str) or not _plain(name, ending):
            raise CheckpointError(
                "the index names a file it must not",
                path=path,
                tensor=tensor,
                found=name,
                expected=f"the plain name of a {ending} file beside it",
            )
        files.setdefault(name, set()).add(tensor)
    if isinstance(directory, Location):
        return files  # opening tells which are missing
    # One listing instead of a look at each: a hostile index may name a hundred thousand files.
    listed = files.keys() & set(present)
    missing = sorted(files.keys() - {name for name in listed if os.path.exists(directory / name)})
    if missing:
        raise CheckpointError(f"the index names {_listed('file', missing)} that do not exist", path=path)
    return files


def _plain(name: str, ending: str) -> bool:
    """Whether a file name stays in its directory, on any system."""
    return name.endswith(ending) and not re.search(r"[/\\:\0]", name) and not name.startswith(".")


def _check_complete(
    directory: PathOrLocation,
    shards: list[str],
    stem: str,
    pattern: re.Pattern[str] = _SHARD,
    ending: str = ".safetensors",
) -> None:
    """Without an index, the names say how many shards there must be.

    Raises:
        CheckpointError: some are missing (all listed), or the names disagree on the count.
    """
    matches = [match for name in shards if (match := pattern.fullmatch(name))]
    counts = sorted({match[2] for match in matches})
    if len(counts) != 1:
        raise CheckpointError("shards of several models side by side", path=directory, found=counts)
    total = int(counts[0])
    numbers = {int(match[1]) for match in matches}
    if numbers == set(range(1, total + 1)) and len(shards) == total:
        return
    # A hostile name may promise 999,999 shards: only the first of them are put into words.
    absent = islice((i for i in range(1, total + 1) if i not in numbers), _MOST_NAMED + 1)
    names = [f"{stem}{i:05}-of-{counts[0]}{ending}" for i in absent]
    raise CheckpointError(
        f"not a complete set of shards: missing {_listed('file', names)}" if names else "surplus shards",
        path=directory,
        found=f"{len(shards)} files",
        expected=total,
    )


def _check_unique(files: Sequence[SafetensorsFile | PickledFile]) -> None:
    where: dict[str, SafetensorsFile | PickledFile] = {}
    for file in files:
        for name in file.tensors:
            if (other := where.setdefault(name, file)) is not file:
                raise CheckpointError(f"the tensor is in {other.path.name} too", path=file.path, tensor=name)


def _check_against_index(file: SafetensorsFile | PickledFile, expected: dict[str, Any]) -> None:
    """What the index puts into a file must be what is in it.

    Raises:
        CheckpointError: listing the tensors that are not there, or are there against the index.
    """
    stated: set[str] | None = expected[file.path.name]
    if stated is None:
        return
    if missing := sorted(stated - file.tensors.keys()):
        raise CheckpointError(
            f"the index puts {_listed('tensor', missing)} into this file, which does not have them",
            path=file.path,
        )
    if extra := sorted(file.tensors.keys() - stated):
        raise CheckpointError(
            f"the file has {_listed('tensor', extra)} that the index does not put there", path=file.path
        )


def _nothing_to_read(directory: PathOrLocation, present: list[str]) -> CheckpointError:
    """The most helpful words for a directory without model*.safetensors."""
    if not present:
        return CheckpointError("the directory is empty", path=directory)
    others = [name for name in present if name.endswith(".safetensors")]
    if others:
        return CheckpointError(
            f"no {SINGLE_NAME} and no shards of it, but {_listed('file', others)}: give such a file itself "
            "if it is a whole model (adapters must be merged into their base model first)",
            path=directory,
        )
    pickles = [name for name in present if name.endswith(_PICKLES)]
    if pickles:
        return CheckpointError(
            f"only pickled weights ({', '.join(pickles[:3])}), which are not read: loading a pickle can run "
            "code; save the model with safe_serialization=True, or download its safetensors; or, if you "
            "trust where it comes from and have torch, --allow-pickle loads it with weights_only",
            path=directory,
        )
    if any(name.endswith(".gguf") for name in present):
        return CheckpointError("holds GGUF files, not a checkpoint: give such a file itself", path=directory)
    return CheckpointError(
        "no safetensors in this directory", path=directory, expected=f"{SINGLE_NAME} or {INDEX_NAME}"
    )


def _listed(what: str, names: Sequence[str]) -> str:
    """``"2 tensors ('a', 'b')"``; of very many only the first are named."""
    shown = ", ".join(repr(name if len(name) <= 100 else name[:100] + "…") for name in names[:_MOST_NAMED])
    if len(names) > _MOST_NAMED:
        return f"more than {_MOST_NAMED} {what}s ({shown}, …)"
    return f"{len(names)} {what}{'' if len(names) == 1 else 's'} ({shown})"
