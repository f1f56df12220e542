"""``make torture``: hostile files, arbitrary blocks, determinism and killed runs, measured and counted."""
