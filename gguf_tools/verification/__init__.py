"""Whether a file is sound: findings, checksums."""
