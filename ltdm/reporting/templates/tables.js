// Sorts a table's rows by a click on a heading: first best on top, then the other way round.
for (const table of document.querySelectorAll("table.values")) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
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
      // Rows of a data set stay together.
      const group = (row) => row.dataset.dataset ?? "";
      const groups = [...new Set([...body.rows].map(group))];
      for (const name of groups) body.append(...[...body.rows].filter((row) => group(row) === name).sort(compare));
    });
  });
}
