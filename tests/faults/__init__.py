"""Fault injection: every call that touches the disk goes wrong in turn, in every job that writes.

`calls` has the calls and what befalls them, `jobs` what is done, `sweep` does it over and over and judges.
``tests/conversion/test_faults.py`` takes a part of it; ``python -m tests.torture --part faults`` all.
"""
