"use strict";
// Sorting: a button sorts its table's rows by the numbers of its column; empty cells stay last.
for (const button of document.querySelectorAll("button[data-sort]")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const body = button.closest("table").tBodies[0];
    const column = [...head.parentElement.children].indexOf(head);
    const ascending = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const value = (row) => {
      const text = row.querySelectorAll("td")[column].dataset.value;
      return text === "" ? null : Number(text);
    };
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === null || y === null) return (x === null) - (y === null);
      return ascending ? x - y : y - x;
    };
    body.append(...[...body.rows].sort(compare));
  });
}
// Filtering: rows whose name has the typed words stay.
for (const field of document.querySelectorAll("input[data-filter]")) {
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase();
    for (const row of document.getElementById(field.dataset.filter).tBodies[0].rows) {
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(words);
    }
  });
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
