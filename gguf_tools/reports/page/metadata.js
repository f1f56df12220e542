// Keys and values; what is long is folded.

const SHORT = 100; // characters on a line

function showMetadata(entries) {
  if (!entries.length) return;
  const rows = entries.map(({ key, type, value, note }) =>
    node(
      "tr", {},
      node("td", { class: "mono" }, breakable(key)),
      node("td", {}, type),
      node("td", {}, valueShown(value, type, note)),
    ));
  const heading = ["Key", "Type", "Value"].map((text) => node("th", { scope: "col" }, text));
  section("metadata", "Metadata", { lead: `${count(entries.length)} keys, in the file's order.` },
    node("table", {}, node("thead", {}, node("tr", {}, ...heading)), node("tbody", {}, ...rows)));
}

function valueShown(value, type, note) {
  if (value === "") return node("span", { class: "note" }, "empty");
  if (value.length <= SHORT && !value.includes("\n") && !note) return value;
  const line = value.slice(0, SHORT).replaceAll("\n", type.endsWith("]") ? ", " : " ⏎ ");
  return node("details", {},
    node("summary", {}, value.length > SHORT ? `${line}…` : line, note && node("span", { class: "note" }, ` (${note})`)),
    node("pre", {}, value));
}
