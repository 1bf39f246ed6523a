// Points in a plane, coloured by groups or by numbers.
function drawMap(points, colour, group, what) {
  const { names, map } = points;
  const grouped = colour.levels !== undefined;
  const traces = grouped ? groupTraces(points, colour) : numberTraces(points, colour);
  const layout = {
    height: Math.round(Math.min(560, Math.max(340, window.innerWidth * 0.8))),
    xaxis: axis(map.axes[0], { showgrid: false, showticklabels: false }),
    yaxis: axis(map.axes[1], { showgrid: false, showticklabels: false, scaleanchor: "x" }),
    showlegend: grouped,
    legend: { orientation: "h", y: -0.08, yanchor: "top", x: 0, itemsizing: "constant" },
  };
  draw("map", traces, layout, `${names.length} ${what}, ${map.method}, coloured by ${colour.name}`);
  tabulateMap(colour, group);
}

const dotSize = (number) => Math.min(9, Math.max(3.5, 180 / Math.sqrt(number)));

function groupTraces({ names, map }, colour) {
  return colour.levels.map((level, code) => {
    const own = [...names.keys()].filter((place) => colour.codes[place] === code);
    return {
      type: "scatter",
      mode: "markers",
      name: short(level),
      x: own.map((place) => map.x[place]),
      y: own.map((place) => map.y[place]),
      text: own.map((place) => `${plain(names[place])}<br>${plain(level)}`),
      hovertemplate: "%{text}<extra></extra>",
      marker: { ...dotOf(code), size: dotSize(names.length), opacity: 0.8 },
    };
  });
}

function numberTraces({ names, map }, colour) {
  const known = sorted(colour.values);
  const scaled = colour.logarithmic ? Math.log1p : (value) => value;
  const low = known.length ? scaled(quantile(known, 0.01)) : 0;
  const high = known.length ? scaled(quantile(known, 0.99)) : 1;
  const rank = (place) => (Number.isFinite(colour.values[place]) ? colour.values[place] : -Infinity);
  const order = [...names.keys()].sort((a, b) => rank(a) - rank(b)); // the largest on top
  const missing = order.filter((place) => !Number.isFinite(colour.values[place]));
  const valued = order.slice(missing.length);
  const bar = { title: { text: plain(colour.unit || colour.name), side: "right" }, thickness: 14, len: 0.9 };
  if (colour.logarithmic) Object.assign(bar, ticksOf(low, high));
  const size = dotSize(names.length);
  const dots = (places, marker) => ({
    type: "scatter",
    mode: "markers",
    x: places.map((place) => map.x[place]),
    y: places.map((place) => map.y[place]),
    text: places.map((place) => `${plain(names[place])}<br>${written(colour.values[place])}`),
    customdata: places,
    hovertemplate: "%{text}<extra></extra>",
    marker: { size, ...marker },
  });
  const shown = dots(valued, {
    color: valued.map((place) => scaled(colour.values[place])),
    cmin: low,
    cmax: high > low ? high : low + 1,
    colorscale: colour.uncertain ? "Cividis" : "Viridis",
    colorbar: bar,
  });
  return missing.length ? [dots(missing, { color: "#cccccc" }), shown] : [shown];
}

// Ticks of values that lie at log(1 + value), at most so many and the first of those that are close.
function ticksOf(low, high, most = 12) {
  const values = [0, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000, 10000];
  const seen = values.filter((value) => Math.log1p(value) >= low - 1e-9 && Math.log1p(value) <= high + 1e-9);
  const kept = [];
  for (const value of seen) {
    const before = kept.length ? Math.log1p(kept.at(-1)) : -Infinity;
    if (Math.log1p(value) - before >= (high - low) / most) kept.push(value);
  }
  return { tickmode: "array", tickvals: kept.map(Math.log1p), ticktext: kept.map(String) };
}

function tabulateMap(colour, group) {
  const byGroup = colour.levels ? colour : group;
  const members = byGroup.levels.map((_, code) =>
    [...byGroup.codes.keys()].filter((place) => byGroup.codes[place] === code),
  );
  if (colour.levels) {
    const rows = colour.levels.map((level, code) => [level, members[code].length]);
    fillTable("map-table", [colour.name, "number"], rows);
    return;
  }
  const rows = group.levels.map((level, code) => {
    const own = sorted(members[code].map((place) => colour.values[place]));
    const found = own.length ? [0.05, 0.5, 0.95].map((share) => quantile(own, share)) : [null, null, null];
    return [level, members[code].length, ...found];
  });
  fillTable("map-table", [group.name, "number", `${colour.name}: 5 %`, "median", "95 %"], rows);
}

// Entries of the menu of colours; `more` gives further ones, by value.
function colourMenu(points, more, changed) {
  const select = byId("map-colour");
  points.groups.forEach((own, place) => addOption(select, `group:${place}`, own.name));
  points.numbers.forEach((own, place) => addOption(select, `number:${place}`, own.name));
  more.forEach(([value, text]) => addOption(select, value, text));
  select.addEventListener("change", changed);
  return select;
}

function colourOf(points, value) {
  const [kind, place] = value.split(":");
  return kind === "group" ? points.groups[place] : points.numbers[place];
}
