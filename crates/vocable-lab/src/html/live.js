// A run under way: the page comes again when something has happened, with the same parts unfolded and at the same place.
{
  const parts = () => [...document.querySelectorAll("details")];
  const before = JSON.parse(sessionStorage.getItem("unfolded") ?? "[]");
  for (const part of parts()) {
    part.open = before.includes(part.closest("section")?.id + part.querySelector("summary").textContent);
  }
  const keep = () => sessionStorage.setItem("unfolded", JSON.stringify(
    parts().filter((part) => part.open).map((part) => part.closest("section")?.id + part.querySelector("summary").textContent)));
  let state = null;
  const look = async () => {
    try {
      const now = await (await fetch("/state")).text();
      // Whoever listens is not interrupted.
      const listening = [...document.querySelectorAll("audio")].some((sound) => !sound.paused);
      if (state !== null && now !== state && !listening) {
        keep();
        location.reload();
        return;
      }
      if (state === null) state = now;
    } catch {
      document.title = "Results (the run is no longer watched)";
    }
    setTimeout(look, 2000);
  };
  look();
}
