// Shared by all pages. Text from datasets is inserted by textContent only, never as markup.
"use strict";
const page = (() => {
  const by = (id) => document.getElementById(id);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, className = "", text = "") => {
    const node = document.createElement(tag);
    if (className) node.className = className;
    if (text !== "") node.textContent = text;
    return node;
  };

  // ---- light and dark
  const root = document.documentElement, scheme = by("scheme");
  const preferred = matchMedia("(prefers-color-scheme: dark)");
  const isScheme = (word) => word === "dark" || word === "light";
  const isDark = () => (root.dataset.scheme || (preferred.matches ? "dark" : "light")) === "dark";
  const show = () => { scheme.textContent = isDark() ? "Light" : "Dark"; scheme.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colors`); };
  try { const kept = localStorage.getItem("flantune-scheme"); if (isScheme(kept)) root.dataset.scheme = kept; } catch { /* no storage: the choice is not kept */ }
  if (isScheme(location.hash.slice(1))) root.dataset.scheme = location.hash.slice(1);
  scheme.hidden = false;
  scheme.addEventListener("click", () => {
    root.dataset.scheme = isDark() ? "light" : "dark";
    try { localStorage.setItem("flantune-scheme", root.dataset.scheme); } catch { /* not kept */ }
    show();
  });
  preferred.addEventListener("change", show);
  show();

  // ---- the current section
  const links = new Map(all(".contents a").map((a) => [a.hash.slice(1), a]));
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      links.forEach((a) => a.removeAttribute("aria-current"));
      links.get(entry.target.id)?.setAttribute("aria-current", "true");
    }
  }, { rootMargin: "-12% 0px -78% 0px" });
  links.forEach((_, id) => { const part = by(id); if (part) seen.observe(part); });

  return { by, all, make };
})();
