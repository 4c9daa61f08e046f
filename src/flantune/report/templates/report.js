// Text from data sets reaches the page through textContent only: never as markup.
"use strict";
(() => {
  const by = (id) => document.getElementById(id);
  const make = (tag, className, text) => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  const say = (text) => { by("said").textContent = text; };

  // ---- light and dark
  const root = document.documentElement, scheme = by("scheme");
  const preferred = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.scheme || (preferred.matches ? "dark" : "light")) === "dark";
  const showScheme = () => { scheme.textContent = isDark() ? "Light" : "Dark"; scheme.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colors`); };
  try { const kept = localStorage.getItem("flantune-scheme"); if (kept === "dark" || kept === "light") root.dataset.scheme = kept; } catch { /* no storage on this page: nothing is kept */ }
  if (location.hash === "#dark" || location.hash === "#light") root.dataset.scheme = location.hash.slice(1);
  scheme.hidden = false;
  scheme.addEventListener("click", () => {
    root.dataset.scheme = isDark() ? "light" : "dark";
    try { localStorage.setItem("flantune-scheme", root.dataset.scheme); } catch { /* not kept */ }
    showScheme();
  });
  preferred.addEventListener("change", showScheme);
  showScheme();

  // ---- where the reader is
  const links = new Map([...document.querySelectorAll(".contents a")].map((a) => [a.hash.slice(1), a]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((a) => a.removeAttribute("aria-current"));
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-10% 0px -80% 0px" });
  links.forEach((_, id) => { const part = by(id); if (part) seen.observe(part); });

  // ---- tables: sort and copy
  const value = (row, k) => {
    const raw = row.cells[k].dataset.v ?? row.cells[k].textContent;
    return raw !== "" && !Number.isNaN(Number(raw)) ? Number(raw) : raw;
  };
  const compare = (a, b) => typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true });
  const sortBy = (table, k, heading) => {
    const isDown = heading.getAttribute("aria-sort") === "descending" || (heading.getAttribute("aria-sort") === "none" && !heading.classList.contains("num"));
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", isDown ? "ascending" : "descending");
    const body = table.tBodies[0], sign = isDown ? 1 : -1;
    const rows = [...body.rows].map((row) => [value(row, k), row]);
    rows.sort(([a], [b]) => a === "" ? (b === "" ? 0 : 1) : b === "" ? -1 : sign * compare(a, b));
    body.append(...rows.map(([, row]) => row));
    say(`Sorted by ${heading.textContent}, ${isDown ? "ascending" : "descending"}`);
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((heading, k) => heading.querySelector("button").addEventListener("click", () => sortBy(table, k, heading)));
  }
  const lines = (table, pick) => [...table.rows].map((row) => [...row.cells].map(pick));
  const csv = (table) => lines(table, (cell) => cell.dataset.v ?? cell.textContent.trim())
    .map((cells) => cells.map((text) => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text).join(",")).join("\n");
  const markdown = (table) => {
    const [head, ...rest] = lines(table, (cell) => cell.textContent.trim().replaceAll("|", "\\|").replaceAll("\n", " "));
    const rule = [...table.tHead.rows[0].cells].map((cell) => cell.classList.contains("num") ? "---:" : ":---");
    return [head, rule, ...rest].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  };
  const copy = async (text) => {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* older way below */ }
    const area = make("textarea", "hidden");
    area.value = text;
    document.body.append(area);
    area.select();
    const isDone = document.execCommand("copy");
    area.remove();
    return isDone;
  };
  for (const button of document.querySelectorAll("[data-copy]")) {
    const words = button.textContent;
    button.addEventListener("click", async () => {
      const table = button.closest(".table-block").querySelector("table");
      const isDone = await copy(button.dataset.copy === "csv" ? csv(table) : markdown(table));
      button.textContent = isDone ? "Copied" : "Copying is not allowed here";
      say(button.textContent);
      setTimeout(() => { button.textContent = words; }, 1600);
    });
  }
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.dataset.was = d.open; d.open = true; }));
  addEventListener("afterprint", () => document.querySelectorAll("details").forEach((d) => { d.open = d.dataset.was === "true"; }));

  // ---- single examples
  const data = by("data-samples");
  if (!data) return;
  const groups = JSON.parse(data.textContent).groups;
  const OUTCOMES = { fixed: "wrong → right", broken: "right → wrong", right: "right in both", wrong: "wrong in both" };
  const task = by("b-task"), template = by("b-template"), shots = by("b-shots"), outcome = by("b-outcome");
  let rows = [], place = 0;
  const fill = (select, pairs) => {
    const before = select.value;
    select.replaceChildren(...pairs.map(([key, text]) => { const option = make("option", "", text); option.value = key; return option; }));
    if (pairs.some(([key]) => String(key) === before)) select.value = before;
  };
  const unique = (values) => [...new Set(values)];
  const group = () => groups[Number(task.value)];
  const points = (p) => (p * 100).toFixed(1);

  const scoreLine = (label, [nats, probability], isChosen) => {
    const line = make("div", `score ${label}${isChosen ? " chosen" : ""}`);
    const track = make("span", "track"), bar = make("i");
    bar.style.width = `${probability * 100}%`;
    track.append(bar);
    line.append(make("span", "", label), track, make("span", "n", `${points(probability)}%`), make("span", "n nats", nats.toFixed(2).replace("-", "−")));
    return line;
  };
  const best = (bars) => bars.reduce((top, bar, k) => bar[0] > bars[top][0] ? k : top, 0);
  const options = (row) => {
    const list = make("ul", "options"), base = best(row.b), tuned = best(row.u);
    row.o.forEach((text, k) => {
      const item = make("li", k === row.g ? "option gold" : "option"), name = make("div", "name"), words = make("bdi", "", text);
      name.append(words);
      if (k === row.g) name.append(make("span", "gold-mark", "gold"));
      item.append(name, scoreLine("base", row.b[k], k === base), scoreLine("tuned", row.u[k], k === tuned));
      list.append(item);
    });
    return list;
  };
  const block = (text) => { const pre = make("pre", "text", text === "" ? "(nothing)" : text); pre.dir = "auto"; pre.tabIndex = 0; return pre; };
  const draw = () => {
    const sample = by("b-sample"), here = group();
    by("b-place").textContent = rows.length ? `${place + 1} of ${rows.length}` : "none";
    by("b-previous").disabled = by("b-next").disabled = rows.length < 2;
    if (!rows.length) { sample.replaceChildren(make("p", "meta", "No example shown here has this outcome.")); return; }
    const row = rows[place], meta = make("p", "meta");
    meta.append(make("span", `outcome ${row.c}`, OUTCOMES[row.c]), make("span", "", `row ${row.r}`), make("span", "", `template ${row.t}`), make("span", "", row.s ? `${row.s}-shot` : "zero-shot"));
    const parts = [meta, make("h4", "", "Prompt"), block(row.x)];
    if (row.o) parts.push(make("h4", "", "Options: probability among them, and log-likelihood in nats"), options(row));
    else {
      parts.push(make("h4", "", row.f.length > 1 ? "References" : "Reference"), block(row.f.join("\n")));
      parts.push(make("h4", "", "Base wrote"), block(row.p[0]), make("h4", "", "Tuned wrote"), block(row.p[1]));
    }
    sample.replaceChildren(...parts);
    by("b-disk").textContent = `All samples of this task: ${here.paths.join(" and ")}`;
  };
  const choose = () => {
    const here = group();
    rows = here.rows.filter((r) => r.t === template.value && String(r.s) === shots.value && (outcome.value === "all" || r.c === outcome.value || (outcome.value === "changed" && (r.c === "fixed" || r.c === "broken"))));
    place = 0;
    draw();
  };
  const enter = () => {
    const here = group();
    fill(template, unique(here.rows.map((r) => r.t)).map((t) => [t, t]));
    const counts = unique(here.rows.map((r) => r.s)).sort((a, b) => a - b);
    fill(shots, counts.map((s) => [s, s ? `${s}-shot` : "zero-shot"]));
    by("b-shots-label").hidden = counts.length < 2;
    const words = Object.entries(OUTCOMES).map(([key, text]) => `${text} ${here.totals[key].toLocaleString("en")}`).join(" · ");
    by("b-totals").textContent = `All ${here.total.toLocaleString("en")} measured prompts of this task: ${words}. Shown here: ${here.rows.length.toLocaleString("en")}.`;
    choose();
  };
  const step = (by_) => { if (rows.length) { place = (place + by_ + rows.length) % rows.length; draw(); } };
  const several = unique(groups.map((g) => g.fold)).length > 1;
  fill(task, groups.map((g, k) => [k, several ? `${g.task} (fold ${g.fold})` : g.task]));
  fill(outcome, [["all", "all"], ["changed", "changed either way"], ...Object.entries(OUTCOMES)]);
  task.addEventListener("change", enter);
  for (const select of [template, shots, outcome]) select.addEventListener("change", choose);
  by("b-previous").addEventListener("click", () => step(-1));
  by("b-next").addEventListener("click", () => step(1));
  by("browser").addEventListener("keydown", (event) => {
    if (event.target.closest("select, .text")) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  by("browser").hidden = false;
  enter();
})();
