"""Other implementations that tests compare with: ggml, llama.cpp, and what can be had of published models."""
