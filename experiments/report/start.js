// Unpack plotly.js and the numbers, and draw.
async function start() {
  if (typeof DecompressionStream === "undefined") {
    throw new Error("this browser is too old (needed: Chrome 80, Firefox 113, Safari 16.4 or newer)");
  }
  const library = document.createElement("script");
  library.textContent = await unpacked("plotly");
  document.head.append(library);
  const numbers = JSON.parse(await unpacked("numbers"));
  window.report = numbers;
  if (numbers.training.length) showTraining(numbers.training);
  else byId("training-plot").textContent = "No epoch is complete.";
  if (numbers.check && numbers.check.length) showChecks(numbers.check);
  if (numbers.cells) new CellPage(numbers).start();
  if (numbers.topics) new TopicPage(numbers).start();
}

// On paper the tables on the fit are open, and figures are shrunk to the width of the sheet.
const SHEET = 670;
let opened = [];
window.addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details.printed:not([open])")];
  opened.forEach((own) => (own.open = true));
  for (const place of drawn.keys()) place.style.zoom = Math.min(1, SHEET / place.offsetWidth);
});
window.addEventListener("afterprint", () => {
  opened.forEach((own) => (own.open = false));
  for (const place of drawn.keys()) place.style.zoom = "";
});

start().then(
  () => (document.documentElement.dataset.ready = "yes"),
  (error) => {
    byId("problem").textContent = `The figures cannot be drawn: ${error.message}`;
    byId("problem").hidden = false;
    throw error;
  },
);
