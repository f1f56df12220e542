"""Changing GGUF files without decoding a tensor: cutting, joining, editing metadata."""
