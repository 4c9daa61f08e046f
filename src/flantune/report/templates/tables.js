// Tables: sorted by a click on a heading, copied as CSV or Markdown; folded parts are open in print.
(() => {
  const { by, all, make } = page;
  const say = (text) => { by("said").textContent = text; };
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
  for (const table of all("table.sortable")) {
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
    try { await navigator.clipboard.writeText(text); return true; } catch { /* fallback below */ }
    const area = make("textarea", "hidden");
    area.value = text;
    document.body.append(area);
    area.select();
    const isDone = document.execCommand("copy");
    area.remove();
    return isDone;
  };
  for (const button of all("[data-copy]")) {
    const words = button.textContent;
    button.addEventListener("click", async () => {
      const table = button.closest(".table-block").querySelector("table");
      const isDone = await copy(button.dataset.copy === "csv" ? csv(table) : markdown(table));
      button.textContent = isDone ? "Copied" : "Copying is not allowed here";
      say(button.textContent);
      setTimeout(() => { button.textContent = words; }, 1600);
    });
  }
  for (const one of all(".scroll")) one.addEventListener("scroll", () => one.classList.toggle("moved", one.scrollLeft > 0), { passive: true });
  addEventListener("beforeprint", () => all("details").forEach((d) => { d.dataset.was = d.open; d.open = true; }));
  addEventListener("afterprint", () => all("details").forEach((d) => { d.open = d.dataset.was === "true"; }));
})();
