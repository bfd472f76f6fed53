"use strict";
(() => {
  const root = document.documentElement, main = document.querySelector("main");
  const [search, found, theme, nothing] = ["search", "found", "theme", "nothing"].map((id) => document.getElementById(id));
  const boxes = [...main.querySelectorAll("details")];

  // The colours: what was chosen is kept where the browser lets a page keep something.
  const themes = ["auto", "light", "dark"];
  const show = (name) => {
    theme.textContent = name;
    theme.setAttribute("aria-label", `Colours: ${name}`);
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

  // What is open is remembered while a search or a printer opens more of it.
  let before = null;
  const opened = () => { before ??= boxes.map((box) => box.open); };
  const restored = () => { before?.forEach((open, at) => { boxes[at].open = open; }); before = null; };

  // The search: an item (data-s) stays that has all the words, with what it lies in (data-c); what is for whoever reads
  // all of it (data-w) goes.
  const items = [...main.querySelectorAll("[data-s]")];
  const texts = new Map(items.map((item) => [item, item.textContent.toLowerCase().replace(/\s+/g, " ")]));
  const holders = [...main.querySelectorAll("[data-c]")], whole = [...main.querySelectorAll("[data-w]")];
  const seen = "[data-s]:not([hidden])";
  let hits = [], next = 0;
  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean), searching = words.length > 0;
    for (const item of items) item.hidden = !words.every((word) => texts.get(item).includes(word));
    for (const holder of holders) holder.hidden = searching && !holder.querySelector(seen) && !holder.parentElement.closest(seen);
    for (const part of whole) part.hidden = searching;
    if (searching) {
      opened();
      for (const box of boxes) box.open = box.matches(".matrix, .tree details, .values details");
    } else restored();
    hits = searching ? items.filter((item) => !item.hidden && !item.querySelector(seen)) : [];
    next = 0;
    nothing.hidden = !searching || hits.length > 0;
    found.textContent = searching ? `${hits.length} found` : "";
    mark(words);
  };
  const mark = (words) => {
    if (!CSS.highlights) return;
    const ranges = [];
    for (const hit of hits) {
      const walker = document.createTreeWalker(hit, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) for (const word of words) {
        const text = node.data.toLowerCase();
        for (let at = text.indexOf(word); at >= 0 && text.length === node.data.length; at = text.indexOf(word, at + word.length)) {
          const range = new Range();
          range.setStart(node, at);
          range.setEnd(node, at + word.length);
          ranges.push(range);
        }
      }
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  };
  const clear = () => { if (search.value) { search.value = ""; filter(); } };
  search.addEventListener("input", filter);

  // The keyboard: / searches, Enter goes from hit to hit, Escape ends it; arrows move among the names of a matrix, which
  // are one stop for Tab.
  for (const names of main.querySelectorAll(".chips")) [...names.querySelectorAll("a")].forEach((name, at) => { if (at) name.tabIndex = -1; });
  document.addEventListener("keydown", (event) => {
    const at = document.activeElement;
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "/" && at !== search) { event.preventDefault(); search.focus(); }
    else if (at === search && event.key === "Escape") clear();
    else if (at === search && event.key === "Enter" && hits.length) hits[next++ % hits.length].scrollIntoView({ block: "center" });
    else if (at?.matches(".chip") && /^(Arrow|Home$|End$)/.test(event.key)) {
      const names = [...at.closest(".chips").querySelectorAll(`${seen} > a`)], last = names.length - 1, here = names.indexOf(at);
      const to = { Home: 0, End: last, ArrowLeft: here - 1, ArrowUp: here - 1 }[event.key] ?? here + 1;
      event.preventDefault();
      at.tabIndex = -1;
      const goal = names[Math.min(Math.max(to, 0), last)];
      goal.tabIndex = 0;
      goal.focus();
    }
  });

  // Whoever follows a link wants to see what it leads to, whatever is searched for or closed.
  const reveal = () => {
    const goal = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!goal || !main.contains(goal)) return;
    clear();
    for (let box = goal.closest("details"); box; box = box.parentElement.closest("details")) box.open = true;
    goal.scrollIntoView();
    goal.querySelector(":scope > summary")?.focus({ preventScroll: true });
  };
  window.addEventListener("hashchange", reveal);
  reveal();

  window.addEventListener("beforeprint", () => { opened(); for (const box of boxes) box.open = true; });
  window.addEventListener("afterprint", () => { if (!search.value) restored(); });

  // The contents say where one is.
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const watcher = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) links.get(target.id).setAttribute("aria-current", "true"); else links.get(target.id).removeAttribute("aria-current");
    }
  }, { rootMargin: "-20% 0px -75% 0px" });
  for (const id of links.keys()) watcher.observe(document.getElementById(id));
})();
