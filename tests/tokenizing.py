"""llama.cpp's tokenizer for a file with a vocabulary and nothing else, in this process.

`tests.references.llama` runs models through ``cyllama``, whose llama.cpp is older than some pre-tokenizers.
The extension module of ``xllamacpp`` exports llama.cpp's C interface, too, of a build that knows all of them.
"""

from __future__ import annotations

import ctypes
from pathlib import Path

import xllamacpp

__all__ = ["RuntimeVocabulary"]

_VOCAB_ONLY = 72
"""Offset of ``vocab_only`` in ``llama_model_params``: nine pointers or pairs of integers stand before it."""


class _Params(ctypes.Structure):
    """``llama_model_params``, passed by value. Its end is not ours to know; this is longer than it is."""

    _fields_ = (("bytes", ctypes.c_uint8 * 512),)


def _library() -> ctypes.CDLL:
    (module,) = Path(xllamacpp.__file__).parent.glob("xllamacpp*.so")
    library = ctypes.CDLL(str(module))
    library.llama_model_default_params.restype = _Params
    library.llama_model_load_from_file.argtypes = (ctypes.c_char_p, _Params)
    library.llama_model_load_from_file.restype = ctypes.c_void_p
    library.llama_model_get_vocab.argtypes = (ctypes.c_void_p,)
    library.llama_model_get_vocab.restype = ctypes.c_void_p
    library.llama_model_free.argtypes = (ctypes.c_void_p,)
    library.llama_tokenize.argtypes = (
        *(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int32),
        *(ctypes.POINTER(ctypes.c_int32), ctypes.c_int32, ctypes.c_bool, ctypes.c_bool),
    )
    library.llama_log_set(_SILENCE, None)
    library.llama_backend_init()
    return library


_SILENCE = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
_LLAMA = _library()


class RuntimeVocabulary:
    """The vocabulary of a GGUF file, loaded by llama.cpp.

    Raises:
        RuntimeError: llama.cpp refuses the file.
    """

    def __init__(self, path: Path) -> None:
        params = _LLAMA.llama_model_default_params()
        params.bytes[_VOCAB_ONLY] = True
        self._model = _LLAMA.llama_model_load_from_file(str(path).encode(), params)
        if not self._model:
            raise RuntimeError(f"llama.cpp does not load the vocabulary of {path}")
        self._vocabulary = _LLAMA.llama_model_get_vocab(self._model)

    def close(self) -> None:
        """Free it now."""
        _LLAMA.llama_model_free(self._model)
        self._model = self._vocabulary = None

    def tokenize(self, text: str, *, special: bool = False, parse_special: bool = False) -> list[int]:
        """Ids of a text; ``special`` adds BOS and EOS, ``parse_special`` finds special tokens in the text."""
        data = text.encode()
        room = 2 * len(data) + 8
        ids = (ctypes.c_int32 * room)()
        count = _LLAMA.llama_tokenize(self._vocabulary, data, len(data), ids, room, special, parse_special)
        assert count >= 0, "more tokens than there is room for"
        return list(ids[:count])
