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

        commands()
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
