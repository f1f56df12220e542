"""What tiny checkpoints of different families share."""
