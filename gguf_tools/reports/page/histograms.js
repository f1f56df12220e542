// Small multiples: how the values of each tensor of a role are distributed, all on one scale.

const MOST_CARDS = 240; // drawn at once; the table finds the others
const OUTSIDE = "outside of layers";

function showHistograms(tensors) {
  if (!tensors.some((tensor) => tensor.statistics)) return;
  const measured = tensors.filter((tensor) => tensor.statistics);
  const layered = placesOf(measured.filter((tensor) => tensor.layer !== null));
  const roles = orderedRoles(layered).map(({ role, at }) => {
    at.sort((a, b) => a.layer - b.layer);
    return [role, at.flatMap((place) => place.tensors)];
  });
  const outside = measured.filter((tensor) => tensor.layer === null);
  if (outside.length) roles.push([OUTSIDE, outside]);
  const options = roles.map(([role], i) => node("option", { value: i }, role));
  const choice = node("select", { id: "role", "aria-label": "role" }, ...options);
  const logarithmic = node("input", { type: "checkbox", id: "logarithmic" });
  const cards = node("div", { class: "cards" });
  const more = node("p", { class: "note", hidden: true });
  const role = node("h3", { class: "printed mono" }); // for paper, where the list cannot be seen
  const draw = () => {
    const [name, chosen] = roles[choice.value];
    role.textContent = name;
    const extent = name === OUTSIDE ? null : extentOf(chosen);
    const some = chosen.slice(0, MOST_CARDS);
    cards.replaceChildren(...some.map((tensor) => card(tensor, extent, logarithmic.checked)));
    more.hidden = chosen.length <= MOST_CARDS;
    more.textContent = `${count(chosen.length - MOST_CARDS)} more are in the table below.`;
  };
  choice.addEventListener("change", draw);
  logarithmic.addEventListener("change", draw);
  const lead = "The values of a role's tensors, layer by layer, on one scale around zero (the dashed line). " +
    "Outliers, more than 6 σ from the mean, are counted and left out of the picture.";
  const controls = [node("label", {}, "role", choice), node("label", {}, logarithmic, "logarithmic")];
  section("weights", "Weights", { controls, lead }, role, cards, more);
  draw();
}

// How far from zero the histograms reach.
function extentOf(tensors) {
  return tensors.reduce((most, { statistics: { histogram: found } }) =>
    (found ? Math.max(most, Math.abs(found.low), Math.abs(found.high)) : most), 0);
}

function card(tensor, extent, logarithmic) {
  const { statistics } = tensor;
  const title = tensor.layer === null ? tensor.name : `layer ${tensor.layer}`;
  const flawed = statistics.nan + statistics.infinite;
  const outliers = statistics.outliers_below + statistics.outliers_above;
  const remark = flawed
    ? node("span", { class: "warn" }, `${count(flawed)} not finite`)
    : node("span", {}, outliers ? `${count(outliers)} outliers` : "");
  const made = node(
    "figure", { class: `card ${band(tensor.bits)}` },
    node("figcaption", {}, node("span", {}, title), node("span", { class: "type" }, tensor.type)),
    histogram(statistics.histogram, extent, logarithmic, 100, 58),
    node("div", { class: "figures" }, node("span", {}, `σ ${figure(statistics.std)}`), remark),
  );
  made.addEventListener("click", () => findInTable(tensor.name));
  return withTip(made, tensor.name, ...statisticsLines(statistics));
}

function statisticsLines(statistics) {
  const flawed = statistics.nan + statistics.infinite;
  const of = (part) => `${count(part)} (${share(part, statistics.count)})`;
  return [
    `${figure(statistics.minimum)} … ${figure(statistics.maximum)}`,
    `mean ${figure(statistics.mean)}, σ ${figure(statistics.std)}, RMS ${figure(statistics.rms)}`,
    statistics.zeros ? `zeros ${of(statistics.zeros)}` : "",
    statistics.outliers_below + statistics.outliers_above
      ? `outliers ${count(statistics.outliers_below)} below, ${count(statistics.outliers_above)} above` : "",
    flawed ? `NaN ${of(statistics.nan)}, infinite ${of(statistics.infinite)}` : "",
  ].filter(Boolean);
}

// A histogram from −extent to extent, or over its own range where that is null; as high as its highest bin.
function histogram(found, extent, logarithmic, width, height) {
  const viewBox = `0 0 ${width} ${height}`;
  const made = drawn("svg", { viewBox, preserveAspectRatio: "none", "aria-hidden": "true" });
  const base = height - 1;
  const [left, right] = extent ? [-extent, extent] : found ? [found.low, found.high] : [-1, 1];
  const x = (value) => (width * (value - left)) / (right - left);
  if (found) {
    const size = (value) => (logarithmic ? Math.log1p(value) : value);
    const peak = size(found.counts.reduce((a, b) => Math.max(a, b), 0));
    const step = (found.high - found.low) / found.counts.length;
    let path = `M${x(found.low).toFixed(2)} ${base}`;
    found.counts.forEach((value, i) => {
      const y = (base - ((base - 2) * size(value)) / peak).toFixed(2);
      path += `V${y}H${x(found.low + step * (i + 1)).toFixed(2)}`;
    });
    made.append(drawn("path", { class: "curve fill", d: `${path}V${base}Z` }));
  }
  made.append(drawn("line", { class: "axis", x1: 0, x2: width, y1: base, y2: base }));
  if (left < 0 && right > 0) made.append(drawn("line", { class: "centre", x1: x(0), x2: x(0), y1: 0, y2: base }));
  return made;
}
