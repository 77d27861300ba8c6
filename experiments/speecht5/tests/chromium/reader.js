"use strict";
// A reader of a page under way: before it comes again, types, sorts, unfolds; afterwards writes down what is left of it.
const first = sessionStorage.getItem("left") === null;
// Something has happened since the first page was made, and nothing since the second.
window.fetch = async () => ({
  text: async () => (first ? "news" : document.querySelector("[data-state]").dataset.state),
});
addEventListener("load", () => {
  const field = document.querySelector("input[data-filter]");
  const button = document.querySelector("button[data-sort]");
  const part = document.querySelector("details");
  if (first) {
    field.value = "NO pre";
    field.dispatchEvent(new Event("input"));
    field.focus();
    button.click();
    button.click();
    part.open = true;
    setTimeout(() => {
      sessionStorage.setItem("typed", "undisturbed");
      button.focus();
    }, 6000);
    return;
  }
  setTimeout(() => {
    const rows = [...document.getElementById(field.dataset.filter).tBodies[0].rows];
    const answer = document.createElement("pre");
    answer.id = "probe";
    answer.textContent = JSON.stringify({
      typed: sessionStorage.getItem("typed"),
      filter: field.value,
      filtered: rows.filter((row) => !row.hidden).map((row) => row.cells[0].textContent.trim()),
      sorted: button.closest("th").getAttribute("aria-sort"),
      unfolded: part.open,
      focused: document.activeElement === button,
    });
    document.body.append(answer);
  }, 4000);
});
