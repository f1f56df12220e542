// All tensors: a click on a heading sorts, text and type filter.

const ROWS_AT_ONCE = 60; // until all are asked for
const ROWS_PRINTED = 2000;

// What a column is sorted by, and what it shows: text or an element.
const COLUMNS = [
  { title: "Tensor", value: (tensor) => tensor.name, text: true, show: (tensor) => breakable(tensor.name) },
  { title: "Type", value: (tensor) => tensor.type, text: true, show: typeShown },
  { title: "Shape", value: (tensor) => tensor.parameters, show: (tensor) => dimensions(tensor.shape), left: true },
  { title: "Size", value: (tensor) => tensor.bytes, show: (tensor) => bytes(tensor.bytes) },
  { title: "Bits", value: (tensor) => tensor.bits, show: (tensor) => bits(tensor.bits) },
];

const of = (get, show = (value) => figure(value)) => ({
  value: (tensor) => (tensor.statistics ? get(tensor.statistics) : null),
  show: (tensor) => (tensor.statistics ? show(get(tensor.statistics), tensor.statistics) : "–"),
});

const STATISTICS_COLUMNS = [
  { title: "Values", value: (tensor) => tensor.index, show: sparkline, left: true, fixed: true },
  { title: "Min", ...of((found) => found.minimum) },
  { title: "Max", ...of((found) => found.maximum) },
  { title: "Mean", ...of((found) => found.mean) },
  { title: "σ", ...of((found) => found.std) },
  { title: "RMS", ...of((found) => found.rms) },
  { title: "Zeros", ...of((found) => found.zeros, (n, found) => (n ? share(n, found.count) : "0")) },
  { title: "Outliers", ...of((found) => found.outliers_below + found.outliers_above, count) },
  { title: "NaN, ∞", ...of((found) => found.nan + found.infinite, warned) },
];

function warned(flawed) {
  return flawed ? node("span", { class: "warn" }, count(flawed)) : "0";
}

function typeShown(tensor) {
  return node("span", {}, node("span", { class: `swatch filled ${band(tensor.bits)}` }), tensor.type);
}

function sparkline(tensor) {
  if (!tensor.statistics) return node("span", { title: tensor.reason || null }, tensor.reason ? "not decoded" : "–");
  const drawing = histogram(tensor.statistics.histogram, null, false, 84, 18);
  drawing.classList.add(band(tensor.bits));
  return drawing;
}

let findInTable = () => {};

function showTable(tensors, measured) {
  const columns = measured ? [...COLUMNS, ...STATISTICS_COLUMNS] : COLUMNS;
  const types = [...new Set(tensors.map((tensor) => tensor.type))].sort();
  const text = node("input", {
    type: "search",
    id: "filter",
    placeholder: "Filter by name or /regex/",
    "aria-label": "filter by name",
    spellcheck: "false",
  });
  const type = node(
    "select", { id: "type", "aria-label": "type" },
    node("option", { value: "" }, "all types"),
    ...types.map((name) => node("option", {}, name)),
  );
  const shown = node("span", { class: "count", role: "status" });
  const body = node("tbody");
  const more = node("button", { class: "plain", type: "button" });
  let sorted = null, descending = false, all = false;

  const heads = columns.map((column) => {
    const head = node("th", { scope: "col", class: column.text || column.left ? null : "right" });
    if (column.fixed) {
      head.append(column.title);
      return head;
    }
    const button = node("button", { type: "button" }, column.title);
    button.addEventListener("click", () => {
      descending = sorted === column ? !descending : !column.text; // of numbers the largest first
      sorted = column;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      draw();
    });
    head.append(button);
    return head;
  });

  function draw() {
    const matches = matcher(text.value);
    const chosen = tensors.filter((tensor) => matches(tensor.name) && (!type.value || tensor.type === type.value));
    if (sorted) {
      const { value } = sorted;
      chosen.sort((a, b) => compared(value(a), value(b), descending) || a.index - b.index);
    }
    const visible = all ? chosen : chosen.slice(0, ROWS_AT_ONCE);
    body.replaceChildren(...visible.map((tensor) => row(tensor, columns)));
    shown.textContent = chosen.length === tensors.length
      ? `${count(chosen.length)} tensors` : `${count(chosen.length)} of ${count(tensors.length)} tensors`;
    more.parentNode.hidden = visible.length === chosen.length;
    more.textContent = `show all ${count(chosen.length)}`;
  }

  text.addEventListener("input", draw);
  type.addEventListener("change", draw);
  const drawAll = () => {
    all = true;
    draw();
  };
  more.addEventListener("click", drawAll);
  addEventListener("beforeprint", () => tensors.length <= ROWS_PRINTED && drawAll());
  findInTable = (name) => {
    text.value = name;
    type.value = "";
    draw();
    document.getElementById("tensors").scrollIntoView({ behavior: "smooth", block: "start" });
  };
  section(
    "tensors", "Tensors", { controls: [shown, text, type] },
    node("div", { class: "scroll" }, node("table", {}, node("thead", {}, node("tr", {}, ...heads)), body)),
    node("p", { class: "more" }, more),
  );
  draw();
}

function row(tensor, columns) {
  return node("tr", {}, ...columns.map((column) => {
    const kind = column === COLUMNS[0] ? "name mono" : column.text || column.left ? null : "right";
    return node("td", { class: kind }, column.show(tensor));
  }));
}

// Numbers, with what is not known at the end either way; or text, with numbers in it in their order.
function compared(a, b, descending) {
  if (a === null || b === null) return (a === null) - (b === null);
  const order = typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
  return descending ? -order : order;
}

// Whether a name has the text in it, or matches the /expression/. One that does not compile matches nothing.
function matcher(wanted) {
  const pattern = /^\/(.+?)\/?$/.exec(wanted.trim());
  if (!pattern) {
    const part = wanted.trim().toLowerCase();
    return (name) => name.toLowerCase().includes(part);
  }
  try {
    const expression = new RegExp(pattern[1], "i");
    return (name) => expression.test(name);
  } catch {
    return () => false;
  }
}
