// Cells and genes: the map, and the isoforms of a gene in some cells.
class CellPage {
  constructor(numbers) {
    this.cells = numbers.cells;
    this.genes = numbers.genes.shown;
    this.leftOut = numbers.genes.left_out;
    this.expression = numbers.expression;
    this.rows = {};
    const shown = ["shown_mean", "shown_low", "shown_high", "shown_estimate"];
    for (const name of ["mean", "sd", ...shown, "group_mean", "group_low", "group_high"]) {
      this.rows[name] = logarithmicRows(this.expression[name]);
    }
    let start = this.genes.length;
    this.starts = this.genes.map((gene) => (start += gene.isoforms.length) - gene.isoforms.length);
    const several = this.genes.findIndex((gene) => gene.isoforms.length > 1);
    this.gene = Math.max(0, several);
    this.group = this.cells.groups[0];
  }

  // Names and positions of the gene and of its isoforms among all features.
  features() {
    const gene = this.genes[this.gene];
    const isoforms = gene.isoforms.map((name, place) => [name, this.starts[this.gene] + place]);
    return [[this.title(gene), this.gene], ...isoforms];
  }

  title(gene) {
    return gene.symbol && gene.symbol !== gene.name ? `${gene.symbol} (${gene.name})` : gene.name;
  }

  start() {
    this.menu = colourMenu(this.cells, [], () => this.showMap());
    this.known = new Map();
    const list = byId("gene-names");
    const know = (name, found) => {
      if (!name || this.known.has(name.toLowerCase())) return;
      this.known.set(name.toLowerCase(), found);
      addOption(list, name, "");
    };
    this.genes.forEach((gene, place) => know(gene.symbol, [place, null]));
    this.genes.forEach((gene, place) => know(gene.name, [place, null]));
    this.genes.forEach((gene, place) => gene.isoforms.forEach((name, own) => know(name, [place, own])));
    byId("gene-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.search(byId("gene").value);
    });
    byId("gene").addEventListener("change", (event) => this.search(event.target.value));
    const step = (by) => this.choose((this.gene + by + this.genes.length) % this.genes.length, null);
    byId("gene-before").addEventListener("click", () => step(-1));
    byId("gene-after").addEventListener("click", () => step(1));
    const groups = byId("groups");
    this.cells.groups.forEach((own, place) => addOption(groups, place, own.name));
    groups.addEventListener("change", () => {
      this.group = this.cells.groups[groups.value];
      this.showMap();
      this.showGene();
    });
    const names = byId("left-out-names");
    if (names) names.textContent = this.leftOut.join(", ");
    if (this.genes.length) this.choose(this.gene, null);
    else this.showMap();
  }

  // Exact names come first, then names that begin with the text, then names that hold it.
  search(text) {
    const asked = text.trim().toLowerCase();
    if (!asked || asked === this.asked) return; // Enter changes the field and submits the form
    this.asked = asked;
    const names = [...this.known.keys()];
    const name =
      names.find((own) => own === asked) ??
      (this.isLeftOut(asked) ? undefined : names.find((own) => own.startsWith(asked)) ?? names.find((own) => own.includes(asked)));
    if (name !== undefined) {
      this.choose(...this.known.get(name));
      return;
    }
    byId("gene-told").textContent = this.isLeftOut(asked)
      ? `${text} is in the fit, but not on this page; make the page with it (--genes).`
      : `There is no gene or isoform ${text}.`;
  }

  isLeftOut(asked) {
    return this.leftOut.some((own) => own.toLowerCase() === asked);
  }

  // Show a gene; the map is coloured by it, or by one of its isoforms.
  choose(place, isoform) {
    const before = this.menu.value;
    this.gene = place;
    const gene = this.genes[place];
    byId("gene").value = isoform === null ? gene.symbol || gene.name : gene.isoforms[isoform];
    this.asked = byId("gene").value.toLowerCase();
    this.menu.querySelectorAll("option[data-feature]").forEach((own) => own.remove());
    this.features().forEach(([name, feature], row) => {
      for (const kind of ["mean", "spread"]) {
        addOption(this.menu, `${kind}:${feature}`, `${kind === "mean" ? "expression" : "uncertainty"} of ${name}`);
        this.menu.lastChild.dataset.feature = row;
      }
    });
    const [kind] = before.split(":");
    const feature = isoform === null ? place : this.starts[place] + isoform;
    if (isoform !== null || kind === "mean" || kind === "spread") {
      this.menu.value = `${kind === "spread" ? kind : "mean"}:${feature}`;
    } else this.menu.value = before;
    byId("gene-told").textContent = `${this.title(gene)}: ${gene.isoforms.length} isoform${gene.isoforms.length === 1 ? "" : "s"} shown${gene.more ? `, ${gene.more} less expressed left out` : ""}.`;
    this.showMap();
    this.showGene();
  }

  colour() {
    const [kind, place] = this.menu.value.split(":");
    if (kind === "group" || kind === "number") return colourOf(this.cells, this.menu.value);
    const text = this.menu.selectedOptions[0].textContent;
    const mean = this.rows.mean(Number(place));
    if (kind === "mean") return { name: text, unit: this.expression.unit, values: mean, logarithmic: true };
    const sd = this.rows.sd(Number(place));
    const values = mean.map((own, cell) => (own > 0 ? sd[cell] / own : NaN));
    return { name: text, unit: "standard deviation / mean", values, uncertain: true, logarithmic: true };
  }

  showMap() {
    drawMap(this.cells, this.colour(), this.group, "cells");
  }

  showGene() {
    showIsoforms(this);
    showMeans(this);
    showUsage(this);
  }
}

