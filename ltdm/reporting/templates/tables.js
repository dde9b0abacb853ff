// A click on a heading sorts the rows of each data set: best first, then the other way round.
// A click on a value shows its numbers, which a pointer sees without a click.
for (const table of document.querySelectorAll("table.values")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const first = heading.dataset.up === "true" ? "descending" : "ascending";
      const other = first === "ascending" ? "descending" : "ascending";
      const order = heading.getAttribute("aria-sort") === first ? other : first;
      headings.forEach((cell) => cell.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", order);
      const sign = order === "ascending" ? 1 : -1;
      const compare = (a, b) => {
        const [x, y] = [a, b].map((row) => row.cells[column].dataset.value ?? row.cells[column].textContent);
        if (x === y) return 0;
        if (x === "" || y === "") return x === "" ? 1 : -1; // rows without a value stay last
        const difference = Number(x) - Number(y);
        return sign * (Number.isNaN(difference) ? x.localeCompare(y, "en", { numeric: true }) : difference);
      };
      for (const body of table.tBodies) body.append(...[...body.rows].sort(compare));
    });
  });
  const detail = table.closest(".scroll").nextElementSibling;
  table.addEventListener("click", ({ target }) => {
    if (!target.matches("td[title]")) return;
    const names = [...target.parentElement.querySelectorAll("th")].map((cell) => cell.textContent);
    detail.textContent = `${names.join(", ")}, ${headings[target.cellIndex].textContent}: ${target.title}`;
  });
}
