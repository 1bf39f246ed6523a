// Groups of cells: the mean expression of a gene and of its isoforms, and their usage.
function showMeans(page) {
  const { groups, unit, without_interval: unsure } = page.expression;
  const { name, levels, codes } = page.group;
  const start = groups[name];
  byId("means-hint").textContent =
    start === undefined
      ? `There is no room for the intervals of ${name}; make the page with --groupby ${name}.`
      : `Mean of all cells like those of the group, ${unit}. The interval includes the variation between cells and the errors that all cells share; a group of one cell has none.`;
  const features = start === undefined ? [] : page.features();
  const own = features.map(([feature, place]) => {
    const values = (kind) => page.rows[`group_${kind}`](place).slice(start, start + levels.length);
    const known = (value, level) => (unsure.includes(start + level) ? NaN : value);
    return { name: feature, mean: values("mean"), low: values("low").map(known), high: values("high").map(known) };
  });
  const interval = (row, level) =>
    written(row.mean[level]) + (Number.isFinite(row.low[level]) ? ` (${written(row.low[level])} to ${written(row.high[level])})` : " (one cell)");
  const traces = own.map((row, place) => ({
    type: "scatter",
    mode: "markers",
    name: short(row.name),
    x: row.mean,
    y: levels.map((_, level) => level + 0.8 * ((place + 0.5) / own.length - 0.5)),
    error_x: errorOf(row),
    marker: place ? { size: 7, color: BARS[place - 1], symbol: SYMBOLS[place - 1] } : { size: 8, color: "#000000", symbol: "circle-open" },
    text: levels.map((level, code) => `${plain(level)}<br>${plain(row.name)}: ${interval(row, code)}`),
    hovertemplate: "%{text}<extra></extra>",
  }));
  const height = (10 + 9 * own.length) * levels.length;
  const layout = {
    height: 110 + height + 20 * Math.ceil(own.length / 2),
    showlegend: true,
    legend: { orientation: "h", y: -60 / (height + 60), yanchor: "top", x: 0, traceorder: "normal" },
    xaxis: axis(unit, { rangemode: "tozero" }),
    yaxis: axis("", { tickmode: "array", tickvals: [...levels.keys()], ticktext: levels.map(short), range: [levels.length - 0.5, -0.5], showgrid: false }),
  };
  draw("means-plot", traces, layout, `Mean expression of ${page.title(page.genes[page.gene])} and its isoforms by ${name}, with 95 % intervals`);
  const rows = levels.map((level, code) => [
    level,
    codes.filter((other) => other === code).length,
    ...own.map((row) => interval(row, code)),
  ]);
  fillTable("means-plot-table", [name, "cells", ...own.map((row) => row.name)], rows);
}

function showUsage(page) {
  const means = page.expression.means[page.group.name];
  const [[, gene], ...isoforms] = page.features();
  const { levels, codes } = page.group;
  const sums = means[gene];
  const shares = isoforms.map(([name, feature]) => ({
    name,
    values: sums.map((sum, level) => (sum > 0 ? means[feature][level] / sum : NaN)),
  }));
  if (page.genes[page.gene].more) {
    const rest = sums.map((sum, level) => 1 - shares.reduce((total, own) => total + own.values[level], 0));
    shares.push({ name: `${page.genes[page.gene].more} others`, values: rest.map((own) => Math.max(0, own)) });
  }
  const others = { color: "#d9d9d9", line: { color: "#ffffff", width: 1 } };
  const traces = shares.map((own, place) => ({
    type: "bar",
    orientation: "h",
    name: short(own.name),
    y: [...levels.keys()],
    x: own.values,
    text: own.values.map((value, level) => `${plain(levels[level])}<br>${plain(own.name)}: ${percent(value)}`),
    textposition: "none",
    hovertemplate: "%{text}<extra></extra>",
    marker: place < isoforms.length ? barOf(place) : others,
  }));
  const layout = {
    height: 130 + 34 * levels.length + 20 * Math.ceil(shares.length / 2),
    barmode: "stack",
    bargap: 0.25,
    showlegend: true,
    legend: { orientation: "h", y: -60 / (34 * levels.length + 60), yanchor: "top", x: 0, traceorder: "normal" },
    xaxis: axis("share", { range: [0, 1], tickformat: ".0%" }),
    yaxis: axis("", { tickmode: "array", tickvals: [...levels.keys()], ticktext: levels.map(short), autorange: "reversed", showgrid: false }),
  };
  draw("usage-plot", traces, layout, `Usage of the isoforms of ${page.title(page.genes[page.gene])} by ${page.group.name}`);
  const rows = levels.map((level, code) => [
    level,
    codes.filter((own) => own === code).length,
    sums[code],
    ...shares.map((own) => percent(own.values[code])),
  ]);
  const head = [page.group.name, "cells", `gene (${page.expression.unit})`, ...shares.map((own) => own.name)];
  fillTable("usage-plot-table", head, rows);
}
