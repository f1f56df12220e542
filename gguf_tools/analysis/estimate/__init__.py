"""How much memory running a model takes."""
