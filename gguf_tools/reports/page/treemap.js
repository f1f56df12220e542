// Areas by size: squarified (Bruls, Huizing and van Wijk 2000), groups first, then the tensors within.

// Rectangles for weights, largest first, in a box: [{x, y, w, h}] in the order of the weights.
function squarified(weights, box) {
  const sum = weights.reduce((a, b) => a + b, 0);
  const scale = sum ? (box.w * box.h) / sum : 0;
  const rectangles = [];
  let { x, y, w, h } = box;
  let at = 0;
  while (at < weights.length) {
    const side = Math.min(w, h);
    let area = 0, worst = Infinity, end = at;
    while (end < weights.length) {
      const next = area + weights[end] * scale;
      const ratio = Math.max(
        (side * side * weights[at] * scale) / (next * next),
        (next * next) / (side * side * weights[end] * scale),
      );
      if (ratio > worst) break;
      [area, worst, end] = [next, ratio, end + 1];
    }
    if (end === at) break; // no room, or nothing but zeros left
    const wide = w >= h, depth = side ? area / side : 0;
    let along = 0;
    for (; at < end; at++) {
      const length = depth ? (weights[at] * scale) / depth : 0;
      rectangles.push(wide ? { x, y: y + along, w: depth, h: length } : { x: x + along, y, w: length, h: depth });
      along += length;
    }
    if (wide) [x, w] = [x + depth, Math.max(0, w - depth)];
    else [y, h] = [y + depth, Math.max(0, h - depth)];
  }
  return rectangles;
}

const HEADING = 17; // height of a group's name
const GAP = 2;
const FONT = "11px system-ui, sans-serif"; // as in the style sheet

const measuring = document.createElement("canvas").getContext("2d");

// The text, or as much of it as fits with an ellipsis, or null.
function fitting(text, width, font) {
  measuring.font = font;
  if (measuring.measureText(text).width <= width) return text;
  for (let length = text.length - 1; length >= 3; length--) {
    const cut = `${text.slice(0, length)}…`;
    if (measuring.measureText(cut).width <= width) return cut;
  }
  return null;
}

function showTreemap(tensors) {
  const places = placesOf(tensors).filter((place) => place.bytes);
  if (!places.length) return;
  const canvas = node("div", { class: "treemap" });
  const options = ["role", "layer"].map((value) => node("option", { value }, value));
  const choice = node("select", { "aria-label": "group by" }, ...options);
  const controls = [node("label", {}, "group by", choice)];
  section("sizes", "Sizes", { controls, lead: "Areas are bytes in the file." }, canvas, bandLegend(tensors));
  let width = 0;
  const draw = () => canvas.replaceChildren(treemap(places, choice.value, width));
  choice.addEventListener("change", draw);
  new ResizeObserver(() => {
    const now = Math.round(canvas.clientWidth);
    if (!now || now === width) return;
    width = now;
    draw();
  }).observe(canvas);
  width = Math.round(canvas.clientWidth);
  draw();
}

function treemap(places, by, width) {
  const height = Math.round(Math.min(560, Math.max(340, width * 0.46)));
  const groups = [...groupBy(places, (place) => groupName(place, by))]
    .map(([name, at]) => ({ name, at: at.sort((a, b) => b.bytes - a.bytes), bytes: total(at, "bytes") }))
    .sort((a, b) => b.bytes - a.bytes);
  const boxes = squarified(groups.map((group) => group.bytes), { x: 0, y: 0, w: width, h: height });
  const viewBox = `0 0 ${width} ${height}`;
  const made = drawn("svg", { viewBox, role: "img", "aria-label": `sizes of tensors by ${by}` });
  groups.forEach((group, i) => boxes[i] && made.append(...drawnGroup(group, inset(boxes[i], GAP), by)));
  return made;
}

function groupName(place, by) {
  if (place.layer === null) return by === "role" ? place.role : OUTSIDE;
  return by === "role" ? place.role : `${place.stack} ${place.layer}`;
}

function inset(box, by) {
  const [across, down] = [Math.min(by, box.w / 2), Math.min(by, box.h / 2)];
  return { x: box.x + across / 2, y: box.y + down / 2, w: box.w - across, h: box.h - down };
}

function drawnGroup(group, box, by) {
  if (group.at.length === 1) return [leaf(group.at[0], box, group.name)];
  const title = box.h > 3 * HEADING ? fitting(group.name, box.w - 10, `600 ${FONT}`) : null;
  const inner = title ? { x: box.x, y: box.y + HEADING, w: box.w, h: box.h - HEADING } : box;
  const boxes = squarified(group.at.map((place) => place.bytes), inner);
  const parts = [drawn("rect", { class: "group", ...sides(box), rx: 4 })];
  if (title) parts.push(drawn("text", { class: "heading", x: box.x + 5, y: box.y + 12.5 }, title));
  group.at.forEach((place, i) => {
    const label = by === "role" ? (place.layer === null ? place.role : String(place.layer)) : place.role;
    if (boxes[i]) parts.push(leaf(place, inset(boxes[i], 1), label));
  });
  return parts;
}

function sides(box) {
  return { x: box.x.toFixed(2), y: box.y.toFixed(2), width: box.w.toFixed(2), height: box.h.toFixed(2) };
}

function leaf(place, box, label) {
  const rx = Math.min(3, box.w / 4, box.h / 4).toFixed(1);
  const made = drawn("g", { class: `leaf ${band(place.bits)}` }, drawn("rect", { class: "fill", ...sides(box), rx }));
  const name = box.h >= 15 ? fitting(label, box.w - 6, FONT) : null;
  if (name) made.append(drawn("text", { class: "ink", x: box.x + 3, y: box.y + 12 }, name));
  const more = `${place.types.join(", ")}, ${bytes(place.bytes)}`;
  if (name && box.h >= 32 && fitting(more, box.w - 6, FONT) === more) {
    made.append(drawn("text", { class: "ink", x: box.x + 3, y: box.y + 26, opacity: 0.8 }, more));
  }
  return placeMark(made, place);
}
