// Tables behind the figures; everything is written as text, never as HTML.
// Roles stay where the style sheet stacks the cells of a row on a narrow screen.
function fillTable(id, head, rows) {
  const header = document.createElement("thead");
  header.append(rowOf(head, "th", "col"));
  const body = document.createElement("tbody");
  for (const row of rows) body.append(rowOf(row, "td"));
  if (byId(id).classList.contains("stacked")) {
    for (const row of body.rows) {
      [...row.cells].slice(1).forEach((cell, place) => (cell.dataset.label = head[place + 1]));
    }
  }
  byId(id).setAttribute("role", "table");
  byId(id).replaceChildren(header, body);
}

function rowOf(values, kind, scope) {
  const row = document.createElement("tr");
  row.setAttribute("role", "row");
  values.forEach((value, place) => {
    const named = kind === "td" && place === 0;
    const cell = document.createElement(named ? "th" : kind);
    if (scope || named) cell.scope = scope || "row";
    cell.setAttribute("role", scope ? "columnheader" : named ? "rowheader" : "cell");
    if (typeof value === "number") cell.className = "number";
    cell.textContent = typeof value === "number" ? written(value) : value === null ? "–" : value;
    row.append(cell);
  });
  return row;
}
