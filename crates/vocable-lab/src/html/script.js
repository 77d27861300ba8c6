"use strict";
// Sorting: a button sorts its table's rows by the numbers of its column, upwards, then downwards, then as they were; empty
// cells stay last.
const following = new Map([[null, "ascending"], ["ascending", "descending"], ["descending", null]]);
for (const button of document.querySelectorAll("button[data-sort]")) {
  const head = button.closest("th");
  const column = [...head.parentElement.children].indexOf(head);
  const body = button.closest("table").tBodies[0];
  const rows = [...body.rows];
  const value = (row) => {
    const text = row.querySelectorAll("td")[column].dataset.value;
    return text === "" ? null : Number(text);
  };
  button.addEventListener("click", () => {
    const order = following.get(head.getAttribute("aria-sort"));
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      return order === "ascending" ? x - y : y - x;
    };
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    if (order) head.setAttribute("aria-sort", order);
    body.append(...(order ? [...rows].sort(compare) : rows));
  });
}
// Filtering: rows whose name has the typed words stay, and are counted.
for (const field of document.querySelectorAll("input[data-filter]")) {
  field.addEventListener("input", () => {
    const words = field.value.trim().toLowerCase();
    const rows = [...document.getElementById(field.dataset.filter).tBodies[0].rows];
    for (const row of rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(words);
    const shown = rows.filter((row) => !row.hidden).length;
    field.closest(".filter").querySelector("[role=status]").textContent = words && `${shown} of ${rows.length} rows`;
  });
}
// The room that names of rows take of a table that scrolls.
for (const name of document.querySelectorAll("thead tr:first-child th:first-child")) {
  const box = name.closest(".wide");
  new ResizeObserver(() => box.style.setProperty("--names", `${name.offsetWidth}px`)).observe(name);
}
// What is folded is printed too, but for charts and exhibits, which are hundreds of pages.
let unfolded = [];
addEventListener("beforeprint", () => {
  unfolded = [...document.querySelectorAll("details:not([open])")].filter((part) => !part.querySelector("figure"));
  for (const part of unfolded) part.open = true;
});
addEventListener("afterprint", () => {
  for (const part of unfolded) part.open = false;
});
