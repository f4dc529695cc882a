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
      const rows = [...body.rows].sort((a, b) => order(value(a, column), value(b, column)));
      body.append(...(down ? rows.reverse() : rows));
    };
    heading.tabIndex = 0;
    heading.addEventListener("click", sort);
    heading.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { event.preventDefault(); sort(); } });
  });
}
