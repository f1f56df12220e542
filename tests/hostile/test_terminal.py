"""Nothing hostile reaches the terminal: every command on every source of text that is not ours."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import rich.progress
import rich.status
from click.testing import CliRunner

import gguf_tools
from gguf_tools.cli import COMMANDS, main
from gguf_tools.io.remote import session as sessions
from tests.hostile.scenes import SCENES, Scene
from tests.hostile.scenes.base import SOUND, of_checkpoint, of_gguf, sound, write, write_sound
from tests.hostile.scenes.ggufs import every_text
from tests.hostile.scenes.servers import ANSWERS, of_url, serving_answers
from tests.hostile.terminal import FORGED, PAYLOAD, Shown, faults, reached, run

assert rich.progress
assert rich.status


@pytest.fixture(scope="module", autouse=True)
def _ready(tmp_path_factory: pytest.TempPathFactory) -> None:
    """All modules and kernels are loaded here once, not in every fork."""
    for module in pkgutil.walk_packages(gguf_tools.__path__, "gguf_tools."):
        importlib.import_module(module.name)
    folder = tmp_path_factory.mktemp("ready")
    write(folder / "model", sound().checkpoint)
    write(folder / "adapter", sound().adapter)
    write_sound(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in (*of_gguf(SOUND), *of_checkpoint("model")):
            CliRunner().invoke(main, command)


def checked(
    commands: Sequence[Sequence[str]], folder: Path, *, silent: bool = False, width: int | None = None
) -> list[Shown]:
    """Run commands; none may show anything hostile, and one must have shown the text at all."""
    shown = list(run(commands, folder) if width is None else run(commands, folder, width))
    found = [(" ".join(one.command), fault, one.output[-600:]) for one in shown for fault in faults(one)]
    assert found == []
    assert len(shown) == len(commands)
    assert silent or any(map(reached, shown))
    return shown


@pytest.mark.parametrize("scene", SCENES, ids=[scene.name for scene in SCENES])
def test_nothing_is_obeyed(scene: Scene, tmp_path: Path) -> None:
    checked(scene.make(tmp_path), tmp_path, silent=scene.silent)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_nothing_of_a_servers_answer_is(
    answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "session", partial(sessions.session, backoff=0.001))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    write_sound(tmp_path)
    with serving_answers(answer) as url:
        checked(of_url(url), tmp_path, silent=True)


def test_nor_on_a_narrow_terminal(tmp_path: Path) -> None:
    """Where what is escaped has to be folded, too."""
    checked(every_text.make(tmp_path), tmp_path, width=40)


def test_every_command_is_run_on_something_hostile(tmp_path: Path) -> None:
    seen = set()
    for number, scene in enumerate(SCENES):
        (tmp_path / str(number)).mkdir()
        seen |= {command[0] for command in scene.make(tmp_path / str(number))}
    assert seen >= COMMANDS.keys()


class TestTheJudge:
    """It must be able to find what the sweep is to show there is none of."""

    @pytest.mark.parametrize(
        ("output", "fault"),
        [
            ("x\x1b]0;PWNED\x07\r\n", "not printable"),
            ("x\x1b[8;66m", "got through"),
            ("x\x9b7m", "not printable"),
            ("x\u202ey", "not printable"),
            ("x\x7f", "not printable"),
            (f"x\r{FORGED}", "not printable"),
            (f"x\r\n{FORGED}", "forged"),
            (f"x\r\n\x1b[1m{FORGED}", "forged"),
            ("x\udcff", "not printable"),
            ("Traceback (most recent call last)", "a traceback"),
            ("error: x\r\ny\r\n", "2 lines"),
            ("\N{SMILING FACE WITH OPEN MOUTH AND SMILING EYES}", "got through"),
        ],
    )
    def test_sees(self, output: str, fault: str) -> None:
        assert any(fault in found for found in faults(Shown(("inspect", "x"), 0, output)))

    @pytest.mark.parametrize(
        "output",
        [
            "\x1b[1;31merror:\x1b[0m x\r\n",
            "\x1b[?25l\r\x1b[2Kbar\r\x1b[2Kbar\r\n\x1b[?25h\r\x1b[1A\x1b[2K",
            r"x\x1b]0;PWNED\x07\nFORGED",
        ],
    )
    def test_lets_pass(self, output: str) -> None:
        assert list(faults(Shown(("inspect", "x"), 0, output))) == []

    def test_sees_what_is_no_json(self) -> None:
        assert list(faults(Shown(("inspect", "x", "--json"), 0, "x\r\n")))
        assert not list(faults(Shown(("inspect", "x", "--json"), 0, "[\r\n 1\r\n]\r\n")))

    def test_sees_what_a_program_without_escapes_shows(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The whole way, through fork and terminal."""
        monkeypatch.setattr("gguf_tools.errors.printable", lambda text: text)
        monkeypatch.setattr("gguf_tools.cli.console.printable", lambda text: text)
        (shown,) = run([["inspect", PAYLOAD.replace("/", "")]], tmp_path)
        assert len(list(faults(shown))) >= 3
