"""Getting model weights in and out of GGUF."""