// Cells that are shown, by group and then by the expression of the gene.
function orderOf(page) {
  const shown = page.expression.shown;
  const gene = page.rows.shown_mean(page.gene);
  const code = (place) => page.group.codes[shown[place]];
  return [...shown.keys()].sort((a, b) => code(a) - code(b) || gene[b] - gene[a]);
}

function showIsoforms(page) {
  const { shown, unit } = page.expression;
  const order = orderOf(page);
  const features = page.features();
  const own = features.map(([name, feature]) => {
    const values = (kind) => {
      const row = page.rows[`shown_${kind}`](feature);
      return order.map((place) => row[place]);
    };
    return { name, mean: values("mean"), low: values("low"), high: values("high"), estimate: values("estimate") };
  });
  const names = order.map((place) => page.cells.names[shown[place]]);
  const codes = order.map((place) => page.group.codes[shown[place]]);
  const height = 130;
  const total = own.length * height + 70;
  const layout = {
    height: total,
    showlegend: true,
    legend: { orientation: "h", y: 1 + 8 / total, yanchor: "bottom", x: 0 },
    margin: { l: 65, r: 15, t: 40, b: 30 },
    xaxis: axis("", { ...ticksOfGroups(page.group, codes), anchor: own.length > 1 ? `y${own.length}` : "y", showgrid: false }),
    annotations: [],
  };
  const traces = own.flatMap((row, place) => {
    const top = 1 - place / own.length;
    const title = place ? `yaxis${place + 1}` : "yaxis";
    const domain = [top - 0.78 / own.length, top - 0.12 / own.length];
    // Values lie at log(1 + value), as colours of the map do: small cells stay legible.
    const most = Math.max(...row.high, ...row.mean, ...row.estimate);
    const end = Math.log1p(most || 1);
    layout[title] = axis(unit, { domain, range: [-0.04 * end, 1.06 * end], ...ticksOf(0, end, 5) });
    layout[title].title.font.size = 10;
    layout.annotations.push({
      text: `<b>${short(row.name)}</b>`,
      x: 0, y: top - 0.12 / own.length, xref: "paper", yref: "paper",
      xanchor: "left", yanchor: "bottom", showarrow: false,
    });
    return isoformTraces(row, place, names, codes, page.group);
  });
  const gene = page.title(page.genes[page.gene]);
  byId("gene-hint").textContent =
    `Posterior means, 95 % intervals and the quantifier's estimates, ${unit}. ${order.length} of ` +
    `${page.cells.names.length} cells, by ${page.group.name} and expression of the gene. The axes are logarithmic, of 1 + reads.`;
  draw("gene-plot", traces, layout, `Expression of ${gene} and its isoforms in ${order.length} cells with 95 % intervals`);
  const rows = names.map((name, cell) => [
    name,
    page.group.levels[codes[cell]],
    ...own.map((row) => `${written(row.mean[cell])} (${written(row.low[cell])} to ${written(row.high[cell])})`),
  ]);
  fillTable("gene-plot-table", ["cell", page.group.name, ...own.map((row) => row.name)], rows);
}

function isoformTraces(row, place, names, codes, group) {
  const x = row.mean.map((_, cell) => cell + 1);
  const shared = { type: "scatter", mode: "markers", x, yaxis: place ? `y${place + 1}` : "y", showlegend: place === 0 };
  const interval = {
    ...shared,
    name: "posterior mean, 95 % interval",
    legendgroup: "posterior",
    y: row.mean.map(Math.log1p),
    error_y: errorOf(onLogScale(row)),
    marker: { size: 5, color: codes.map((code) => dotOf(code).color), symbol: codes.map((code) => dotOf(code).symbol) },
    text: names.map(
      (name, cell) =>
        `${plain(name)}, ${plain(group.levels[codes[cell]])}<br>${written(row.mean[cell])} (${written(row.low[cell])} to ${written(row.high[cell])})<br>estimate ${written(row.estimate[cell])}`,
    ),
    hovertemplate: "%{text}<extra></extra>",
  };
  const estimate = {
    ...shared,
    name: "quantifier's estimate",
    legendgroup: "estimate",
    y: row.estimate.map(Math.log1p),
    marker: { size: 5, symbol: "x-thin", line: { width: 1, color: "#000000" } },
    hoverinfo: "skip",
  };
  return [interval, estimate];
}

// The interval of each cell where the axis has it.
function onLogScale(row) {
  return { mean: row.mean.map(Math.log1p), low: row.low.map(Math.log1p), high: row.high.map(Math.log1p) };
}

// The name of each group below the middle of its cells.
function ticksOfGroups(group, codes) {
  const ticks = group.levels
    .map((level, code) => ({ level, first: codes.indexOf(code) + 1, last: codes.lastIndexOf(code) + 1 }))
    .filter((tick) => tick.first > 0);
  return {
    tickmode: "array",
    tickvals: ticks.map((tick) => (tick.first + tick.last) / 2),
    ticktext: ticks.map((tick) => short(tick.level)),
    range: [0, codes.length + 1],
  };
}
