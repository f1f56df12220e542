"""The HTML report in a real browser: what it shows, against the files; and that it keeps to itself."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gguf_tools
from gguf_tools.inspection.inspect import Inspection, TensorDescription
from gguf_tools.inspection.statistics import Measurement, measure
from gguf_tools.spec import ValueType
from tests.browser.chromium import Chromium
from tests.references import oracles

pytestmark = pytest.mark.browser

DEMO = Path(__file__).resolve().parents[2] / "fixtures" / "demo"

BANDS = ((2, "1"), (3, "2"), (4, "3"), (5, "4"), (6, "5"), (8, "6"), (12, "8"), (20, "16"), (math.inf, "32"))

FRAMED = "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"


@pytest.fixture(scope="module")
def demo(pages: Path) -> Path:
    """The demo checkpoint as Q4_K_M."""
    path = pages / "demo.gguf"
    gguf_tools.convert(DEMO, path, type="Q4_K_M")
    return path


@pytest.fixture(scope="module")
def report(demo: Path, pages: Path) -> Path:
    """Its report, with statistics."""
    page = pages / "demo.html"
    gguf_tools.report(demo, page, statistics=True)
    return page


@pytest.fixture(scope="module")
def inspection(demo: Path) -> Inspection:
    return gguf_tools.inspect(demo)


@pytest.fixture(scope="module")
def measurements(demo: Path) -> dict[str, Measurement]:
    with gguf_tools.open(demo) as file:
        return {found.name: found for found in measure(file.tensors.items())}


@pytest.fixture(scope="module")
def gemma(pages: Path) -> Path:
    """The report of a real model, from headers alone."""
    page = pages / "gemma.html"
    gguf_tools.report(oracles.gemma3(), page)
    return page


def band(tensor: TensorDescription) -> str:
    """The class a tensor's colour has."""
    bits = tensor.bits_per_weight
    assert bits is not None
    return next(f"bits-{name}" for limit, name in BANDS if bits < limit)


def visible_names(chromium: Chromium) -> list[str]:
    return chromium.texts("#tensors tbody td.name")


