const specs = JSON.parse(document.getElementById("specs").textContent);
const views = [];
const choices = { run: new Set(all("run")), dataset: new Set(all("dataset")) };

function all(name) {
  return [...document.querySelectorAll(`.shown input[name=${name}]`)].map((input) => input.value);
}

// The colours of text, axes and grids are those of the page (page.css).
const config = {
  background: "transparent",
  font: getComputedStyle(document.body).fontFamily,
  view: { stroke: "transparent" },
  axis: { labelFontSize: 12, titleFontSize: 12, titleFontWeight: "normal" },
};

function shown(name) {
  return [...document.querySelectorAll(`.shown input[name=${name}]:checked`)].map((input) => input.value);
}

async function draw() {
  for (const place of document.querySelectorAll(".chart")) {
    const number = Number(place.dataset.chart);
    const options = { actions: false, renderer: "svg", config, defaultStyle: false };
    views[number] = (await vegaEmbed(place, specs[number], options)).view;
    place.querySelector("svg")?.setAttribute("aria-hidden", "true");
  }
  await show();
  document.documentElement.dataset.drawn = "true";
}

async function show() {
  const chosen = { run: new Set(shown("run")), dataset: new Set(shown("dataset")) };
  const isShown = (part, name) => !(name in part.dataset) || !choices[name].size || chosen[name].has(part.dataset[name]);
  for (const part of document.querySelectorAll("main [data-run], main [data-dataset]"))
    part.hidden = !isShown(part, "run") || !isShown(part, "dataset");
  window.dispatchEvent(new Event("resize")); // a chart that was hidden had no width
  await Promise.all(views.map((view) => view.signal("runs", [...chosen.run]).runAsync()));
}

for (const input of document.querySelectorAll(".shown input")) input.addEventListener("change", show);

for (const button of document.querySelectorAll("[data-all]"))
  button.addEventListener("click", () => {
    for (const input of document.querySelectorAll(".shown input[name=run]")) input.checked = button.dataset.all === "true";
    show();
  });

for (const button of document.querySelectorAll("[data-copy]"))
  button.addEventListener("click", async () => {
    const status = button.parentElement.querySelector("[role=status]");
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      status.textContent = `${button.textContent} is in the clipboard`;
    } catch {
      // Some browsers refuse; then the reader copies it.
      const text = document.createElement("textarea");
      text.setAttribute("aria-label", `the table as ${button.textContent}`);
      text.value = button.dataset.copy;
      text.rows = 12;
      status.replaceChildren(`The browser refuses the clipboard; copy the ${button.textContent} from here:`, text);
      text.select();
    }
  });

draw();
