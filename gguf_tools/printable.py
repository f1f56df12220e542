"""Text from files, servers and command lines, made safe to show.

What a terminal is sent it obeys: an escape sequence in a tensor's name sets the window's title or overwrites
the line above, a line end forges a message of the program's own, a mark for the direction of writing turns
``gpj.exe`` into what it is not. Whatever is shown of others' text goes through `printable`.
"""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str, keep: str = "") -> str:
    """Text on one line, with all escaped that is not plainly visible.

    Escaped as in Python's literals (``\\x1b``, ``\\n``, ``\\u202e``) is what `str.isprintable` denies:
    control characters (C0, DEL and C1), line ends and separators, blanks other than the common one, marks of
    direction and of no width (Unicode's category Cf), lone surrogates (bytes of a file's name that are not
    UTF-8), and what is private or not assigned.

    Args:
        text: whatever there is.
        keep: characters to let through all the same, such as ``"\\n"`` where several lines are wanted.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape", "surrogatepass").decode("ascii")
        for c in text
    )
