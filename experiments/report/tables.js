// Tables behind the figures; everything is written as text, never as HTML.
function fillTable(id, head, rows) {
  const header = document.createElement("thead");
  header.append(rowOf(head, "th", "col"));
  const body = document.createElement("tbody");
  for (const row of rows) body.append(rowOf(row, "td"));
  byId(id).replaceChildren(header, body);
}

function rowOf(values, kind, scope) {
  const row = document.createElement("tr");
  values.forEach((value, place) => {
    const named = kind === "td" && place === 0;
    const cell = document.createElement(named ? "th" : kind);
    if (scope || named) cell.scope = scope || "row";
    if (typeof value === "number") cell.className = "number";
    cell.textContent = typeof value === "number" ? written(value) : value === null ? "–" : value;
    row.append(cell);
  });
  return row;
}
