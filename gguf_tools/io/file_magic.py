"""What a file seems to be that is not what it should be: the first bytes usually tell what went wrong."""

from __future__ import annotations

from typing import Final

__all__ = ["looks_like"]

_LFS: Final = "a Git LFS pointer, not the file itself: fetch it with `git lfs pull`"
_HTML: Final = "an HTML page: the download delivered a web page instead of the file"

_STARTS: Final = (
    (b"version https://git-lfs", _LFS),
    (b"\x1f\x8b", "gzip data: unpack it first"),
    (b"PK\x03\x04", "a zip archive, perhaps a PyTorch checkpoint"),
    (b"\x28\xb5\x2f\xfd", "zstd data: unpack it first"),
    (b"\xfd7zXZ\0", "xz data: unpack it first"),
    (b"BZh", "bzip2 data: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY", "a numpy .npy file"),
    (b"GGUF", "a GGUF file"),
    (b"FUGG", "GGUF with its magic reversed"),
    (b"lmgg", "a file of the GGML format that came before GGUF"),
    (b"fmgg", "a file of the GGMF format that came before GGUF"),
    (b"tjgg", "a file of the GGJT format that came before GGUF"),
    (b"algg", "a GGLA adapter of before GGUF"),
)


def looks_like(start: bytes) -> str | None:
    """What a file is, from its first bytes (64 suffice), or None where they say nothing.

    Only meant for files that turned out not to be what was expected.
    """
    for magic, meaning in _STARTS:
        if start.startswith(magic):
            return meaning
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<?xml", b"<!--")):
        return _HTML
    if start[:1] == b"\x80" and start[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        return "a Python pickle, perhaps a PyTorch checkpoint"
    # A safetensors file starts with the 8-byte length of the JSON object that follows.
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= 100_000_000:
        return "a safetensors file: convert the directory it is in"
    if text.startswith((b"{", b"[")):
        return "JSON text"
    if start and not start.strip(b"\0"):
        return "nothing but zeros: the download did not complete"
    return None
