"use strict";
const errors = [];
addEventListener("error", (event) => errors.push(String(event.message)));
addEventListener("unhandledrejection", (event) => errors.push(String(event.reason)));
addEventListener("load", async () => {
  const found = { errors };
  try {
    document.querySelectorAll("details").forEach((part) => { part.open = true; });
    const images = [...document.images];
    await Promise.all(images.map((image) => image.decode().catch(() => {})));
    found.images = images.length;
    found.broken = images.filter((image) => image.naturalWidth === 0).length;
    const sounds = [...document.querySelectorAll("audio")];
    const plays = (sound) => new Promise((done) => {
      sound.addEventListener("playing", () => done(sound.duration > 0.1));
      sound.addEventListener("error", () => done(false));
      sound.play().catch(() => done(false));
    });
    found.sounds = sounds.length;
    found.playable = 0;
    for (const sound of sounds) {
      if (await plays(sound)) found.playable += 1;
      sound.pause();
    }
    found.charts = document.querySelectorAll("figure > svg").length;
    // The first column of measured numbers.
    const button = document.querySelectorAll("button[data-sort]")[1];
    const head = button.closest("th");
    const column = [...head.parentElement.children].indexOf(head);
    const values = () => [...head.closest("table").tBodies[0].rows]
      .map((row) => row.querySelectorAll("td")[column].dataset.value).filter((value) => value !== "").map(Number);
    const said = [];
    for (const direction of ["ascending", "descending"]) {
      button.click();
      const sign = direction === "ascending" ? 1 : -1;
      const sorted = values().every((value, at, all) => at === 0 || sign * (value - all[at - 1]) >= 0);
      if (sorted && values().length > 1 && head.getAttribute("aria-sort") === direction) said.push(direction);
    }
    found.sorted = said.join(" then ");
    const field = document.querySelector("input[data-filter]");
    field.value = "w/o TEXT";
    field.dispatchEvent(new Event("input"));
    const rows = [...document.getElementById(field.dataset.filter).tBodies[0].rows];
    found.filtered = rows.filter((row) => !row.hidden).map((row) => row.cells[0].textContent.trim());
    field.value = "";
    field.dispatchEvent(new Event("input"));
    const named = (element) => element.textContent.trim() || element.getAttribute("aria-label") || element.alt
      || (element.labels && element.labels.length > 0);
    const controls = document.querySelectorAll("button, input, audio, img, figure > svg, summary, a");
    found.unnamed = [...controls].filter((element) => !named(element)).map((element) => element.outerHTML.slice(0, 80));
    found.overflows = document.documentElement.scrollWidth > document.documentElement.clientWidth + 1;
  } catch (error) {
    errors.push(String(error));
  }
  const answer = document.createElement("pre");
  answer.id = "probe";
  answer.textContent = JSON.stringify(found);
  document.body.append(answer);
});
