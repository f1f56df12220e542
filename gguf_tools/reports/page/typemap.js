// Layers from left to right, roles from top to bottom, coloured by bits per weight.

function showTypeMap(tensors) {
  const places = placesOf(tensors);
  const layered = places.filter((place) => place.layer !== null);
  const outside = places.filter((place) => place.layer === null).sort((a, b) => b.bytes - a.bytes);
  const stacks = groupBy(layered, (place) => place.stack);
  const parts = [...stacks].flatMap(([stack, at]) => [
    stacks.size > 1 && node("h3", { class: "mono" }, stack),
    node("div", { class: "scroll" }, grid(at)),
  ]);
  if (outside.length) {
    parts.push(layered.length > 0 && node("h3", {}, "Outside of layers"));
    parts.push(node("div", { class: "chips" }, ...outside.map(chip)));
  }
  const lead = "Every layer's tensors by their role. A click finds a tensor in the table.";
  section("map", "Type map", { lead }, ...parts, bandLegend(tensors));
}

const MARKED = 5; // every how many layers a number stands above, where there are more than
const FEW = 12;
const MANY = 64; // above this, cells are narrower
const MOST_COLUMNS = 4096;

function grid(places) {
  const numbers = layerNumbers(places);
  const column = new Map(numbers.map((number, i) => [number, i + 2]));
  const made = node("div", { class: "map" });
  const least = numbers.length > MANY ? 6 : 9;
  made.style.columnGap = numbers.length > MANY ? "1px" : "2px";
  made.style.gridTemplateColumns = `max-content repeat(${numbers.length}, minmax(${least}px, 1fr)) max-content`;
  for (const number of numbers) {
    if (number % MARKED && numbers.length > FEW) continue;
    made.append(placed(node("div", { class: "layer" }, String(number)), 1, column.get(number)));
  }
  orderedRoles(places).forEach(({ role, at, bytes: size }, row) => {
    made.append(placed(node("div", { class: "role mono" }, role), row + 2, 1));
    for (const place of at) made.append(placed(cell(place), row + 2, column.get(place.layer)));
    made.append(placed(node("div", { class: "sum" }, bytes(size)), row + 2, numbers.length + 2));
  });
  return made;
}

// From zero to the last, so that gaps show; but only those there are where a number is beyond all measure.
function layerNumbers(places) {
  const last = places.reduce((most, place) => Math.max(most, place.layer), 0);
  if (last < MOST_COLUMNS) return [...Array(last + 1).keys()];
  return [...new Set(places.map((place) => place.layer))].sort((a, b) => a - b);
}

function placed(element, row, column) {
  element.style.gridArea = `${row} / ${column}`;
  return element;
}

function cell(place) {
  return placeMark(node("div", { class: `cell filled ${band(place.bits)}` }), place);
}

function chip(place) {
  const text = `${placeName(place)}  ${place.types.join(", ")}`;
  return placeMark(node("div", { class: `chip filled ${band(place.bits)}` }, text), place);
}

function placeMark(element, place) {
  element.addEventListener("click", () => findInTable(placeFilter(place)));
  return withTip(element, placeName(place), ...placeLines(place));
}
