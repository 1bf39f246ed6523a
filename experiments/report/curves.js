// Curves of training and of checks.
function showTraining(curves) {
  const axes = [...new Set(curves.map((curve) => curve.axis))];
  const traces = curves.map((curve, place) => {
    const row = axes.indexOf(curve.axis);
    return {
      type: "scatter",
      mode: curve.x.length > 1 ? "lines" : "markers",
      name: curve.name,
      x: curve.x,
      y: curve.y,
      yaxis: row ? `y${row + 1}` : "y",
      line: { color: DOTS[place], dash: ["solid", "dash", "dot"][place % 3], width: 2 },
      marker: { color: DOTS[place] },
      hovertemplate: "epoch %{x}: %{y}",
    };
  });
  const layout = {
    height: 60 + 240 * Math.max(1, axes.length),
    showlegend: true,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    margin: { l: 60, r: 15, t: 40, b: 45 },
    xaxis: axis("epoch", {
      anchor: axes.length > 1 ? `y${axes.length}` : "y",
      ...(Math.max(...curves.flatMap((curve) => curve.x)) <= 10 ? { dtick: 1 } : {}),
    }),
  };
  axes.forEach((title, row) => {
    const size = 1 / axes.length;
    const domain = [1 - (row + 1) * size + (row + 1 < axes.length ? 0.06 : 0), 1 - row * size];
    layout[row ? `yaxis${row + 1}` : "yaxis"] = axis(title, { domain });
  });
  draw("training-plot", traces, layout, `Curves by epoch: ${curves.map((own) => own.name).join(", ")}`);
  const epochs = [...new Set(curves.flatMap((curve) => curve.x))];
  const rows = epochs.map((epoch) => [
    String(epoch),
    ...curves.map((curve) => curve.y[curve.x.indexOf(epoch)] ?? null),
  ]);
  fillTable("training-plot-table", ["epoch", ...curves.map((own) => `${own.name}: ${own.axis}`)], rows);
}

function showChecks(panels) {
  const select = byId("check-panel");
  panels.forEach((panel, place) => addOption(select, place, `${panel.title}: ${panel.verdict}`));
  select.addEventListener("change", () => showPanel(panels[select.value]));
  showPanel(panels[0]);
}

// A logarithmic axis, with decades alone where there are several.
function logarithmic(values) {
  const known = sorted(values.filter((value) => value > 0));
  return known.length && known.at(-1) / known[0] > 30 ? { type: "log", dtick: 1 } : { type: "log" };
}

function showPanel(panel) {
  const band = { type: "scatter", mode: "lines", line: { width: 0 }, hoverinfo: "skip" };
  const blue = "#0072B2";
  const traces = [
    { ...band, x: panel.x, y: panel.high, showlegend: false },
    { ...band, x: panel.x, y: panel.low, fill: "tonexty", fillcolor: "rgba(0,114,178,.25)", name: "generated, 95 %" },
    { type: "scatter", mode: "lines", x: panel.x, y: panel.middle, name: "generated, median", line: { color: blue } },
    { type: "scatter", mode: "markers", x: panel.x, y: panel.observed, name: "data", marker: { color: "#D55E00", size: 7 } },
  ];
  const kind = (which, values) => (panel.logarithmic.includes(which) ? logarithmic(values) : {});
  const layout = {
    height: 340,
    showlegend: true,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    margin: { l: 60, r: 15, t: 40, b: 45 },
    xaxis: axis(panel.axes[0], kind("x", panel.x)),
    yaxis: axis(panel.axes[1], kind("y", [...panel.observed, ...panel.middle])),
  };
  draw("check-plot", traces, layout, `${panel.title}: ${panel.verdict}`);
  const rows = panel.x.map((x, place) => [
    written(x),
    ...["observed", "low", "middle", "high"].map((name) => panel[name][place]),
  ]);
  fillTable("check-plot-table", [panel.axes[0], "data", "generated, 2.5 %", "median", "97.5 %"], rows);
}
