// Tables of class "sortable": a click, Enter or the space bar on a heading sorts by its column; again turns the order around.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const value = (row, column) => {
    const text = row.cells[column].textContent.trim().replace("\u2212", "-");
    const number = parseFloat(text);
    return Number.isNaN(number) ? text : number;
  };
  table.querySelectorAll("th").forEach((heading, column) => {
    const sort = () => {
      const down = heading.getAttribute("aria-sort") !== "descending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", down ? "descending" : "ascending");
      const order = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
      const rows = [...body.rows].map((row) => [value(row, column), row]);
      const full = rows.filter(([cell]) => cell !== "").sort(([a], [b]) => (down ? order(b, a) : order(a, b)));
      const empty = rows.filter(([cell]) => cell === ""); // last, whatever the order
      body.append(...[...full, ...empty].map(([, row]) => row));
    };
    heading.tabIndex = 0;
    heading.title = "sort by this column";
    heading.addEventListener("click", sort);
    heading.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); } });
  });
}
// Fields with data-filters: the rows of that table whose first cell has the words.
for (const field of document.querySelectorAll("input[data-filters]")) {
  const table = document.getElementById(field.dataset.filters);
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    for (const row of table.tBodies[0].rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
  });
}
