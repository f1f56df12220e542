"""Tiny checkpoints, in ``MODELS`` of the module that is called as the family's in the package."""
