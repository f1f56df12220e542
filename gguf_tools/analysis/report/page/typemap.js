// Layers from left to right, roles from top to bottom, coloured by bits per weight.

function showTypeMap(tensors) {
  const places = placesOf(tensors);
  const layered = places.filter((place) => place.layer !== null);
  const outside = places.filter((place) => place.layer === null).sort((a, b) => b.bytes - a.bytes);
  const stacks = groupBy(layered, (place) => place.stack);
  const parts = [...stacks].map(([stack, at]) =>
    node("div", {}, stacks.size > 1 && node("h3", { class: "mono" }, stack), node("div", { class: "scroll" }, grid(at))));
  if (outside.length) {
    parts.push(layered.length && node("h3", {}, "Outside of layers"), node("div", { class: "chips" }, ...outside.map(chip)));
  }
  section("map", "Type map", "Every layer's tensors by their role. A click finds a tensor in the table.", ...parts.filter(Boolean), bandLegend(tensors));
}

const MARKED = 5; // every how many layers a number stands above, where there are more than
const FEW = 12;
const MANY = 64; // above this, cells are narrower

function grid(places) {
  const layers = 1 + places.reduce((last, place) => Math.max(last, place.layer), 0);
  const numbers = layers > 4096 ? [...new Set(places.map((place) => place.layer))].sort((a, b) => a - b) : [...Array(layers).keys()];
  const column = new Map(numbers.map((number, i) => [number, i + 2]));
  const made = node("div", { class: "map" });
  const least = numbers.length > MANY ? 6 : 9;
  made.style.columnGap = numbers.length > MANY ? "1px" : "2px";
  made.style.gridTemplateColumns = `max-content repeat(${numbers.length}, minmax(${least}px, 1fr)) max-content`;
  for (const number of numbers) {
    if (number % MARKED === 0 || numbers.length <= FEW) made.append(placed(node("div", { class: "layer" }, String(number)), 1, column.get(number)));
  }
  orderedRoles(places).forEach(({ role, at, bytes: size }, row) => {
    made.append(placed(node("div", { class: "role mono" }, role), row + 2, 1));
    for (const place of at) made.append(placed(cell(place), row + 2, column.get(place.layer)));
    made.append(placed(node("div", { class: "sum" }, bytes(size)), row + 2, numbers.length + 2));
  });
  return made;
}

function placed(element, row, column) {
  element.style.gridArea = `${row} / ${column}`;
  return element;
}

function cell(place) {
  return placeMark(node("div", { class: `cell filled ${band(place.bits)}` }), place);
}

function chip(place) {
  return placeMark(node("div", { class: `chip filled ${band(place.bits)}` }, `${placeName(place)}  ${place.types.join(", ")}`), place);
}

function placeMark(element, place) {
  element.addEventListener("click", () => findInTable(placeFilter(place)));
  return withTip(element, placeName(place), ...placeLines(place));
}
