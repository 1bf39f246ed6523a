"use strict";
// Colours of Okabe and Ito, which the colour-blind tell apart; marks tell them apart without colour.
const DOTS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000"];
const BARS = [...DOTS.slice(0, 6), "#F0E442", "#666666"];
const SYMBOLS = ["circle", "triangle-up", "square", "diamond", "triangle-down", "cross", "x", "star"];
const PATTERNS = ["", "/", ".", "x", "-", "+", "\\", "|"];
const GREY = "#767676";
const LONGEST_NAME = 25;

const byId = (id) => document.getElementById(id);
const dotOf = (place) => ({ color: DOTS[place % DOTS.length], symbol: SYMBOLS[place % SYMBOLS.length] });
const barOf = (place) => ({
  color: BARS[place % BARS.length],
  line: { color: "#ffffff", width: 1 },
  pattern: {
    shape: PATTERNS[place % PATTERNS.length],
    size: 6,
    solidity: 0.2,
    bgcolor: BARS[place % BARS.length],
    fgcolor: "#ffffff",
  },
});

// Plotly reads some tags in texts; a name is shown as it is.
function plain(name) {
  return String(name).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}

function short(name) {
  const letters = Array.from(String(name));
  return plain(letters.length > LONGEST_NAME ? letters.slice(0, LONGEST_NAME - 1).join("") + "…" : name);
}

// Three digits, without an exponent where it can be avoided.
function written(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e6 || (size > 0 && size < 1e-4)) return value.toExponential(2);
  return String(Number(size >= 1000 ? Math.round(value) : value.toPrecision(3)));
}

const percent = (value) => (Number.isFinite(value) ? `${(100 * value).toFixed(1)} %` : "–");

function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}

async function unpacked(id) {
  const stream = new Blob([bytesOf(byId(id).textContent)]).stream();
  return new Response(stream.pipeThrough(new DecompressionStream("gzip"))).text();
}

function codesOf(encoded, size) {
  const bytes = bytesOf(encoded.codes);
  return size === 1 ? bytes : new Uint16Array(bytes.buffer);
}

// Function that gives the values of a row; experiments/report/encoding.py explains the codes.
function logarithmicRows(encoded) {
  const codes = codesOf(encoded, encoded.bytes);
  const steps = 2 ** (8 * encoded.bytes) - 2;
  return (row) => {
    const [low, high] = [encoded.low[row], encoded.high[row]];
    const step = Math.log(high / low) / steps;
    const own = codes.subarray(row * encoded.columns, (row + 1) * encoded.columns);
    return Array.from(own, (code) => (code ? low * Math.exp(step * (code - 1)) : 0));
  };
}

function linearRows(encoded) {
  const codes = codesOf(encoded, 2);
  return (row) => {
    const own = codes.subarray(row * encoded.columns, (row + 1) * encoded.columns);
    return Array.from(own, (code) => code * encoded.unit);
  };
}

function quantile(sorted, level) {
  const place = level * (sorted.length - 1);
  const low = Math.floor(place);
  const high = Math.ceil(place);
  return sorted[low] + (place - low) * (sorted[high] - sorted[low]);
}

const sorted = (values) => values.filter(Number.isFinite).sort((a, b) => a - b);

// A finger on a figure scrolls the page.
const TOUCH = window.matchMedia("(pointer: coarse)").matches;

function axis(title, more = {}) {
  return {
    title: { text: title, font: { size: 12 } },
    gridcolor: "#e3e3e3",
    zeroline: false,
    exponentformat: "power",
    automargin: true,
    fixedrange: TOUCH,
    ...more,
  };
}

function draw(id, traces, layout, label) {
  const place = byId(id);
  place.setAttribute("aria-label", label);
  place.style.height = `${layout.height}px`; // a change of the width keeps it
  const shared = {
    font: { family: "system-ui, sans-serif", size: 12, color: "#1a1a1a" },
    paper_bgcolor: "#ffffff",
    plot_bgcolor: "#ffffff",
    margin: { l: 50, r: 15, t: 10, b: 45 },
    hoverlabel: { font: { size: 12 }, align: "left" },
    dragmode: TOUCH ? false : "zoom",
    showlegend: false,
  };
  drawn.set(place, () => Plotly.newPlot(place, traces, { ...shared, ...layout }, { displayModeBar: false }));
  drawn.get(place)();
}

// Figures are drawn anew where the width changes: plotly's own resizing misplaces legends. They are
// not while they are printed, as browsers then measure texts wrongly.
const drawn = new Map();
let width = window.innerWidth;
let waiting = 0;
window.addEventListener("resize", () => {
  clearTimeout(waiting);
  waiting = setTimeout(() => {
    if (window.innerWidth === width || window.matchMedia("print").matches) return;
    width = window.innerWidth;
    drawn.forEach((again) => again());
  }, 200);
});

// Lines from the low to the high end of the interval of each mean.
function errorOf(row) {
  return {
    type: "data",
    symmetric: false,
    array: row.high.map((value, place) => Math.max(0, value - row.mean[place])),
    arrayminus: row.low.map((value, place) => Math.max(0, row.mean[place] - value)),
    color: "#9a9a9a",
    thickness: 1,
    width: 0,
  };
}

function addOption(select, value, text) {
  const option = document.createElement("option");
  option.value = value;
  option.textContent = text;
  select.append(option);
}
