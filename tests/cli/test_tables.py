"""Tables: they look as rich's do, and cost as much as there is in them, counted for every list there is."""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path

import pytest
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gguf_tools.cli import main
from gguf_tools.cli.console import console
from gguf_tools.cli.tables import Listing
from gguf_tools.inspection.tensor_names import place_of
from tests import builders as b

# As rich's


def rich_table(columns: list[str], right: list[str]) -> Table:
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in columns:
        side = "right" if name in right else "left"
        made.add_column(name, justify=side, no_wrap=name in right, overflow="fold")
    return made


def printed(listing: object, width: int, *, colours: bool = False) -> list[str]:
    out = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colours,
        color_system="truecolor" if colours else None,
        highlight=False,
    )
    out.print(listing)
    assert isinstance(out.file, io.StringIO)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


CELLS = {
    "names": lambda rng: f"blk.{rng.randrange(100)}.ffn_down_exps.weight",
    "words": lambda rng: " ".join("x" * rng.randrange(1, 12) for _ in range(rng.randrange(12))),
    "wide": lambda rng: "漢字" * rng.randrange(8) + "é" * rng.randrange(5),
    "long": lambda rng: "n" * rng.choice([3, 30, 300]),
    "mixed": lambda rng: rng.choice(["", "a", "two words", "x" * 70, "漢" * 30, "a  b"]),
}


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
def test_they_look_as_richs(kind: str, width: int) -> None:
    rng = random.Random(f"{kind} {width}")
    for _ in range(20):
        columns, right = ["tensor", "value", "size"], ["size"]
        ours, theirs = Listing(columns, right=right), rich_table(columns, right)
        for _ in range(rng.randrange(1, 8)):
            cells = [CELLS[kind](rng), CELLS["names"](rng)[: rng.randrange(25)], f"{rng.randrange(10**6):,}"]
            ours.add_row(*map(Text, cells))
            theirs.add_row(*map(Text, cells))
        assert printed(ours, width) == printed(theirs, width)


def test_colours_are_richs() -> None:
    """What is seen is the same; rich also colours the blanks that fill its cells."""
    ours, theirs = Listing(["a", "b"]), rich_table(["a", "b"], [])
    for listing in (ours, theirs):
        listing.add_row(Text("xx", style="red"), Text("yy", style="dim"))
    assert printed(ours, 80, colours=True)[2] == printed(theirs, 80, colours=True)[2].replace(
        " \x1b[0m", "\x1b[0m "
    )


@pytest.mark.parametrize("width", [1, 5, 11, 30])
def test_nothing_is_lost_where_there_is_no_room(width: int) -> None:
    listing = Listing(["name", "size"], right=["size"])
    listing.add_row("abcdefghij" * 5, "123,456")
    text = "".join(printed(listing, max(width, 5)))
    for letter in "abcdefghij":
        assert text.count(letter) >= 5
    assert set("123456") <= set(text)


def test_a_row_is_one_line_whatever_is_in_it() -> None:
    listing = Listing(["name"])
    listing.add_row("a\nb\x1b[2J\u202e\x85")
    assert printed(listing, 80)[2:] == [r"a\nb\x1b[2J\u202e\x85"]


# As much work as there is to show


