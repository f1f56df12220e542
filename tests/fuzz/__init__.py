"""Fuzzing: readers of files under bytes that a fuzzer, coverage or chance picks.

`targets` has a function ``fuzz_xxx(data: bytes)`` for each kind of file. ``make fuzz`` drives them with
atheris, which learns from coverage; ``make test`` replays the corpus and lets hypothesis play for a while.
"""
