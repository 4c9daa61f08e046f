// Searches the contents of the page. Text is only read from it, never written back as markup.
(() => {
  const { by, all } = page;
  const fragment = () => location.hash.slice(1);

  // ---- searchable texts
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/\s+/g, " ");
  const datasets = all(".dataset").map((node) => ({
    node,
    fold: node.querySelector("details"),
    hits: node.querySelector(".hits"),
    // Names are found as written and with spaces instead of underscores: "sentence order" finds sentence_order.
    // Without labels, which all datasets have, and kin, which are found by their own names.
    about: plain([node.dataset.name, node.dataset.name.replaceAll("_", " "), node.dataset.cluster, ...all("[data-find]", node).map((part) => part.textContent)].join(" ")),
    templates: all(".wording", node).map((item) => {
      const words = all(".words", item).map((part) => part.textContent).join(" ");
      return { node: item, text: plain(`${words} ${item.querySelector(".words").textContent.replaceAll("_", " ")} ${item.querySelector(".inverted") ? "inverted" : ""}`) };
    }),
    links: [],
  }));
  const byAnchor = new Map(datasets.map((found) => [found.node.id, found]));
  for (const link of all(".atlas li")) byAnchor.get(link.dataset.of)?.links.push(link);
  const sections = all(".cluster");
  const marksOf = (id) => all("[data-of]").filter((node) => node.dataset.of === id);
  const clusterMarks = new Map(sections.map((node) => [node.id, marksOf(node.id)]));
  const counts = all(".cluster h2 .count, .region .count").map((node) => ({ node, whole: node.textContent }));

  // ---- the search
  const query = by("query"), nothing = by("nothing"), unfold = by("unfold");
  const kinds = all('input[name="kind"]');
  const kind = () => kinds.find((radio) => radio.checked).value;
  const split = (text) => [...plain(text).matchAll(/["“”„]([^"“”„]+)["“”„]?|(\S+)/g)].map((m) => (m[1] ?? m[2]).trim()).filter((term) => term && !/^["“”„]+$/.test(term));
  const plural = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;

  const show = (dataset, terms, wanted) => {
    const rest = terms.filter((term) => !dataset.about.includes(term));
    const fits = dataset.templates.map(({ text }) => rest.every((term) => text.includes(term)));
    const isShown = (!wanted || dataset.node.dataset.kind === wanted) && (!rest.length || fits.includes(true));
    dataset.node.hidden = !isShown;
    for (const link of dataset.links) link.hidden = !isShown;
    const isPart = isShown && rest.length > 0;
    dataset.templates.forEach(({ node }, k) => { node.hidden = isPart && !fits[k]; });
    if (isPart !== dataset.isPart) dataset.fold.open = isPart;
    dataset.isPart = isPart;
    const count = fits.filter(Boolean).length;
    dataset.hits.textContent = isPart ? `${count} of ${fits.length} ${count === 1 ? "has" : "have"} these words` : "";
    return isShown ? (isPart ? count : fits.length) : 0;
  };
  const highlight = (terms) => {
    if (!globalThis.CSS?.highlights) return;
    CSS.highlights.delete("found");
    if (!terms.length) return;
    const ranges = [];
    for (const { node, isPart } of datasets) {
      if (node.hidden) continue;
      const places = [node.querySelector("h3"), node.querySelector(".description"), ...(isPart ? all(".wording:not([hidden]) .words", node) : [])];
      for (const place of places.filter(Boolean)) {
        const walker = document.createTreeWalker(place, NodeFilter.SHOW_TEXT);
        for (let text = walker.nextNode(); text; text = walker.nextNode()) {
          const lower = text.data.toLowerCase();
          // If lower-casing changes the length, positions differ, so nothing is marked.
          if (lower.length !== text.data.length) continue;
          for (const term of terms) for (let at = lower.indexOf(term); at >= 0; at = lower.indexOf(term, at + term.length)) {
            const range = new Range();
            range.setStart(text, at);
            range.setEnd(text, at + term.length);
            ranges.push(range);
          }
        }
      }
    }
    CSS.highlights.set("found", new Highlight(...ranges));
  };
  const search = () => {
    const terms = split(query.value), wanted = kind();
    const templates = datasets.map((dataset) => show(dataset, terms, wanted));
    for (const section of sections) {
      section.hidden = !section.querySelector(".dataset:not([hidden])") && (terms.length > 0 || wanted !== "");
      for (const node of clusterMarks.get(section.id)) {
        node.hidden = node.matches(".region") ? !node.querySelector("li:not([hidden])") : section.hidden;
      }
    }
    for (const { node, whole } of counts) {
      const region = node.closest(".region") ?? clusterMarks.get(node.closest(".cluster").id).find((mark) => mark.matches(".region"));
      const members = all("li", region), left = members.filter((item) => !item.hidden).length;
      node.textContent = left === members.length ? whole : `${left} of ${whole}`;
    }
    const shown = datasets.filter(({ node }) => !node.hidden).length;
    nothing.hidden = shown > 0;
    const isWhole = shown === datasets.length && !datasets.some(({ isPart }) => isPart);
    by("found-datasets").textContent = isWhole ? plural(shown, "dataset") : `${shown.toLocaleString("en")} of ${plural(datasets.length, "dataset")}`;
    by("found-templates").textContent = isWhole ? "" : `, ${plural(templates.reduce((a, b) => a + b, 0), "template")}`;
    highlight(terms);
    showUnfold();
  };
  const remember = () => {
    const state = new URLSearchParams();
    if (query.value.trim()) state.set("q", query.value.trim());
    if (kind()) state.set("kind", kind());
    try { history.replaceState(null, "", `${location.pathname}${location.search}${state.size ? `#${state}` : ""}`); } catch { /* changing the address is not allowed */ }
  };
  const edited = () => { search(); remember(); };
  let waiting = 0;
  query.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(edited, 80); });
  for (const radio of kinds) radio.addEventListener("change", edited);

  // ---- opening
  const shownFolds = () => datasets.filter(({ node }) => !node.hidden).map(({ fold }) => fold);
  const showUnfold = () => { unfold.textContent = shownFolds().some((fold) => !fold.open) ? "Open all templates" : "Close all templates"; };
  unfold.addEventListener("click", () => {
    const folds = shownFolds(), isOpening = folds.some((fold) => !fold.open);
    for (const fold of folds) fold.open = isOpening;
    showUnfold();
  });
  for (const { fold } of datasets) fold.addEventListener("toggle", showUnfold);

  // ---- the address: #q=words&kind=generation, or the id of something on the page
  const arrive = () => {
    const hash = fragment(), state = new URLSearchParams(hash);
    if (state.has("q") || state.has("kind")) {
      query.value = state.get("q") ?? "";
      for (const radio of kinds) radio.checked = radio.value === (state.get("kind") ?? "");
      if (!kinds.some((radio) => radio.checked)) kinds[0].checked = true;
      search();
      return;
    }
    const target = hash && (by(hash) ?? by(decode(hash)));
    if (!target) return;
    if (target.closest("[hidden]")) { query.value = ""; kinds[0].checked = true; search(); }
    const fold = target.closest("details");
    if (fold) fold.open = true;
    if (target.closest("#datasets")) target.scrollIntoView();
  };
  const decode = (text) => { try { return decodeURIComponent(text); } catch { return text; } };

  // ---- keys
  const stops = () => all(".dataset:not([hidden]) summary");
  const go = (summary) => { if (summary) { summary.focus({ preventScroll: true }); summary.closest(".dataset").scrollIntoView({ block: "start" }); } };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const isWriting = event.target === query;
    if (event.key === "/" && !isWriting) { event.preventDefault(); query.focus(); query.select(); }
    else if (event.key === "Escape" && (isWriting || query.value)) { query.value = ""; edited(); query.focus(); }
    else if (isWriting && (event.key === "ArrowDown" || event.key === "Enter")) { event.preventDefault(); go(stops()[0]); }
    else if (event.target.matches?.(".dataset summary") && (event.key === "ArrowDown" || event.key === "ArrowUp")) {
      event.preventDefault();
      const order = stops(), at = order.indexOf(event.target) + (event.key === "ArrowDown" ? 1 : -1);
      if (at < 0) query.focus(); else go(order[at]);
    }
  });

  by("finder").hidden = false;
  search();
  arrive();
  addEventListener("hashchange", arrive);
})();