class TestItself:
    @pytest.mark.parametrize("name", ["report", "gemma"])
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_no_complaints_and_no_requests(
        self, chromium: Chromium, request: pytest.FixtureRequest, name: str, scheme: str
    ) -> None:
        page: Path = request.getfixturevalue(name)
        chromium.open(page, scheme=scheme)
        assert chromium.texts("h2")
        assert chromium.complaints() == []
        assert chromium.requests() == [page.as_uri()]

    def test_the_policy_is_in_force(self, chromium: Chromium, report: Path) -> None:
        """Whatever might get into the page: no image is fetched, no script and no handler runs."""
        chromium.open(report)
        blocked = chromium.driver.execute_async_script(
            """
            const done = arguments[0], blocked = [];
            document.addEventListener("securitypolicyviolation", (event) => {
              blocked.push(event.effectiveDirective);
              if (blocked.length === 4) done(blocked.sort());
            });
            const script = document.createElement("script");
            script.textContent = "window.intruded = true";
            document.body.append(script);
            document.body.insertAdjacentHTML("beforeend", "<p onclick='window.intruded = true'>x</p>");
            document.body.lastChild.click();
            new Image().src = "http://127.0.0.1:9/x.png";
            fetch("http://127.0.0.1:9/").catch(() => 0);
            """
        )
        assert blocked == ["connect-src", "img-src", "script-src-attr", "script-src-elem"]
        assert chromium.run("return window.intruded") is None

    @pytest.mark.parametrize("width", [400, 700, 1400])
    @pytest.mark.parametrize("name", ["report", "gemma"])
    def test_nothing_sticks_out(
        self, chromium: Chromium, request: pytest.FixtureRequest, name: str, width: int
    ) -> None:
        chromium.open(request.getfixturevalue(name), width=width)
        scrolled, shown = chromium.run(FRAMED)
        assert shown == width
        assert scrolled == shown
        out = chromium.run(
            """
            return [...document.querySelectorAll("body *:not(.scroll *)")].filter((e) => {
              const box = e.getBoundingClientRect();
              return box.width && (box.left < -0.5 || box.right > innerWidth + 0.5);
            }).map((e) => e.outerHTML.slice(0, 80))
            """
        )
        assert out == []

    def test_what_is_wider_than_a_phone_scrolls_by_itself(self, chromium: Chromium, report: Path) -> None:
        chromium.open(report, width=400)
        assert chromium.run(
            "const e = document.querySelector('#tensors .scroll'); return e.scrollWidth > e.clientWidth"
        )

    def test_it_prints_all_of_it_without_controls(self, chromium: Chromium, gemma: Path) -> None:
        chromium.open(gemma)
        assert len(visible_names(chromium)) < 236
        assert chromium.pdf().startswith(b"%PDF")
        assert len(visible_names(chromium)) == 236  # what is printed is drawn beforehand
        chromium.open(gemma, media="print", scheme="dark")
        assert not any(element.is_displayed() for element in chromium.all(".controls, .more"))
        assert chromium.run("return getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


class TestRealModels:
    @pytest.mark.parametrize("name", ["gemma3", "smollm2", "minilm"])
    def test_everything_is_there(self, chromium: Chromium, pages: Path, name: str) -> None:
        """MiniLM as Q8_0, and its checkpoint beside it."""
        path: Path = getattr(oracles, name)()
        models = [path]
        if path.is_dir():
            models.append(pages / f"{name}.gguf")
            gguf_tools.convert(path, models[1], type="Q8_0")
        for model in models:
            page = pages / f"{name}-{model.suffix}.html"
            gguf_tools.report(model, page, statistics=True)
            chromium.open(page)
            assert chromium.complaints() == []
            inspection = gguf_tools.inspect(model)
            layered = [tensor for tensor in inspection.tensors if tensor.layer is not None]
            assert len(chromium.all("#map .cell")) == len(layered)
            assert len(chromium.all("#map .chip")) == len(inspection.tensors) - len(layered)
            assert len(chromium.all("#sizes .leaf")) == len(inspection.tensors)
            largest = max(layered, key=lambda tensor: tensor.nbytes or 0).role
            chromium.choose("#role", largest)
            assert len(chromium.all(".card")) == sum(tensor.role == largest for tensor in layered)
            chromium.click(chromium.one("#tensors .more button"))
            assert visible_names(chromium) == [tensor.name for tensor in inspection.tensors]
            assert len(chromium.all("#tensors td svg")) == len(inspection.tensors)
            assert len(chromium.all("#metadata tbody tr")) == len(inspection.metadata)


# Luminance of any CSS colour, through a canvas, and contrast as WCAG defines them.
CONTRAST = """
const context = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
const luminance = (colour) => {
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
};
const style = (element) => getComputedStyle(element);
"""


class TestColours:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_text_is_legible(self, chromium: Chromium, report: Path, scheme: str) -> None:
        chromium.open(report, scheme=scheme)
        found = chromium.run(
            CONTRAST
            + """
            const card = style(document.querySelector("section")).backgroundColor;
            const results = {};
            for (const selector of ["h2", ".lead", "#types td", "#types th", ".legend", ".card figcaption"])
              results[selector] = contrast(style(document.querySelector(selector)).color, card);
            for (const name of ["1", "2", "3", "4", "5", "6", "8", "16", "32"]) {
              const probe = document.createElement("p");
              probe.className = `filled bits-${name}`;
              document.body.append(probe);
              results[name] = contrast(style(probe).color, style(probe).backgroundColor);
            }
            return results;
            """
        )
        assert len(found) == 15
        assert {name: ratio for name, ratio in found.items() if ratio < 4.5} == {}

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_bands_differ_from_each_other_and_from_the_ground(
        self, chromium: Chromium, report: Path, scheme: str
    ) -> None:
        chromium.open(report, scheme=scheme)
        fills, ground = chromium.run(
            CONTRAST
            + """
            const fills = ["1", "2", "3", "4", "5", "6", "8", "16", "32"].map((name) => {
              const probe = document.createElement("p");
              probe.className = `filled bits-${name}`;
              document.body.append(probe);
              return luminance(style(probe).backgroundColor);
            });
            return [fills, luminance(style(document.querySelector("section")).backgroundColor)];
            """
        )
        assert fills == sorted(fills, reverse=True)
        assert all((a + 0.05) / (b + 0.05) > 1.1 for a, b in pairwise(fills))
        assert all(abs(fill - ground) > 0.02 for fill in fills)

    def test_the_schemes_are_two(self, chromium: Chromium, report: Path) -> None:
        grounds = []
        for scheme in ("light", "dark"):
            chromium.open(report, scheme=scheme)
            grounds.append(chromium.run(CONTRAST + "return luminance(style(document.body).backgroundColor)"))
        assert grounds[0] > 0.8
        assert grounds[1] < 0.05


class TestContent:
    def test_the_head(self, chromium: Chromium, report: Path, inspection: Inspection) -> None:
        chromium.open(report)
        assert chromium.driver.title == "Demo"
        assert chromium.texts("h1") == ["Demo"]
        assert chromium.texts("header .path") == [inspection.summary.path]
        tiles = dict(zip(chromium.texts(".tile dt"), chromium.texts(".tile dd"), strict=True))
        assert tiles["Tensors"] == "20"
        assert tiles["Parameters"] == "1.32 M"
        assert tiles["Size"] == f"{inspection.summary.file_bytes / 1000:.1f} kB"
        assert tiles["Layers"] == "2"
        facts = dict(zip(chromium.texts(".facts dt"), chromium.texts(".facts dd"), strict=True))
        assert facts["Architecture"] == "llama"
        assert facts["Format"] == "GGUF v3, little endian, alignment 32"
        assert facts["Attention"].startswith("heads 4, KV heads 2")

    def test_the_types(self, chromium: Chromium, report: Path, inspection: Inspection) -> None:
        chromium.open(report)
        rows = [row.split() for row in (element.text for element in chromium.all("#types tbody tr"))]
        assert {row[0]: int(row[1]) for row in rows} == {
            share.type: share.tensors for share in inspection.summary.types
        }
        widths = chromium.run(
            "return [...document.querySelectorAll('.shares > div')].map((e) => e.clientWidth)"
        )
        sizes = sorted(share.bytes or 0 for share in inspection.summary.types)
        for width, size in zip(sorted(widths), sizes, strict=True):
            assert width / sum(widths) == pytest.approx(size / sum(sizes), abs=0.01)

    def test_the_type_map(self, chromium: Chromium, report: Path, inspection: Inspection) -> None:
        chromium.open(report)
        layered = [tensor for tensor in inspection.tensors if tensor.layer is not None]
        cells = chromium.run(
            """
            const rows = Object.fromEntries([...document.querySelectorAll("#map .role")]
              .map((e) => [e.style.gridRowStart, e.textContent]));
            return [...document.querySelectorAll("#map .cell")].map((e) => [
              rows[e.style.gridRowStart], Number(e.style.gridColumnStart) - 2, e.className.split(" ").at(-1),
            ]);
            """
        )
        expected = [[tensor.role, tensor.layer, band(tensor)] for tensor in layered]
        assert sorted(cells) == sorted(expected)
        outside = [tensor for tensor in inspection.tensors if tensor.layer is None]
        assert sorted(chromium.texts("#map .chip")) == sorted(
            f"{tensor.name}  {tensor.type}" for tensor in outside
        )

    def test_a_cell_tells_what_it_is_and_leads_to_the_table(
        self, chromium: Chromium, report: Path, inspection: Inspection
    ) -> None:
        chromium.open(report)
        cell = chromium.all("#map .cell")[0]
        assert not chromium.one("#tip").is_displayed()
        chromium.hover(cell)
        tip = chromium.one("#tip")
        assert tip.is_displayed()
        name, what, size = tip.text.splitlines()
        tensor = next(tensor for tensor in inspection.tensors if tensor.name == name)
        assert what == f"{tensor.type} · {' × '.join(map(str, tensor.shape))}"
        assert size.endswith("bits per weight")
        chromium.click(cell)
        assert visible_names(chromium) == [name]

    def test_the_metadata(self, chromium: Chromium, report: Path, inspection: Inspection) -> None:
        chromium.open(report)
        assert chromium.texts("#metadata tbody td:first-child") == list(inspection.metadata)
        template = inspection.metadata["tokenizer.chat_template"]
        (row,) = [row for row in chromium.all("#metadata tbody tr") if "tokenizer.chat_template" in row.text]
        shown = row.find_element("css selector", "pre")
        assert not shown.is_displayed()
        chromium.click(row.find_element("css selector", "summary"))
        assert shown.is_displayed()
        assert shown.get_attribute("textContent") == template

    def test_without_statistics_there_are_no_histograms(self, chromium: Chromium, gemma: Path) -> None:
        chromium.open(gemma)
        assert chromium.texts("h2") == ["Types", "Type map", "Sizes", "Tensors", "Metadata"]
        assert "σ" not in chromium.texts("#tensors th")


# Rectangles of leaves and bounding boxes of texts, each as [name or text, left, top, right, bottom].
BOXES = """
const box = (e) => { const b = e.getBoundingClientRect(); return [b.left, b.top, b.right, b.bottom]; };
"""


class TestTreemap:
    @pytest.mark.parametrize("width", [400, 1400])
    @pytest.mark.parametrize("by", ["role", "layer"])
    def test_leaves_lie_beside_each_other(self, chromium: Chromium, gemma: Path, width: int, by: str) -> None:
        chromium.open(gemma, width=width)
        chromium.choose("#sizes select", by)
        boxes = np.array(
            chromium.run(BOXES + "return [...document.querySelectorAll('#sizes .leaf rect')].map(box)")
        )
        assert len(boxes) == 236
        left, top, right, bottom = boxes.T
        across = np.minimum.outer(right, right) - np.maximum.outer(left, left)
        down = np.minimum.outer(bottom, bottom) - np.maximum.outer(top, top)
        overlap = (across > 0.1) & (down > 0.1)
        assert overlap.sum() <= len(boxes)  # each with itself, if it is not too thin for that
        assert not (overlap & ~np.eye(len(boxes), dtype=bool)).any()
        frame = chromium.run(BOXES + "return box(document.querySelector('#sizes svg'))")
        assert left.min() >= frame[0] - 0.1
        assert top.min() >= frame[1] - 0.1
        assert right.max() <= frame[2] + 0.1
        assert bottom.max() <= frame[3] + 0.1

    @pytest.mark.parametrize("width", [400, 1400])
    def test_labels_fit_into_their_boxes(self, chromium: Chromium, gemma: Path, width: int) -> None:
        chromium.open(gemma, width=width)
        pairs = chromium.run(
            BOXES
            + """
            return [...document.querySelectorAll("#sizes .leaf text")].map((e) =>
              [e.textContent, box(e), box(e.parentNode.querySelector("rect"))]);
            """
        )
        assert len(pairs) > 20
        assert [
            text
            for text, inner, outer in pairs
            if inner[0] < outer[0] or inner[2] > outer[2] or inner[3] > outer[3] + 1
        ] == []

    def test_areas_are_sizes(self, chromium: Chromium, gemma: Path) -> None:
        """Of roles among each other, and of tensors within a role; names and gaps take little."""
        chromium.open(gemma)
        width, height, leaves = chromium.run(
            """
            const area = (e) => e.getBBox().width * e.getBBox().height;
            const {width, height} = document.querySelector("#sizes svg").viewBox.baseVal;
            return [width, height, [...document.querySelectorAll("#sizes .leaf rect")].map(area)];
            """
        )
        model = gguf_tools.inspect(oracles.gemma3())
        roles = defaultdict(list)
        for tensor in model.tensors:
            roles[tensor.role].append(tensor.nbytes or 0)
        checked = 0
        for sizes in sorted(roles.values(), key=sum, reverse=True):  # in which order they are drawn
            areas, leaves = leaves[: len(sizes)], leaves[len(sizes) :]
            if sum(areas) < 10_000:
                break
            share = sum(sizes) / model.summary.tensor_bytes
            assert 0.75 * share < sum(areas) / (width * height) <= share
            for area, size in zip(areas, sorted(sizes, reverse=True), strict=True):
                assert area / sum(areas) == pytest.approx(size / sum(sizes), rel=0.05)
            checked += 1
        assert checked >= 5


class TestHistograms:
    def test_a_card_for_each_tensor_of_the_role(
        self, chromium: Chromium, report: Path, inspection: Inspection
    ) -> None:
        chromium.open(report)
        roles = defaultdict(list)
        for tensor in inspection.tensors:
            roles[tensor.role if tensor.layer is not None else "outside of layers"].append(tensor)
        assert sorted(chromium.texts("#role option")) == sorted(roles)
        for role, tensors in roles.items():
            chromium.choose("#role", role)
            assert len(chromium.all(".card")) == len(tensors)
            assert sorted(chromium.texts(".card .type")) == sorted(tensor.type for tensor in tensors)

    @pytest.mark.parametrize("logarithmic", [False, True])
    def test_bars_are_as_high_as_their_counts(
        self, chromium: Chromium, report: Path, measurements: dict[str, Measurement], logarithmic: bool
    ) -> None:
        chromium.open(report)
        chromium.choose("#role", "ffn_down")
        if logarithmic:
            chromium.click(chromium.one("#logarithmic"))
        path = chromium.run("return document.querySelector('.card .curve').getAttribute('d')")
        heights = np.array([57 - float(y) for y in re.findall(r"V([\d.]+)H", path)])
        found = measurements["blk.0.ffn_down.weight"].statistics
        assert found is not None
        assert found.histogram is not None
        counts = np.array(found.histogram.counts, float)
        if logarithmic:
            counts = np.log1p(counts)
        np.testing.assert_allclose(heights / heights.max(), counts / counts.max(), atol=2e-4)

    def test_figures(self, chromium: Chromium, report: Path, measurements: dict[str, Measurement]) -> None:
        chromium.open(report)
        chromium.type("#filter", "blk.1.ffn_down.weight")
        heads = chromium.texts("#tensors th")
        row = dict(zip(heads, chromium.texts("#tensors tbody td"), strict=True))
        found = measurements["blk.1.ffn_down.weight"].statistics
        assert found is not None
        for title, value in (("Min", found.minimum), ("Max", found.maximum), ("σ", found.std)):
            assert float(row[title].replace("−", "-")) == pytest.approx(value, rel=6e-3)
        assert row["Outliers"] == str(found.outliers)
        assert row["NaN, ∞"] == "0"


class TestTable:
    def test_sorting(self, chromium: Chromium, gemma: Path) -> None:
        chromium.open(gemma)
        chromium.click(chromium.one("#tensors .more button"))
        tensors = gguf_tools.inspect(oracles.gemma3()).tensors
        assert visible_names(chromium) == [tensor.name for tensor in tensors]
        buttons = {button.text.rstrip("↕↑↓ "): button for button in chromium.all("#tensors th button")}
        size, name = buttons["Size"], buttons["Tensor"]
        chromium.click(size)
        largest = sorted(tensors, key=lambda tensor: -(tensor.nbytes or 0))
        assert visible_names(chromium) == [tensor.name for tensor in largest]
        assert chromium.texts("#tensors th[aria-sort=descending]") == ["Size"]
        chromium.click(size)
        smallest = sorted(tensors, key=lambda tensor: tensor.nbytes or 0)
        assert visible_names(chromium) == [tensor.name for tensor in smallest]
        assert chromium.texts("#tensors th[aria-sort=ascending]") == ["Size"]
        chromium.click(name)
        layers = [
            int(found[1]) for shown in visible_names(chromium) if (found := re.match(r"blk\.(\d+)", shown))
        ]
        assert layers == sorted(layers)  # 2 before 10

    @pytest.mark.parametrize(
        ("wanted", "pattern"),
        [
            ("attn_q.w", r"attn_q\.w"),
            ("ATTN_K", "attn_k"),
            (r"/blk\.1?[02]\.ffn_(up|down)/", r"blk\.1?[02]\.ffn_(up|down)"),
            ("/norm.weight$/", "norm.weight$"),
            ("nothing like it", "nothing like it"),
        ],
    )
    def test_filtering(self, chromium: Chromium, gemma: Path, wanted: str, pattern: str) -> None:
        chromium.open(gemma)
        chromium.type("#filter", wanted)
        names = [tensor.name for tensor in gguf_tools.inspect(oracles.gemma3()).tensors]
        matching = [name for name in names if re.search(pattern, name)]
        assert chromium.texts("#tensors .count") == [f"{len(matching)} of 236 tensors"]
        if len(matching) > len(visible_names(chromium)):
            chromium.click(chromium.one("#tensors .more button"))
        assert visible_names(chromium) == matching

    def test_filtering_by_type(self, chromium: Chromium, gemma: Path) -> None:
        chromium.open(gemma)
        tensors = gguf_tools.inspect(oracles.gemma3()).tensors
        chromium.choose("#type", "Q6_K")
        assert visible_names(chromium) == [tensor.name for tensor in tensors if tensor.type == "Q6_K"]
        chromium.type("#filter", "blk.0.")
        assert visible_names(chromium) == ["blk.0.ffn_down.weight"]
        chromium.choose("#type", "all types")
        assert len(visible_names(chromium)) == 13

    def test_an_expression_that_is_none_matches_nothing(self, chromium: Chromium, gemma: Path) -> None:
        chromium.open(gemma)
        chromium.type("#filter", "/(/")
        assert visible_names(chromium) == []
        assert chromium.complaints() == []


HOSTILE = (
    "</script><script>window.intruded = 1</script>",
    '<img src=x onerror="window.intruded = 1">',
    "</style><style>body{display:none}</style>",
    "<!--<script>",
    "$data ${title} &lt;b&gt; &amp; 'quoted' \"twice\"",
    "\u202egnp.exe\u2028\u0007",
    "]]></svg><h1>large</h1>",
    "javascript:window.intruded=1",
    "blk.0.<b>bold</b>.weight",
    "blk.1.</title>.weight",
    "__proto__",
    "constructor",
)


@pytest.fixture(scope="module")
def hostile(pages: Path) -> Path:
    """The report of a file whose every name and value tries to be something else."""
    metadata = gguf_tools.Metadata()
    metadata.set("general.name", HOSTILE[0], ValueType.STRING)
    metadata.set("general.architecture", HOSTILE[1], ValueType.STRING)
    for text in HOSTILE:
        metadata.set(f"{text}.key", text, ValueType.STRING)
    metadata.set("a long one", "<script>" + "x" * 300 + "\n</pre>", ValueType.STRING)
    metadata.set("several", gguf_tools.Array(ValueType.STRING, HOSTILE), ValueType.ARRAY)
    metadata.set("no number", float("nan"), ValueType.FLOAT32)
    values = np.array([[1, 2, np.nan, np.inf]] * 3, np.float32)
    path = pages / "hostile.gguf"
    gguf_tools.write(path, metadata, [(text, values) for text in HOSTILE])
    gguf_tools.report(path, pages / "hostile.html", statistics=True)
    return pages / "hostile.html"


class TestHostileText:
    @staticmethod
    def plain(text: str) -> str:
        return text.replace("\u202e", "\\u202e").replace("\u2028", "\\u2028").replace("\u0007", "\\x07")

    def test_is_shown_as_text(self, chromium: Chromium, hostile: Path) -> None:
        chromium.open(hostile)
        names = [self.plain(text) for text in HOSTILE]
        assert visible_names(chromium) == names
        assert chromium.driver.title == HOSTILE[0]
        assert chromium.texts("h1") == [HOSTILE[0]]
        keys = chromium.texts("#metadata tbody td:first-child")
        assert [key.removesuffix(".key") for key in keys if key.endswith(".key")] == names
        values = chromium.texts("#metadata tbody td:last-child")
        assert values[2 : 2 + len(names)] == names
        assert values[-1] == "nan"
        assert "\n".join(names) in chromium.texts("#metadata pre")

    def test_does_nothing(self, chromium: Chromium, hostile: Path) -> None:
        chromium.open(hostile)
        assert chromium.run("return window.intruded") is None
        assert chromium.complaints() == []
        assert chromium.requests() == [hostile.as_uri()]
        counts = chromium.run(
            "return ['script', 'style', 'img', 'h1', 'title', 'b'].map((n) =>"
            " document.getElementsByTagName(n).length)"
        )
        assert counts == [2, 1, 0, 1, 1, 0]
        assert chromium.one("main").is_displayed()

    def test_marks_what_is_not_finite(self, chromium: Chromium, hostile: Path) -> None:
        chromium.open(hostile)
        assert set(chromium.texts("#tensors .warn")) == {"6"}
        assert len(chromium.all("#tensors .warn")) == len(HOSTILE)

    def test_fits_a_phone(self, chromium: Chromium, hostile: Path) -> None:
        chromium.open(hostile, width=400)
        scrolled, shown = chromium.run(FRAMED)
        assert scrolled == shown


class TestOddFiles:
    def report(self, pages: Path, name: str, tensors: list[tuple[str, Any]]) -> Path:
        gguf_tools.write(pages / f"{name}.gguf", gguf_tools.Metadata(), tensors)
        gguf_tools.report(pages / f"{name}.gguf", pages / f"{name}.html", statistics=True)
        return pages / f"{name}.html"

    def test_no_tensors_and_no_metadata(self, chromium: Chromium, pages: Path) -> None:
        chromium.open(self.report(pages, "nothing", []))
        assert chromium.complaints() == []
        assert chromium.texts("h1") == ["nothing.gguf"]
        assert chromium.texts("h2") == []

    def test_constant_empty_and_single_values(self, chromium: Chromium, pages: Path) -> None:
        tensors = [
            ("ones", np.ones(9, np.float32)),
            ("nothing", np.zeros((0, 32), np.float32)),
            ("one", np.array(3, np.float32)),
            ("unknown", np.full(4, np.nan, np.float32)),
        ]
        chromium.open(self.report(pages, "odd", tensors))
        assert chromium.complaints() == []
        assert visible_names(chromium) == [name for name, _ in tensors]
        assert len(chromium.all(".card")) == 4
        assert len(chromium.all(".leaf")) == 3

    def test_a_layer_number_beyond_all_measure(self, chromium: Chromium, pages: Path) -> None:
        one = np.ones(9, np.float32)
        chromium.open(self.report(pages, "far", [("blk.0.x.weight", one), ("blk.999999999.x.weight", one)]))
        assert chromium.complaints() == []
        assert len(chromium.all("#map .cell")) == 2

    def test_two_stacks_have_a_map_each(self, chromium: Chromium, pages: Path) -> None:
        one = np.ones((2, 32), np.float32)
        chromium.open(
            self.report(pages, "stacks", [("enc.blk.0.x.weight", one), ("dec.blk.0.x.weight", one)])
        )
        assert chromium.texts("#map h3") == ["enc.blk", "dec.blk"]
        assert len(chromium.all("#map .map")) == 2

    def test_experts_stored_one_by_one_share_a_cell(self, chromium: Chromium, pages: Path) -> None:
        one = np.ones((2, 32), np.float32)
        names = [f"blk.{i}.experts.{j}.up.weight" for i in range(2) for j in range(11)]
        chromium.open(self.report(pages, "experts", [(name, one) for name in names]))
        cells = chromium.all("#map .cell")
        assert len(cells) == 2
        chromium.hover(cells[1])
        assert chromium.one("#tip").text.splitlines()[:2] == ["blk.1.experts.*.up", "F32 · 11 tensors"]
        chromium.click(cells[1])
        assert visible_names(chromium) == names[11:]

    def test_a_hundred_layers_fit_a_wide_window(self, chromium: Chromium, pages: Path) -> None:
        one = np.ones(32, np.float32)
        tensors = [(f"blk.{i}.attn_norm.weight", one) for i in range(126)]
        chromium.open(self.report(pages, "layers", tensors), width=1300)
        assert len(chromium.all("#map .cell")) == 126
        assert chromium.run(
            "const e = document.querySelector('#map .scroll'); return e.scrollWidth <= e.clientWidth"
        )

    def test_a_checkpoint(self, chromium: Chromium, pages: Path) -> None:
        gguf_tools.report(DEMO, pages / "checkpoint.html", statistics=True)
        chromium.open(pages / "checkpoint.html")
        assert chromium.complaints() == []
        assert len(visible_names(chromium)) == 20
        assert len(chromium.all("#map .cell")) == 18
