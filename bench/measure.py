"""Running a command and counting what it took: wall time, CPU time, peak memory."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

__all__ = ["Cost", "measure", "median_cost", "table"]


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of wall time, seconds of CPU time (user + system), peak resident bytes."""

    wall: float
    cpu: float
    peak: int

    def then(self, other: Cost) -> Cost:
        """The cost of one after the other: times add up, the larger peak counts."""
        return Cost(self.wall + other.wall, self.cpu + other.cpu, max(self.peak, other.peak))

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def measure(command: Sequence[str], environment: Mapping[str, str] | None = None) -> tuple[Cost, str]:
    """Run a command to its end; returns its cost and its standard output.

    The peak is the kernel's ``ru_maxrss`` of the child alone. It is never below the peak of the process
    that starts it, so that one should be small: this module imports no numpy.

    Python may write what it compiles, whatever the environment says: installed packages are compiled once,
    and this one should be too, wherever it is run from.

    Raises:
        RuntimeError: the command failed; the message holds the end of its standard error.
    """
    variables = dict(os.environ if environment is None else environment)
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=output, stderr=errors, env=variables)
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read().decode(errors="replace")
        if child.returncode:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip()[-2000:]
            raise RuntimeError(f"{' '.join(command[:4])} … failed with {child.returncode}:\n{said}")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024), text


def median_cost(costs: Sequence[Cost]) -> Cost:
    """Each figure's own median."""
    return Cost(
        median(cost.wall for cost in costs),
        median(cost.cpu for cost in costs),
        int(median(cost.peak for cost in costs)),
    )


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Plain columns, the first aligned left and the others right."""
    lines = [list(heading), *map(list, rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heading))]

    def shown(line: list[str]) -> str:
        cells = (
            c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        return "  ".join(cells).rstrip()

    return "\n".join([shown(lines[0]), "  ".join("-" * width for width in widths), *map(shown, lines[1:])])
