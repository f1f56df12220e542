"""Hostile files: every known class of them, built from bytes, with what must become of each.

``registry.CASES`` is the one list. ``make test`` takes every case once (`test_cases`); ``make torture``
takes them in processes of their own and measures time and memory.
"""
