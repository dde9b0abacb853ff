const specs = JSON.parse(document.getElementById("specs").textContent);
const views = [];

// The colours of text and lines are those of the page, in the dark too.
function theme() {
  const style = getComputedStyle(document.documentElement);
  const [text, quiet, line] = ["--text", "--quiet", "--line"].map((name) => style.getPropertyValue(name).trim());
  const labels = { labelColor: text, titleColor: text, titleFontWeight: "normal" };
  return {
    background: "transparent",
    font: getComputedStyle(document.body).fontFamily,
    view: { stroke: "transparent" },
    axis: { ...labels, gridColor: line, domainColor: quiet, tickColor: quiet, labelFontSize: 12, titleFontSize: 12 },
    text: { color: text, fill: text, fontSize: 11 },
  };
}

function shown(name) {
  return [...document.querySelectorAll(`.shown input[name=${name}]:checked`)].map((input) => input.value);
}

async function draw() {
  for (const place of document.querySelectorAll(".chart")) {
    const number = Number(place.dataset.chart);
    views[number]?.finalize();
    const options = { actions: false, renderer: "svg", config: theme(), ast: false, tooltip: { theme: "custom" } };
    const result = await vegaEmbed(place, specs[number], options);
    views[number] = result.view;
    place.querySelector("svg")?.setAttribute("aria-hidden", "true");
  }
  await showRuns();
  document.documentElement.dataset.drawn = "true";
}

async function showRuns() {
  const runs = shown("run");
  for (const part of document.querySelectorAll("main [data-run]")) part.hidden = !runs.includes(part.dataset.run);
  await Promise.all(views.map((view) => view.signal("runs", runs).runAsync()));
}

function showDatasets() {
  const datasets = shown("dataset");
  for (const part of document.querySelectorAll("main [data-dataset]")) {
    if (part.matches("tr")) part.classList.toggle("other", !datasets.includes(part.dataset.dataset));
    else part.hidden = !datasets.includes(part.dataset.dataset);
  }
  window.dispatchEvent(new Event("resize")); // a chart that was hidden had no width
}

for (const input of document.querySelectorAll(".shown input"))
  input.addEventListener("change", input.name === "run" ? showRuns : showDatasets);

for (const button of document.querySelectorAll("[data-all]"))
  button.addEventListener("click", () => {
    for (const input of document.querySelectorAll(".shown input[name=run]")) input.checked = button.dataset.all === "true";
    showRuns();
  });

for (const button of document.querySelectorAll("[data-copy]"))
  button.addEventListener("click", async () => {
    const status = button.parentElement.querySelector("[role=status]");
    await navigator.clipboard.writeText(button.dataset.copy);
    status.textContent = `${button.textContent} is in the clipboard`;
  });

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
draw();
