// A run's single examples: what base and tuned model made of the same prompt.
(() => {
  const { by, make } = page, { fill, unique, block, best, shots, meta, scoreLine, options, references, browse } = samples;
  const data = by("data-samples");
  if (!data) return;
  const groups = JSON.parse(data.textContent).groups;
  const OUTCOMES = { fixed: "wrong → right", broken: "right → wrong", right: "right in both", wrong: "wrong in both" };
  const template = by("b-template"), exemplars = by("b-shots"), outcome = by("b-outcome");
  const hasFolds = unique(groups.map((g) => g.fold)).length > 1;
  fill(outcome, [["all", "all"], ["changed", "changed either way"], ...Object.entries(OUTCOMES)]);

  const enter = (group) => {
    fill(template, unique(group.rows.map((row) => row.t)).map((name) => [name, name]));
    const counts = unique(group.rows.map((row) => row.s)).sort((a, b) => a - b);
    fill(exemplars, counts.map((count) => [count, shots(count)]));
    by("b-shots-label").hidden = counts.length < 2;
    const words = Object.entries(OUTCOMES).map(([key, text]) => `${text} ${group.totals[key].toLocaleString("en")}`).join(" · ");
    by("b-totals").textContent = `All ${group.total.toLocaleString("en")} measured prompts of this task: ${words}. Shown here: ${group.rows.length.toLocaleString("en")}.`;
  };
  const hasOutcome = (row) => outcome.value === "all" || row.c === outcome.value || (outcome.value === "changed" && (row.c === "fixed" || row.c === "broken"));
  const fits = (row) => row.t === template.value && String(row.s) === exemplars.value && hasOutcome(row);
  const scored = (row) => {
    const base = best(row.b), tuned = best(row.u);
    return options(row, (k) => [scoreLine("base", "base", row.b[k], k === base), scoreLine("tuned", "tuned", row.u[k], k === tuned)]);
  };
  const draw = (row) => {
    const parts = [meta(make("span", `outcome ${row.c}`, OUTCOMES[row.c]), `row ${row.r}`, `template ${row.t}`, shots(row.s)), make("h4", "", "Prompt"), block(row.x)];
    if (row.o) return [...parts, make("h4", "", "Options: probability among them, and log-likelihood in nats"), scored(row)];
    return [...parts, ...references(row), make("h4", "", "Base wrote"), block(row.p[0]), make("h4", "", "Tuned wrote"), block(row.p[1])];
  };
  browse({
    groups, enter, fits, draw, selects: [template, exemplars, outcome],
    name: (group) => hasFolds ? `${group.task} (fold ${group.fold})` : group.task,
    none: "No example shown here has this outcome.", disk: "All samples of this task",
  });
})();
