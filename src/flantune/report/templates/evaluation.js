// The question browser of an evaluation: every text goes in as text, never as markup.
(() => {
  "use strict";
  const by = (id) => document.getElementById(id);
  const data = by("data-answers");
  if (!data) return;
  const make = (tag, classes = "", text = "") => {
    const node = document.createElement(tag);
    if (classes) node.className = classes;
    if (text) node.textContent = text;
    return node;
  };
  const groups = JSON.parse(data.textContent).groups;
  const task = by("b-task"), template = by("b-template"), outcome = by("b-outcome");
  let rows = [], place = 0;
  const group = () => groups[Number(task.value)];
  const unique = (values) => [...new Set(values)];
  const words = (here) => here.models.length > 1
    ? { right: "right for all models", mixed: "right for some models", wrong: "wrong for all models" }
    : { right: "right", wrong: "wrong" };
  const fill = (select, pairs) => {
    const before = select.value;
    select.replaceChildren(...pairs.map(([key, text]) => { const option = make("option", "", text); option.value = key; return option; }));
    if (pairs.some(([key]) => String(key) === before)) select.value = before;
  };
  const block = (text) => { const pre = make("pre", "text", text === "" ? "(nothing)" : text); pre.dir = "auto"; pre.tabIndex = 0; return pre; };
  const folded = (title, ...inside) => { const details = make("details", "fold"); details.append(make("summary", "", title), ...inside); return details; };
  const best = (bars) => bars.reduce((top, bar, k) => bar[0] > bars[top][0] ? k : top, 0);

  const scoreLine = ([score, probability], isChosen) => {
    const line = make("div", `score tuned${isChosen ? " chosen" : ""}`), track = make("span", "track"), bar = make("i");
    bar.style.width = `${probability * 100}%`;
    track.append(bar);
    line.append(make("span", "", isChosen ? "chosen" : ""), track, make("span", "n", `${(probability * 100).toFixed(1)}%`), make("span", "n nats", score.toFixed(2).replace("-", "−")));
    return line;
  };
  const options = (row, answer) => {
    const list = make("ul", "options"), chosen = best(answer.b);
    row.o.forEach((text, k) => {
      const item = make("li", k === row.g ? "option gold" : "option"), name = make("div", "name");
      name.append(make("bdi", "", text));
      if (k === row.g) name.append(make("span", "gold-mark", "gold"));
      item.append(name, scoreLine(answer.b[k], k === chosen));
      list.append(item);
    });
    return list;
  };
  const answered = (row, answer, model) => {
    const head = make("h4", "", model), meta = make("p", "meta");
    meta.append(make("span", `outcome ${answer.k ? "fixed" : "broken"}`, answer.k ? "right" : "wrong"));
    const said = make("span", "", answer.a === null ? "no answer was found in the text" : "understood as ");
    if (answer.a !== null) said.append(make("bdi", "", `“${answer.a}”`));
    meta.append(said);
    if (answer.l) meta.append(make("span", "", `rule: ${answer.l}`));
    if (answer.v !== undefined) meta.append(make("span", "", `${(answer.v * 100).toFixed(0)}% of ${answer.d.length} answers agree`));
    const parts = [head, meta, row.o ? options(row, answer) : block(answer.p)];
    if (answer.d) parts.push(folded(`All ${answer.d.length} answers drawn`, ...answer.d.map(block)));
    return parts;
  };
  const draw = () => {
    const sample = by("b-sample"), here = group();
    by("b-place").textContent = rows.length ? `${place + 1} of ${rows.length}` : "none";
    by("b-previous").disabled = by("b-next").disabled = rows.length < 2;
    by("b-disk").textContent = `All samples: ${here.paths.join(" and ")}`;
    if (!rows.length) { sample.replaceChildren(make("p", "meta", "No question shown here has this outcome.")); return; }
    const row = rows[place], meta = make("p", "meta");
    meta.append(make("span", "outcome", words(here)[row.c]), make("span", "", `row ${row.r}`), make("span", "", `template ${row.t}`), make("span", "", row.s ? `${row.s}-shot` : "zero-shot"));
    const parts = [meta, make("h4", "", "Prompt")];
    if (here.prefix) parts.push(folded("What stands before every question shown here", block(here.prefix)));
    parts.push(block(row.x));
    if (row.o) parts.push(make("p", "meta", "Options: probability among them, and the score they are ranked by (in nats)"));
    else parts.push(make("h4", "", row.f.length > 1 ? "References" : "Reference"), block(row.f.join("\n")));
    here.models.forEach((model, k) => parts.push(...answered(row, row.m[k], model)));
    sample.replaceChildren(...parts);
  };
  const choose = () => {
    rows = group().rows.filter((r) => r.t === template.value && (outcome.value === "all" || r.c === outcome.value));
    place = 0;
    draw();
  };
  const enter = () => {
    const here = group(), names = unique(here.rows.map((r) => r.t));
    fill(template, names.map((name) => [name, name]));
    by("b-template-label").hidden = names.length < 2;
    fill(outcome, [["all", "all"], ...Object.entries(words(here))]);
    const counts = here.models.map((model, k) => `${model} ${here.totals[k].toLocaleString("en")}`).join(", ");
    by("b-totals").textContent = `Right, of all ${here.total.toLocaleString("en")} prompts: ${counts}. Shown here: ${here.rows.length.toLocaleString("en")}.`;
    choose();
  };
  const step = (by_) => { if (rows.length) { place = (place + by_ + rows.length) % rows.length; draw(); } };
  fill(task, groups.map((g, k) => [k, g.task]));
  task.addEventListener("change", enter);
  for (const select of [template, outcome]) select.addEventListener("change", choose);
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
