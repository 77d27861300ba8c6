// A run under way: the page comes again when something has happened, as its reader left it: the same parts unfolded, rows
// filtered and sorted, tables scrolled, the same control in focus.
{
  const all = (what) => [...document.querySelectorAll(what)];
  const name = (part) => part.closest("section")?.id + part.querySelector("summary").textContent;
  const order = (button) => button.closest("th").getAttribute("aria-sort");
  const controls = () => all("a, button, input, summary, audio, [tabindex]");
  const keep = () => sessionStorage.setItem("left", JSON.stringify({
    unfolded: all("details").filter((part) => part.open).map(name),
    filters: all("input[data-filter]").map((field) => field.value),
    sorted: all("button[data-sort]").map(order),
    scrolled: all(".wide").map((table) => table.scrollLeft),
    focus: controls().indexOf(document.activeElement),
  }));
  const left = JSON.parse(sessionStorage.getItem("left"));
  if (left) {
    for (const part of all("details")) part.open = left.unfolded.includes(name(part));
    all("input[data-filter]").forEach((field, at) => {
      field.value = left.filters[at] ?? "";
      field.dispatchEvent(new Event("input"));
    });
    all("button[data-sort]").forEach((button, at) => {
      // The first click sorts upwards, the second downwards.
      while (left.sorted[at] && order(button) !== left.sorted[at]) button.click();
    });
    all(".wide").forEach((table, at) => { table.scrollLeft = left.scrolled[at] ?? 0; });
    controls()[left.focus]?.focus({ preventScroll: true });
  }
  const { state } = document.querySelector("[data-state]").dataset;
  const title = document.title;
  const watched = (words) => {
    const status = document.querySelector("[data-state] [role=status]");
    // Said once, not every time.
    if (status.textContent !== words) status.textContent = words;
    document.title = words ? `${title} (no longer watched)` : title;
  };
  // The page is made on the machine that trains, which has better to do.
  const [{ requestStart, responseEnd }] = performance.getEntriesByType("navigation");
  const soonest = 20 * (responseEnd - requestStart);
  const look = async () => {
    try {
      const now = await (await fetch("/state")).text();
      watched("");
      // Whoever listens or types is not interrupted.
      const busy = document.activeElement?.matches("input") || all("audio").some((sound) => !sound.paused);
      if (now !== state && !busy && performance.now() > soonest) {
        // An error, which comes again until it is none, leaves what a reader left of the page before it.
        if (state !== "error") keep();
        location.reload();
        return;
      }
    } catch {
      watched("The run is no longer watched: this is how it stood.");
    }
    setTimeout(look, 2000);
  };
  // Not sooner: training always has something new.
  setTimeout(look, 2000);
}