def calls(action: Callable[[], object]) -> int:
    """How many functions are called, of Python and of C."""
    count = 0

    def called(frame: object, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


def grows_linearly(action: Callable[[int], object], size: int) -> None:
    """Twice as much takes twice the calls, over what any size takes; with squares it would be four times."""
    action(1)  # imports
    once, twice, four = (calls(lambda n=n: action(n)) for n in (size, 2 * size, 4 * size))
    assert four - twice < 2.5 * (twice - once), (once, twice, four)


def model(
    path: Path, tensors: int, *, keys: int = 0, name: str = "blk.{}.ffn_{}.weight", kind: int = 0
) -> Path:
    entries = [b.Tensor(name.format(i // 8, i % 8), (8, 4), kind, b"\xff" * 128) for i in range(tensors)]
    pairs = [
        b.ARCHITECTURE,
        ("llama.block_count", b.U32, max(1, tensors // 8)),
        *((f"key.{i}", b.STRING, f"value {i} of {path.stem}") for i in range(keys)),
    ]
    path.write_bytes(b.build(pairs, entries))
    return path


COMMANDS = {
    "inspect": ["inspect", "A"],
    "map": ["inspect", "A", "--map"],
    "tensors": ["inspect", "A", "--tensors"],
    "tensors, sorted": ["inspect", "A", "--tensors", "--sort", "name"],
    "tensors as JSON": ["inspect", "A", "--tensors", "--json"],
    "metadata": ["inspect", "A", "--metadata"],
    "statistics": ["inspect", "A", "--stats", "--threads", "1"],
    "page": ["inspect", "A", "--html", "PAGE", "--force"],
    "recipes": ["inspect", "A", "--recipes"],
    "verify": ["verify", "A"],
    "checksums": ["verify", "A", "--hash"],
    "diff": ["diff", "A", "B"],
    "extract": ["extract", "A", "OUT.safetensors", "--dry-run"],
    "quantize": ["quantize", "A", "OUT.gguf", "--type", "F16", "--dry-run"],
    "rules": ["quantize", "A", "OUT.gguf", "--type", "F16", "--dry-run", "--explain"],
    "edit": ["edit", "A", "--rename", "key.0=other", "--dry-run"],
    "split": ["split", "A", "OUT", "--max-tensors", "2", "--dry-run"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands(command: str, tmp_path: Path) -> None:
    """Models of more and more tensors and keys. In ``diff`` all differ, in ``verify`` all are faulty."""
    names = {"OUT", "OUT.gguf", "OUT.safetensors", "PAGE"}

    def run(size: int) -> None:
        places = {name: tmp_path / name for name in names}
        places["A"] = model(tmp_path / f"a{size}.gguf", size, keys=size)
        places["B"] = model(tmp_path / f"b{size}.gguf", size, keys=size, kind=26 if command == "diff" else 0)
        arguments = [str(places.get(word, word)) for word in COMMANDS[command]]
        with redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")), suppress(SystemExit):
            main(arguments, standalone_mode=False)

    grows_linearly(run, 60)


@pytest.mark.parametrize(
    "part",
    [
        "n",
        "h.1.",
        ".",
        "1",
        "experts.1.",
        " ",
        "ab ",
        "漢",
        "\x1b",
        "\n",
        "e\u0301",
        "blk.0.",
        "layers.1.",
        "x.",
    ],
)
def test_long_names(part: str, tmp_path: Path) -> None:
    """Of which tables have many lines. The end makes expressions fail late."""

    def show(size: int) -> None:
        path = model(tmp_path / "a.gguf", 2, name=part * (500 * size) + "\n{}{}")
        with redirect_stdout(io.TextIOWrapper(io.BytesIO(), "utf-8")):
            main(["inspect", str(path), "--tensors", "--sort", "name"], standalone_mode=False)

    grows_linearly(show, 4)


@pytest.mark.parametrize("part", ["h.1.", "layers.1.", "blk.0.", "x.", "."])
def test_where_a_tensor_belongs_is_found_in_one_pass(part: str) -> None:
    """A megabyte: with squares of it this would take hours."""
    name = part * ((1 << 20) // len(part)) + "\n"
    assert place_of(name).role


def test_blanks_at_the_ends_of_lines_are_cut_in_one_pass(capsys: pytest.CaptureFixture[str]) -> None:
    """A megabyte of them, which an expression would begin to look through at each."""
    out = console()
    out.print(Text(" " * (1 << 20) + "x" + " " * (1 << 20)), soft_wrap=True)
    assert capsys.readouterr().out == " " * (1 << 20) + "x\n"
