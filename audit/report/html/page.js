"use strict";
// Shows a page of the results at a time: 10,000 rows at once would take a browser seconds to lay out. Texts of the
// target reach the page as text alone (textContent), and the page's policy refuses markup made of strings.
(() => {
  const ROWS_AT_ONCE = 50;
  const TYPING_MS = 120;
  const [OUTCOME, SEVERITY, CHECK, SUBJECT, PLACE, REASON, COMMAND, FACTS, CURVES] = Array(9).keys();
  const byId = (id) => document.getElementById(id);
  const told = byId("told");

  async function copy(button) {
    const block = button.parentElement.querySelector("pre");
    let isCopied = true;
    try {
      await navigator.clipboard.writeText(block.textContent);
    } catch {
      // Not every browser lets a local file write to the clipboard; what is selected can be copied by hand.
      getSelection().selectAllChildren(block);
      isCopied = document.execCommand("copy");
    }
    button.textContent = isCopied ? "Copied" : "Selected";
    told.textContent = isCopied ? "Copied" : "Selected; copy it with the keyboard";
    setTimeout(() => {
      button.textContent = "Copy";
      told.textContent = "";
    }, 2000);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button.copy");
    if (button) copy(button);
  });
  for (const button of document.querySelectorAll("button.copy")) button.hidden = false;

  const source = byId("data");
  if (source) showResults(JSON.parse(source.textContent));
  document.documentElement.dataset.openedMs = performance.now().toFixed(1);

  function showResults({ texts, rows }) {
    const form = byId("filters");
    const list = byId("list");
    const count = byId("count");
    const template = byId("row").content.firstElementChild;
    template.querySelector("button.copy").hidden = false;
    const total = rows.length.toLocaleString("en");
    let lowered = null;
    let matching = [];
    let page = 0;

    function fill(details, row) {
      details.querySelector(".whole").textContent = texts[row[REASON]];
      details.querySelector("code").textContent = texts[row[COMMAND]];
      const facts = details.querySelector(".facts");
      for (let at = 0; at < row[FACTS].length; at += 2) {
        const pair = document.createElement("div");
        for (const [place, name] of ["dt", "dd"].entries()) {
          const part = document.createElement(name);
          part.textContent = texts[row[FACTS][at + place]];
          pair.append(part);
        }
        facts.append(pair);
      }
      const curves = details.querySelector(".curves");
      for (const name of row[CURVES]) curves.append(byId(texts[name]).content.cloneNode(true));
    }

    function rowOf(row) {
      const item = template.cloneNode(true);
      const parts = { check: CHECK, subject: SUBJECT, severity: SEVERITY, place: PLACE, reason: REASON };
      for (const [name, column] of Object.entries(parts)) {
        item.querySelector(`.${name}`).textContent = texts[row[column]];
      }
      const outcome = item.querySelector(".outcome");
      outcome.textContent = texts[row[OUTCOME]].replaceAll("_", " ");
      outcome.classList.add(texts[row[OUTCOME]]);
      item.firstElementChild.addEventListener("toggle", (event) => fill(event.target, row), { once: true });
      return item;
    }

    // A text that stands in many rows is looked at once.
    function saying(words) {
      lowered ??= texts.map((each) => each.toLowerCase());
      const found = words.map((word) => lowered.map((each) => each.includes(word)));
      return (row) =>
        found.every((hit) => row.some((cell, column) => (column >= FACTS ? cell.some((at) => hit[at]) : hit[cell])));
    }

    function filtered() {
      const given = new FormData(form);
      const outcomes = new Set(given.getAll("filter"));
      const [area, severity] = [given.get("area"), given.get("severity")];
      const words = given.get("q").toLowerCase().split(/\s+/).filter(Boolean);
      const says = words.length ? saying(words) : () => true;
      return rows.filter(
        (row) =>
          outcomes.has(texts[row[OUTCOME]]) &&
          (!area || texts[row[CHECK]].startsWith(`${area}.`)) &&
          (!severity || texts[row[SEVERITY]] === severity) &&
          says(row),
      );
    }

    function show() {
      const pages = Math.max(1, Math.ceil(matching.length / ROWS_AT_ONCE));
      page = Math.min(Math.max(page, 0), pages - 1);
      const first = page * ROWS_AT_ONCE;
      const some = matching.slice(first, first + ROWS_AT_ONCE);
      list.replaceChildren(...some.map(rowOf));
      const found = matching.length.toLocaleString("en");
      const span = some.length ? `, ${first + 1} to ${first + some.length} shown` : "";
      count.textContent = `${found} of ${total} results${span}`;
      byId("page").textContent = `Page ${page + 1} of ${pages}`;
      byId("pages").hidden = pages === 1;
      byId("previous").disabled = page === 0;
      byId("next").disabled = page === pages - 1;
    }

    function remember() {
      const given = new FormData(form);
      const state = new URLSearchParams();
      const outcomes = given.getAll("filter");
      if (outcomes.length < form.elements.filter.length) state.set("filter", outcomes.join(","));
      for (const name of ["area", "severity", "q"]) if (given.get(name)) state.set(name, given.get(name));
      if (page) state.set("page", page + 1);
      try {
        history.replaceState(null, "", `#${state}`);
      } catch {
        // A page that is shown inside another may not change its address; it works without.
      }
    }

    function refresh() {
      const start = performance.now();
      matching = filtered();
      show();
      document.documentElement.dataset.filteredMs = (performance.now() - start).toFixed(1);
    }

    // `#filter=failed,error&area=smoke&severity=critical&q=mask&page=2`; any of them may be missing.
    function recall() {
      const state = new URLSearchParams(location.hash.slice(1));
      if (!["filter", "area", "severity", "q", "page"].some((name) => state.has(name))) return false;
      form.reset();
      if (state.has("filter")) {
        const outcomes = state.get("filter").split(",");
        for (const box of form.elements.filter) box.checked = outcomes.includes(box.value);
      }
      for (const name of ["area", "severity"]) {
        const isKnown = [...form.elements[name].options].some((each) => each.value === state.get(name));
        if (isKnown) form.elements[name].value = state.get(name);
      }
      form.elements.q.value = state.get("q") ?? "";
      page = (Number.parseInt(state.get("page"), 10) || 1) - 1;
      return true;
    }

    function changed() {
      page = 0;
      refresh();
      remember();
    }

    function turn(step) {
      page += step;
      show();
      remember();
      count.focus({ preventScroll: true });
      count.scrollIntoView();
    }

    let typing = 0;
    form.addEventListener("input", (event) => {
      clearTimeout(typing);
      if (event.target.name === "q") typing = setTimeout(changed, TYPING_MS);
      else changed();
    });
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      changed();
    });
    // Not the form's own event, which `recall` causes too.
    form.querySelector("button[type=reset]").addEventListener("click", (event) => {
      event.preventDefault();
      form.reset();
      changed();
    });
    byId("previous").addEventListener("click", () => turn(-1));
    byId("next").addEventListener("click", () => turn(1));
    addEventListener("hashchange", () => {
      if (recall()) {
        refresh();
        byId("results").scrollIntoView();
      }
    });

    form.hidden = false;
    document.querySelector(".later")?.remove();
    const isAsked = recall();
    refresh();
    if (isAsked) byId("results").scrollIntoView();
  }
})();
