"use strict";
(() => {
  const root = document.documentElement, main = document.querySelector("main");
  const search = document.getElementById("search"), found = document.getElementById("found");
  const theme = document.getElementById("theme"), nothing = document.getElementById("nothing");

  // The colours: what was chosen is kept where the browser lets a page keep something.
  const themes = ["auto", "light", "dark"];
  const show = (name) => {
    theme.textContent = name;
    if (name === "auto") root.removeAttribute("data-theme"); else root.dataset.theme = name;
  };
  const kept = { get: () => { try { return localStorage.getItem("theme"); } catch { return null; } },
                 set: (name) => { try { localStorage.setItem("theme", name); } catch { /* only for now */ } } };
  show(themes.includes(kept.get()) ? kept.get() : "auto");
  theme.addEventListener("click", () => {
    const next = themes[(themes.indexOf(theme.textContent) + 1) % themes.length];
    show(next);
    kept.set(next);
  });

  // The search: an item stays that has all the words, with what it lies in; details are opened for it.
  const items = [...main.querySelectorAll("[data-s]")];
  const texts = new Map(items.map((item) => [item, item.textContent.toLowerCase().replace(/\s+/g, " ")]));
  const boxes = [...main.querySelectorAll("details")], opened = new Map(boxes.map((box) => [box, box.open]));
  const blocks = [...main.querySelectorAll("section, section h3, section .note, .matrix, .values, .tree, .answers, .scroll, .stack svg, .hero .tiles")];
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const block of blocks) block.hidden = false;
    const hits = items.filter((item) => words.every((word) => texts.get(item).includes(word)));
    const shown = new Set(hits);
    for (const item of items) item.hidden = !shown.has(item);
    for (const box of boxes) box.open = words.length ? box.matches("[data-s] > details, .matrix") && !box.closest(".answers") : opened.get(box);
    if (words.length) {
      for (const block of blocks) {
        if (block.matches("section:not(.hero), .matrix, .values, .tree, .answers, .scroll")) block.hidden = !block.querySelector("[data-s]:not([hidden])") && !block.closest("[data-s]:not([hidden])");
        else if (!block.matches("section, h3")) block.hidden = true;
      }
      for (const head of main.querySelectorAll("h3")) {
        let next = head.nextElementSibling, some = false;
        for (; next && next.tagName !== "H3"; next = next.nextElementSibling) some ||= !next.hidden && !!next.querySelector("[data-s]:not([hidden])");
        head.hidden = !some;
      }
    }
    nothing.hidden = !words.length || hits.length > 0;
    const own = hits.filter((item) => !item.querySelector("[data-s]:not([hidden])"));
    found.textContent = words.length ? `${own.length} found` : "";
  };
  search.addEventListener("input", filter);
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && document.activeElement !== search) { event.preventDefault(); search.focus(); }
    if (event.key === "Escape" && document.activeElement === search) { search.value = ""; filter(); }
  });
  // Whoever follows a link to a value wants to see it, whatever is searched for.
  window.addEventListener("hashchange", () => { if (search.value) { search.value = ""; filter(); document.getElementById(location.hash.slice(1))?.scrollIntoView(); } });
})();
