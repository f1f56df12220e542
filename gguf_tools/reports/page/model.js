// The tensors as the charts need them: by place, which is a stack of layers, a layer and a role.

function readTensors(data) {
  const { columns, rows } = data.tensors;
  return rows.map((row, index) => {
    const tensor = Object.fromEntries(columns.map((name, i) => [name, row[i]]));
    tensor.index = index;
    tensor.parameters = tensor.shape.reduce((product, size) => product * size, 1);
    tensor.bits = tensor.bytes === null || !tensor.parameters ? null : (8 * tensor.bytes) / tensor.parameters;
    const measured = data.statistics?.[index];
    tensor.reason = measured?.reason ?? "";
    tensor.statistics = measured && !tensor.reason ? measured : null;
    return tensor;
  });
}

// Tensors of one stack, layer and role are one place: usually a single one, or the experts stored one by one.
function placesOf(tensors) {
  const places = new Map();
  for (const tensor of tensors) {
    const key = JSON.stringify([tensor.stack, tensor.layer, tensor.role]);
    if (!places.has(key)) {
      const { stack, layer, role } = tensor;
      places.set(key, { stack, layer, role, tensors: [], bytes: 0, parameters: 0, known: true });
    }
    const place = places.get(key);
    place.tensors.push(tensor);
    place.bytes += tensor.bytes ?? 0;
    place.parameters += tensor.parameters;
    place.known &&= tensor.bytes !== null;
  }
  for (const place of places.values()) {
    place.bits = place.known && place.parameters ? (8 * place.bytes) / place.parameters : null;
    place.types = [...new Set(place.tensors.map((tensor) => tensor.type))];
  }
  return [...places.values()];
}

function groupBy(items, key) {
  const groups = new Map();
  for (const item of items) {
    const at = key(item);
    if (!groups.has(at)) groups.set(at, []);
    groups.get(at).push(item);
  }
  return groups;
}

function total(items, key) {
  return items.reduce((sum, item) => sum + (item[key] ?? 0), 0);
}

// Roles that begin alike (attn_q, attn_k …) stay together; the largest come first.
function orderedRoles(places) {
  const family = (role) => role.split(/[._]/, 1)[0];
  const byRole = [...groupBy(places, (place) => place.role)];
  const roles = byRole.map(([role, at]) => ({ role, at, bytes: total(at, "bytes") }));
  const families = new Map();
  for (const { role, bytes: size } of roles) families.set(family(role), (families.get(family(role)) ?? 0) + size);
  return roles.sort(
    (a, b) =>
      families.get(family(b.role)) - families.get(family(a.role)) ||
      family(a.role).localeCompare(family(b.role)) ||
      b.bytes - a.bytes ||
      a.role.localeCompare(b.role),
  );
}

function placeName(place) {
  if (place.tensors.length === 1) return place.tensors[0].name;
  return place.layer === null ? place.role : `${place.stack}.${place.layer}.${place.role}`;
}

// What to look for in the table: the tensor's name, or an expression for the names of several.
function placeFilter(place) {
  if (place.tensors.length === 1) return place.tensors[0].name;
  const name = placeName(place).replace(/[.+?^${}()|[\]\\]/g, "\\$&").replaceAll("*", "\\d+");
  return `/^${name}(\\.weight)?$/`;
}

function placeLines(place) {
  const { tensors } = place;
  const what = tensors.length === 1 ? dimensions(tensors[0].shape) : `${count(tensors.length)} tensors`;
  return [
    `${place.types.join(", ")} · ${what}`,
    `${bytes(place.known ? place.bytes : null)} · ${bits(place.bits)} bits per weight`,
  ];
}
