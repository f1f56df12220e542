"""These tests are not even collected by ``make test``, whose environment lacks torch and the like."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]
