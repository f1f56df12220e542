"""``inspect --stats`` and ``--html`` at the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gguf_tools
from gguf_tools.inspection.statistics import measure
from tests.cli.invoking import Terminal, invoke, printed_json, refused, said

DEMO = Path(__file__).resolve().parents[2] / "fixtures" / "demo"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("statistics") / "demo.gguf"
    gguf_tools.convert(DEMO, path, type="Q4_K_M")
    return path


class TestStatistics:
    def test_json_has_all_figures(self, demo: Path) -> None:
        with gguf_tools.open(demo) as file:
            expected = [found.to_dict() for found in measure(file.tensors.items())]
        for found in expected:
            found["statistics"]["histogram"]["counts"] = list(found["statistics"]["histogram"]["counts"])
        assert printed_json("inspect", demo, "--stats")["statistics"] == expected
        assert printed_json("inspect", demo, "--stats", "--threads", "3")["statistics"] == expected
        assert "statistics" not in printed_json("inspect", demo)

    def test_the_table(self, demo: Path) -> None:
        lines = said("inspect", demo, "--stats").splitlines()
        assert lines[0].split() == ["tensor", "min", "max", "mean", "σ", "zeros", "outliers"]
        assert len([line for line in lines if ".weight" in line]) == 20
        with gguf_tools.open(demo) as file:
            values = file.tensors["blk.1.ffn_down.weight"].dequantize()
        (line,) = [line for line in lines if line.startswith("blk.1.ffn_down.weight")]
        figures = [float(field) for field in line.split()[1:5]]
        np.testing.assert_allclose(
            figures, [values.min(), values.max(), values.mean(), values.std()], rtol=6e-3
        )

    def test_filters(self, demo: Path) -> None:
        found = printed_json("inspect", demo, "--stats", "--filter", "ffn_down")["statistics"]
        assert [one["name"] for one in found] == ["blk.0.ffn_down.weight", "blk.1.ffn_down.weight"]
        found = printed_json("inspect", demo, "--stats", "--type", "F32")["statistics"]
        assert len(found) == 5
        text = said("inspect", demo, "--stats", "--filter", "attn_q")
        assert len([line for line in text.splitlines() if ".weight" in line]) == 2

    def test_of_a_checkpoint(self) -> None:
        assert len(printed_json("inspect", DEMO, "--stats")["statistics"]) == 20

    def test_what_is_not_finite_is_said(self, tmp_path: Path) -> None:
        values = np.array([1, np.nan, np.inf, -np.inf], np.float32)
        gguf_tools.write(tmp_path / "x.gguf", gguf_tools.Metadata(), [("bad", values), ("good", values[:1])])
        lines = said("inspect", tmp_path / "x.gguf", "--stats").splitlines()
        assert "bad: 1 NaN, 2 infinite" in lines
        assert not any(line.startswith("good:") for line in lines)

    @pytest.mark.parametrize("name", ["blk.100.post_attention_norm_of_a_long_name.weight", "short"])
    def test_the_table_fits_80_columns(self, tmp_path: Path, name: str) -> None:
        values = np.array([-1.23456e-38, -3.2987e38, 1, 2], np.float32)
        many = np.concatenate([np.zeros(10_000_000, np.float32), np.full(100_000, -1e38, np.float32)])
        gguf_tools.write(tmp_path / "x.gguf", gguf_tools.Metadata(), [(name, values), ("many", many)])
        terminal = Terminal()
        shown = terminal.run("inspect", tmp_path / "x.gguf", "--stats")
        assert "measuring" in shown
        lines = terminal.plain(shown)
        start = next(i for i, line in enumerate(lines) if line.startswith("tensor "))
        assert max(len(line.rstrip()) for line in lines[start:]) <= 80
        assert any("100,000" in line and "99.0%" in line for line in lines)

    def test_no_progress_in_a_pipe(self, demo: Path) -> None:
        assert invoke("inspect", demo, "--stats").stderr == ""


class TestPage:
    def test_is_written_and_nothing_else_printed(self, demo: Path, tmp_path: Path) -> None:
        page = tmp_path / "r.html"
        assert (
            said("inspect", demo, "--html", page) == f"wrote {page} ({page.stat().st_size / 1000:.1f} kB)\n"
        )
        gguf_tools.report(demo, tmp_path / "same.html")
        assert page.read_bytes() == (tmp_path / "same.html").read_bytes()

    def test_with_statistics(self, demo: Path, tmp_path: Path) -> None:
        said("inspect", demo, "--html", tmp_path / "r.html", "--stats")
        gguf_tools.report(demo, tmp_path / "same.html", statistics=True)
        assert (tmp_path / "r.html").read_bytes() == (tmp_path / "same.html").read_bytes()

    def test_json_is_printed_beside_it(self, demo: Path, tmp_path: Path) -> None:
        assert printed_json("inspect", demo, "--html", tmp_path / "r.html")["tensors"] == 20
        assert (tmp_path / "r.html").exists()

    def test_an_existing_page_is_kept_unless_forced(self, demo: Path, tmp_path: Path) -> None:
        page = tmp_path / "r.html"
        page.write_text("mine")
        assert "r.html: exists already; pass --force" in refused("inspect", demo, "--html", page)
        assert page.read_text() == "mine"
        said("inspect", demo, "--html", page, "--force")
        assert page.read_bytes().startswith(b"<!DOCTYPE html>")

    def test_a_key_and_a_page_do_not_go_together(self, demo: Path, tmp_path: Path) -> None:
        result = invoke("inspect", demo, "--key", "general.name", "--html", tmp_path / "r.html")
        assert result.exit_code == 2
        assert list(tmp_path.iterdir()) == []
