// Single prompts: each model's answer, and how it was read.
(() => {
  const { by, make } = page;
  const data = by("data-samples");
  if (!data) return;
  const groups = JSON.parse(data.textContent).groups;
  const fill = (select, pairs) => {
    const before = select.value;
    select.replaceChildren(...pairs.map(([key, text]) => { const option = make("option", "", text); option.value = key; return option; }));
    if (pairs.some(([key]) => String(key) === before)) select.value = before;
  };
  const unique = (values) => [...new Set(values)];
  const block = (text) => { const pre = make("pre", "text", text === "" ? "(nothing)" : text); pre.dir = "auto"; pre.tabIndex = 0; return pre; };
  const best = (bars) => bars.reduce((top, bar, k) => bar[0] > bars[top][0] ? k : top, 0);
  const shots = (count) => count ? `${count}-shot` : "zero-shot";
  const meta = (...parts) => { const line = make("p", "meta"); line.append(...parts.map((part) => typeof part === "string" ? make("span", "", part) : part)); return line; };

  // A bar of an option's probability among all options, and its score in nats.
  const scoreLine = (label, tone, [nats, probability], isChosen) => {
    const line = make("div", `score ${tone}${isChosen ? " chosen" : ""}`), track = make("span", "track"), bar = make("i");
    bar.style.width = `${probability * 100}%`;
    track.append(bar);
    line.append(make("span", "", label), track, make("span", "n", `${(probability * 100).toFixed(1)}%`), make("span", "n nats", nats.toFixed(2).replace(/^-(0\.00)$/, "$1").replace("-", "−")));
    return line;
  };
  // A row's options; score gives the lines below each.
  const options = (row, score, longest) => {
    const list = make("ul", "options");
    list.style.setProperty("--label", `${Math.min(longest + 1, 16)}ch`);
    row.o.forEach((text, k) => {
      const item = make("li", k === row.g ? "option gold" : "option"), name = make("div", "name");
      name.append(make("bdi", "", text));
      if (k === row.g) name.append(make("span", "gold-mark", "gold"));
      item.append(name, ...score(k));
      list.append(item);
    });
    return list;
  };
  const references = (row) => [make("h4", "", row.f.length > 1 ? "References" : "Reference"), block(row.f.join("\n"))];

  const folded = (title, ...inside) => { const details = make("details", "fold"); details.append(make("summary", "", title), ...inside); return details; };

  // ---- names and counts of a group's outcomes
  const words = ({ models, totals }) => "fixed" in totals
    ? { fixed: "wrong → right", broken: "right → wrong", right: "right in both", wrong: "wrong in both" }
    : models.length > 1 ? { mixed: "right for some models", wrong: "wrong for all models", right: "right for all models" }
      : { wrong: "wrong", right: "right" };
  const number = (value) => value.toLocaleString("en");
  const totals = (group) => {
    const each = "fixed" in group.totals
      ? Object.entries(words(group)).map(([key, text]) => `${text} ${number(group.totals[key])}`).join(" · ")
      : `right: ${group.models.map((model, k) => `${model} ${number(group.right[k])}`).join(", ")}`;
    return `All ${number(group.total)} measured prompts: ${each}. Shown here: ${number(group.rows.length)}.`;
  };

  // ---- one prompt
  const tone = (k) => k ? "tuned" : "base";
  const read = (row, answer) => {
    const facts = [make("span", `outcome ${answer.k ? "fixed" : "broken"}`, answer.k ? "right" : "wrong")];
    const said = row.o ? row.o[best(answer.b)].trim() : answer.a === undefined ? answer.p : answer.a;
    const understood = make("span", "", said === null ? "no answer was found in the text" : "understood as ");
    if (said !== null) understood.append(make("bdi", "", `“${said}”`));
    if (row.o || answer.a !== undefined) facts.push(understood);
    if (answer.l) facts.push(`rule: ${answer.l}`);
    if (answer.v !== undefined) facts.push(`${(answer.v * 100).toFixed(0)}% of ${answer.d.length} answers agree`);
    return facts;
  };
  const answered = (row, group) => row.m.flatMap((answer, k) => {
    const drawn = answer.d ? [folded(`All ${answer.d.length} answers sampled`, ...answer.d.map(block))] : [];
    const facts = read(row, answer);
    if (row.o) return [meta(make("b", `${tone(k)}-text`, group.models[k]), ...facts), ...drawn];
    return [make("h4", "", `${group.models[k]} wrote`), meta(...facts), block(answer.p), ...drawn];
  });
  const draw = (row, group) => {
    const parts = [meta(make("span", `outcome ${row.c}`, words(group)[row.c]), `row ${row.r}`, `template ${row.t}`, shots(row.s)), make("h4", "", "Prompt")];
    if (group.prefix) parts.push(folded("What comes before every prompt shown here", block(group.prefix)));
    parts.push(block(row.x));
    if (!row.o) return [...parts, ...references(row), ...answered(row, group)];
    const chosen = row.m.map((answer) => best(answer.b));
    const score = (k) => row.m.map((answer, m) => scoreLine(group.models[m], tone(m), answer.b[k], k === chosen[m]));
    parts.push(make("h4", "", "Options: probability among them, and the score they are ranked by, in nats"), options(row, score, Math.max(...group.models.map((name) => name.length))));
    return [...parts, make("h4", "", "Answers"), ...answered(row, group)];
  };

  // ---- choosing a prompt
  const task = by("b-task"), template = by("b-template"), exemplars = by("b-shots"), outcome = by("b-outcome");
  const hasFolds = unique(groups.map((group) => group.fold)).length > 1;
  let rows = [], place = 0;
  const group = () => groups[Number(task.value)];
  const isWanted = (row) => outcome.value === "all" || row.c === outcome.value || (outcome.value === "changed" && (row.c === "fixed" || row.c === "broken"));
  const fits = (row) => row.t === template.value && String(row.s) === exemplars.value && isWanted(row);
  const show = () => {
    by("b-place").textContent = rows.length ? `${place + 1} of ${rows.length}` : "none";
    by("b-previous").disabled = by("b-next").disabled = rows.length < 2;
    by("b-disk").textContent = `All samples: ${group().paths.join(" and ")}`;
    by("b-sample").replaceChildren(...(rows.length ? draw(rows[place], group()) : [make("p", "meta", "No prompt shown here has this outcome.")]));
  };
  const choose = () => { rows = group().rows.filter(fits); place = 0; show(); };
  const start = () => {
    const one = group(), counts = unique(one.rows.map((row) => row.s)).sort((a, b) => a - b), names = unique(one.rows.map((row) => row.t));
    fill(template, names.map((name) => [name, name]));
    fill(exemplars, counts.map((count) => [count, shots(count)]));
    fill(outcome, [["all", "all"], ...("fixed" in one.totals ? [["changed", "changed either way"]] : []), ...Object.entries(words(one))]);
    by("b-template-label").hidden = names.length < 2;
    by("b-shots-label").hidden = counts.length < 2;
    by("b-totals").textContent = totals(one);
    choose();
  };
  const step = (by_) => { if (rows.length) { place = (place + by_ + rows.length) % rows.length; show(); } };
  fill(task, groups.map((one, k) => [k, hasFolds ? `${one.task} (fold ${one.fold})` : one.task]));
  task.addEventListener("change", start);
  for (const select of [template, exemplars, outcome]) select.addEventListener("change", choose);
  by("b-previous").addEventListener("click", () => step(-1));
  by("b-next").addEventListener("click", () => step(1));
  by("browser").addEventListener("keydown", (event) => {
    if (event.target.closest("select, .text")) return;
    if (event.key === "ArrowLeft") step(-1);
    if (event.key === "ArrowRight") step(1);
  });
  by("browser").hidden = false;
  start();
})();
