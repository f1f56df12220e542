"""How files are read and written: positional reads, atomic outputs, descriptors, URLs."""
