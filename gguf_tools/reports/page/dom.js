// Elements, numbers in words, and the tooltip. Text from the file only ever becomes text nodes.

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

function node(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function drawn(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

// A part of the page: its title with controls beside it, a sentence of explanation, and what it shows.
function section(id, title, { controls = [], lead = null }, ...children) {
  document.querySelector("main").append(
    node(
      "section", { id, "aria-labelledby": `${id}-title` },
      node("div", { class: "bar" },
        node("h2", { id: `${id}-title` }, title),
        controls.length > 0 && node("div", { class: "controls" }, ...controls)),
      lead && node("p", { class: "lead" }, lead),
      ...children,
    ),
  );
}

// A name that may be broken after its dots, and where these do not suffice, after underscores.
function breakable(name) {
  return node("span", {}, ...name.split(/(?<=[._])/).flatMap((part, i) => (i ? [node("wbr"), part] : [part])));
}

// Numbers.

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

function count(value) {
  return grouped.format(value);
}

function scaled(value, units, digits) {
  let unit = units[0];
  for (const next of units.slice(1)) {
    if (value < 999.95) break;
    value /= 1000;
    unit = next;
  }
  return `${unit === units[0] ? value : value.toFixed(digits(value))} ${unit}`.trim();
}

function bytes(value) {
  return value === null ? "?" : scaled(value, ["B", "kB", "MB", "GB", "TB", "PB"], () => 1);
}

function parameters(value) {
  return scaled(value, ["", "k", "M", "B", "T"], (shown) => (shown < 10 ? 2 : 1));
}

function share(part, whole) {
  if (!whole) return "–";
  const percent = (100 * part) / whole;
  return part && percent < 0.05 ? "<0.1%" : `${percent.toFixed(1)}%`;
}

function figure(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  if (value === 0) return "0";
  const size = Math.abs(value);
  const far = size < 1e-4 || size >= 1e6;
  const shown = far ? value.toExponential(digits - 1) : Number(value.toPrecision(digits)).toString();
  return shown.replace("e+", "e").replaceAll("-", "−");
}

function bits(value) {
  return value === null ? "?" : Number(value.toPrecision(4)).toString();
}

function dimensions(shape) {
  return shape.length ? shape.join(" × ") : "scalar";
}

// Colour by bits per weight: the class of the band a value is in.

const BANDS = [
  [2, "bits-1", "under 2"],
  [3, "bits-2", "2 – 3"],
  [4, "bits-3", "3 – 4"],
  [5, "bits-4", "4 – 5"],
  [6, "bits-5", "5 – 6"],
  [8, "bits-6", "6 – 8"],
  [12, "bits-8", "8 – 12"],
  [20, "bits-16", "16"],
  [Infinity, "bits-32", "32 and more"],
];

function band(value) {
  return value === null ? "bits-none" : BANDS.find(([limit]) => value < limit)[1];
}

// The tooltip: a name, and lines below it.

const tips = new WeakMap();

function withTip(element, name, ...lines) {
  tips.set(element, [name, ...lines]);
  return element;
}

function startTips() {
  const tip = document.getElementById("tip");
  const tipped = (start) => {
    for (let at = start; at instanceof Element; at = at.parentNode) if (tips.has(at)) return at;
    return null;
  };
  document.addEventListener("pointermove", (event) => {
    const element = tipped(event.target);
    tip.hidden = element === null;
    if (element === null) return;
    const [name, ...lines] = tips.get(element);
    tip.replaceChildren(node("b", {}, name), ...lines.map((line) => node("div", {}, line)));
    const { width, height } = tip.getBoundingClientRect();
    const x = Math.min(event.clientX + 14, document.documentElement.clientWidth - width - 8);
    const below = event.clientY + 18;
    const y = below + height > innerHeight - 8 ? event.clientY - height - 12 : below;
    tip.style.left = `${Math.max(8, x)}px`;
    tip.style.top = `${Math.max(8, y)}px`;
  });
  document.addEventListener("pointerleave", () => { tip.hidden = true; });
  document.addEventListener("scroll", () => { tip.hidden = true; }, { passive: true, capture: true });
}
