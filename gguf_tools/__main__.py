"""The ``gguf-tools`` command, also as ``python -m gguf_tools``.

Importing the commands and what they need takes a moment, in which somebody may press Ctrl-C. So it happens
here, below a handler, and not at the top of a module.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line; one that is interrupted ends with status 130."""
    try:
        from .cli import main as commands

        _make_printable()
        commands()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


def _make_printable() -> None:
    """Print a question mark for what the output's encoding lacks: in pipes, Windows' has 256 characters."""
    import io
    import sys

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


if __name__ == "__main__":
    main()
