// Topics: their words, their prevalence by label, and documents.
const MOST_TOPICS_OF_A_LEGEND = 30;

class TopicPage {
  constructor(numbers) {
    this.topics = numbers.topics;
    this.documents = numbers.documents;
    this.top = numbers.top_documents;
    this.prevalence = numbers.prevalence;
    if (this.documents) {
      this.proportions = linearRows(this.documents.proportions);
      if (this.topics.length <= MOST_TOPICS_OF_A_LEGEND) this.documents.groups.push(this.dominant());
    }
  }

  dominant() {
    const place = new Map(this.topics.map((own, order) => [own.topic, order]));
    return {
      name: "dominant topic",
      levels: this.topics.map((own) => `topic ${own.topic}`),
      codes: this.documents.dominant.map((topic) => place.get(topic)),
    };
  }

  start() {
    const select = byId("topic");
    this.topics.forEach((own) => addOption(select, own.topic, `${own.topic}: ${own.words.slice(0, 4).join(", ")}`));
    select.addEventListener("change", () => this.choose(Number(select.value)));
    document.querySelectorAll("[data-topic]").forEach((button) => {
      button.setAttribute("aria-label", `Show topic ${button.dataset.topic}`);
      button.addEventListener("click", () => this.choose(Number(button.dataset.topic)));
    });
    if (this.documents) {
      this.menu = colourMenu(this.documents, [["topic:0", "proportion of the topic"]], () => this.showMap());
      if (this.documents.groups[0].levels.length < 2) this.menu.value = `group:${this.documents.groups.length - 1}`;
    }
    if (this.prevalence) showPrevalence(this);
    this.choose(this.topics[0].topic);
  }

  choose(topic) {
    this.topic = topic;
    byId("topic").value = topic;
    document.querySelectorAll("[data-topic]").forEach((button) => {
      button.setAttribute("aria-pressed", String(Number(button.dataset.topic) === topic));
    });
    const own = this.topics.find((each) => each.topic === topic);
    byId("topic-told").textContent = `Topic ${topic}: ${percent(own.share)} of all words.`;
    const words = [...own.words.keys()];
    showBars("words-plot", own.words, own.probabilities, "probability", `Words of topic ${topic}`);
    fillTable("words-plot-table", ["word", "probability"], words.map((place) => [own.words[place], own.probabilities[place]]));
    if (this.prevalence) showLabels(this, topic);
    if (!this.documents) return;
    byId("top-topic").textContent = topic;
    const rows = this.top.filter((each) => each.topic === topic);
    const labelled = rows.some((each) => each.label);
    fillTable(
      "top-documents",
      ["document", "proportion", ...(labelled ? ["label"] : []), "first words"],
      rows.map((each) => [each.document, each.proportion, ...(labelled ? [each.label] : []), each.words]),
    );
    this.showMap();
  }

  showMap() {
    const value = this.menu.value;
    const colour = value.startsWith("topic")
      ? { name: `proportion of topic ${this.topic}`, values: this.proportions(this.topic) }
      : colourOf(this.documents, value);
    const group = this.documents.groups[0];
    drawMap(this.documents, colour, group, "documents");
  }
}

function showBars(id, names, values, title, label) {
  const trace = {
    type: "bar",
    orientation: "h",
    y: [...names.keys()],
    x: values,
    text: names.map((name, place) => `${plain(name)}: ${written(values[place])}`),
    textposition: "none",
    hovertemplate: "%{text}<extra></extra>",
    marker: { color: DOTS[0] },
  };
  const layout = {
    height: 70 + 22 * names.length,
    xaxis: axis(title, { rangemode: "tozero", nticks: 6 }),
    yaxis: axis("", { tickmode: "array", tickvals: [...names.keys()], ticktext: names.map(short), autorange: "reversed", showgrid: false }),
  };
  draw(id, [trace], layout, label);
}

function showLabels(page, topic) {
  const { labels, documents, means } = page.prevalence;
  const values = means.map((row) => row[topic]);
  showBars("labels-plot", labels, values, "mean proportion", `Mean proportion of topic ${topic} by label`);
  fillTable("labels-plot-table", ["label", "documents", "mean proportion"], labels.map((own, place) => [own, documents[place], values[place]]));
}

function showPrevalence(page) {
  const { labels, means } = page.prevalence;
  const order = page.topics.map((own) => own.topic);
  const values = means.map((row) => order.map((topic) => row[topic]));
  const trace = {
    type: "heatmap",
    x: [...order.keys()],
    y: [...labels.keys()],
    z: values,
    text: values.map((row, label) => row.map((own, place) => `${plain(labels[label])}, topic ${order[place]}: ${written(own)}`)),
    hovertemplate: "%{text}<extra></extra>",
    colorscale: "Viridis",
    colorbar: { title: { text: "mean proportion", side: "right" }, thickness: 14 },
  };
  const layout = {
    height: 130 + 30 * labels.length,
    xaxis: axis("topic", { tickmode: "array", tickvals: [...order.keys()], ticktext: order.map(String), showgrid: false }),
    yaxis: axis("", { tickmode: "array", tickvals: [...labels.keys()], ticktext: labels.map(short), autorange: "reversed", showgrid: false }),
  };
  draw("prevalence-plot", [trace], layout, "Mean proportions of all topics by label");
  fillTable("prevalence-plot-table", ["label", ...order.map((topic) => `topic ${topic}`)], labels.map((own, place) => [own, ...values[place]]));
}
