"""What is in a file: summaries, lists, statistics, maps of types, differences."""
