// An evaluation's single questions: what each model answered, and how that was read.
(() => {
  const { by, make } = page, { fill, unique, block, best, shots, meta, scoreLine, options, references, browse } = samples;
  const data = by("data-answers");
  if (!data) return;
  const groups = JSON.parse(data.textContent).groups;
  const template = by("b-template"), outcome = by("b-outcome");
  const words = (group) => group.models.length > 1
    ? { right: "right for all models", mixed: "right for some models", wrong: "wrong for all models" }
    : { right: "right", wrong: "wrong" };
  const folded = (title, ...inside) => { const details = make("details", "fold"); details.append(make("summary", "", title), ...inside); return details; };

  const enter = (group) => {
    const names = unique(group.rows.map((row) => row.t));
    fill(template, names.map((name) => [name, name]));
    by("b-template-label").hidden = names.length < 2;
    fill(outcome, [["all", "all"], ...Object.entries(words(group))]);
    const counts = group.models.map((model, k) => `${model} ${group.totals[k].toLocaleString("en")}`).join(", ");
    by("b-totals").textContent = `Right, of all ${group.total.toLocaleString("en")} prompts: ${counts}. Shown here: ${group.rows.length.toLocaleString("en")}.`;
  };
  const fits = (row) => row.t === template.value && (outcome.value === "all" || row.c === outcome.value);
  const understood = (answer) => {
    const said = make("span", "", answer.a === null ? "no answer was found in the text" : "understood as ");
    if (answer.a !== null) said.append(make("bdi", "", `“${answer.a}”`));
    return said;
  };
  const answered = (row, answer, model) => {
    const facts = [make("span", `outcome ${answer.k ? "fixed" : "broken"}`, answer.k ? "right" : "wrong"), understood(answer)];
    if (answer.l) facts.push(`rule: ${answer.l}`);
    if (answer.v !== undefined) facts.push(`${(answer.v * 100).toFixed(0)}% of ${answer.d.length} answers agree`);
    const chosen = row.o ? best(answer.b) : -1;
    const shown = row.o ? options(row, (k) => [scoreLine(k === chosen ? "chosen" : "", "tuned", answer.b[k], k === chosen)]) : block(answer.p);
    const drawn = answer.d ? [folded(`All ${answer.d.length} answers drawn`, ...answer.d.map(block))] : [];
    return [make("h4", "", model), meta(...facts), shown, ...drawn];
  };
  const draw = (row, group) => {
    const parts = [meta(make("span", "outcome", words(group)[row.c]), `row ${row.r}`, `template ${row.t}`, shots(row.s)), make("h4", "", "Prompt")];
    if (group.prefix) parts.push(folded("What stands before every question shown here", block(group.prefix)));
    parts.push(block(row.x));
    if (row.o) parts.push(make("h4", "", "Options: probability among them, and the score they are ranked by, in nats"));
    else parts.push(...references(row));
    return [...parts, ...group.models.flatMap((model, k) => answered(row, row.m[k], model))];
  };
  browse({
    groups, enter, fits, draw, selects: [template, outcome], name: (group) => group.task,
    none: "No question shown here has this outcome.", disk: "All samples",
  });
})();
