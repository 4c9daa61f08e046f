// The browser of single samples: what a run's examples and an evaluation's questions share.
const samples = (() => {
  const { by, make } = page;
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
  const options = (row, score) => {
    const list = make("ul", "options");
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

  /* Runs the browser.
     groups: what there is to choose from; name(group): its words in the list.
     enter(group): fills the other lists and the totals; fits(row): whether the lists choose a row.
     draw(row, group): nodes that show a row; none: what stands where no row fits; disk: before the paths of a group. */
  const browse = ({ groups, name, selects, enter, fits, draw, none, disk }) => {
    const task = by("b-task");
    let rows = [], place = 0;
    const group = () => groups[Number(task.value)];
    const show = () => {
      by("b-place").textContent = rows.length ? `${place + 1} of ${rows.length}` : "none";
      by("b-previous").disabled = by("b-next").disabled = rows.length < 2;
      by("b-disk").textContent = `${disk}: ${group().paths.join(" and ")}`;
      by("b-sample").replaceChildren(...(rows.length ? draw(rows[place], group()) : [make("p", "meta", none)]));
    };
    const choose = () => { rows = group().rows.filter(fits); place = 0; show(); };
    const start = () => { enter(group()); choose(); };
    const step = (by_) => { if (rows.length) { place = (place + by_ + rows.length) % rows.length; show(); } };
    fill(task, groups.map((one, k) => [k, name(one)]));
    task.addEventListener("change", start);
    for (const select of selects) select.addEventListener("change", choose);
    by("b-previous").addEventListener("click", () => step(-1));
    by("b-next").addEventListener("click", () => step(1));
    by("browser").addEventListener("keydown", (event) => {
      if (event.target.closest("select, .text")) return;
      if (event.key === "ArrowLeft") step(-1);
      if (event.key === "ArrowRight") step(1);
    });
    by("browser").hidden = false;
    start();
  };
  return { fill, unique, block, best, shots, meta, scoreLine, options, references, browse };
})();
