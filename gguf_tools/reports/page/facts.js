// The head of the page: what the model is.

function several(value) {
  if (value === null || value === undefined) return null;
  if (!Array.isArray(value)) return count(value);
  if (!value.length) return null;
  const low = value.reduce((a, b) => Math.min(a, b));
  const high = value.reduce((a, b) => Math.max(a, b));
  return low === high ? count(low) : `${count(low)} – ${count(high)}`;
}

function joined(...parts) {
  return parts.filter(Boolean).join(", ");
}

function labelled(label, value) {
  const shown = several(value);
  return shown && `${label} ${shown}`;
}

function showHead(summary) {
  const pairs = (rows, kind) =>
    rows.map(([name, value]) => node("div", { class: kind }, node("dt", {}, name), node("dd", {}, value)));
  document.getElementById("head").append(
    node("h1", {}, document.title),
    node("p", { class: "path" }, summary.path),
    node("dl", { class: "tiles" }, ...pairs(tiles(summary), "tile")),
    node("dl", { class: "facts" }, ...pairs(facts(summary), "fact")),
  );
}

function tiles(summary) {
  return [
    ["Parameters", parameters(summary.parameters)],
    ["Size", bytes(summary.file_bytes)],
    ["Bits / weight", summary.bits_per_weight === null ? null : summary.bits_per_weight.toFixed(2)],
    ["Layers", several(summary.layers)],
    ["Context", several(summary.context_length)],
    ["Vocabulary", several(summary.vocabulary)],
    ["Tensors", count(summary.tensors)],
  ].filter(([, value]) => value);
}

function facts(summary) {
  const formats = {
    gguf: `GGUF v${summary.version}, ${summary.byte_order} endian, alignment ${summary.alignment}`,
    safetensors: "safetensors file",
    checkpoint: "Hugging Face checkpoint",
  };
  const files = summary.files.length > 1 ? `${count(summary.files.length)} files` : null;
  const template = summary.chat_template ? "chat template" : "no chat template";
  return [
    ["Architecture", summary.architecture],
    ["Class", summary.model_class],
    ["Format", joined(formats[summary.kind], files)],
    ["File type", summary.file_type],
    ["Width", joined(
      labelled("embedding", summary.embedding_length),
      labelled("feed-forward", summary.feed_forward_length),
    )],
    ["Attention", joined(
      labelled("heads", summary.heads),
      labelled("KV heads", summary.kv_heads),
      labelled("head size", summary.head_size),
    )],
    ["Window", several(summary.sliding_window)],
    ["Experts", joined(
      several(summary.experts),
      labelled("used", summary.experts_used),
      labelled("shared", summary.experts_shared),
    )],
    ["Tokenizer", summary.tokenizer && joined(
      summary.tokenizer,
      summary.pre_tokenizer && `pre ${summary.pre_tokenizer}`,
      template,
    )],
    ["Pooling", summary.pooling],
    ["License", summary.general.license],
    ["Made from", summary.base_models.join(", ")],
  ].filter(([, value]) => value);
}

function showNotes(notes) {
  if (!notes.length) return;
  const list = node("ul", {}, ...notes.map((note) => node("li", {}, note)));
  document.querySelector("main").append(node("div", { class: "note strong" }, "Worth knowing", list));
}

function showTypes(summary) {
  const all = total(summary.types, "bytes");
  const types = [...summary.types].sort((a, b) => (a.bits_per_weight ?? 99) - (b.bits_per_weight ?? 99));
  const strips = types.map((type) => {
    const strip = node("div", { class: `filled ${band(type.bits_per_weight)}` });
    strip.style.flex = `${type.bytes ?? 0} 0 0`;
    return withTip(strip, type.type, `${bytes(type.bytes)}, ${share(type.bytes, all)} of the data`);
  });
  const names = ["Type", "Tensors", "Parameters", "Share", "Size", "Bits per weight"];
  const head = node("tr", {}, ...names.map((name, i) => node("th", { scope: "col", class: i ? "right" : null }, name)));
  const rows = types.map((type) => {
    const figures = [
      count(type.tensors),
      parameters(type.parameters),
      share(type.bytes, all),
      bytes(type.bytes),
      bits(type.bits_per_weight),
    ];
    return node(
      "tr", {},
      node("td", {}, node("span", { class: `swatch filled ${band(type.bits_per_weight)}` }), type.type),
      ...figures.map((text) => node("td", { class: "right" }, text)),
    );
  });
  section(
    "types", "Types", { lead: "Share of the data by tensor type. The colours mean the same in all charts." },
    node("div", { class: "shares" }, ...strips),
    node("div", { class: "scroll" }, node("table", {}, node("thead", {}, head), node("tbody", {}, ...rows))),
  );
}

function bandLegend(tensors) {
  const used = new Set(tensors.map((tensor) => band(tensor.bits)));
  const entries = BANDS.filter(([, name]) => used.has(name)).map(([, name, text]) =>
    node("span", {}, node("span", { class: `swatch filled ${name}` }), text));
  if (used.has("bits-none")) entries.push(node("span", {}, node("span", { class: "swatch filled bits-none" }), "unknown"));
  return node("div", { class: "legend" }, node("span", {}, "Bits per weight:"), ...entries);
}
