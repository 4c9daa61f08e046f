"use strict";
(() => {
  const root = document.documentElement, scheme = document.getElementById("scheme");
  const preferred = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.scheme || (preferred.matches ? "dark" : "light")) === "dark";
  const show = () => { scheme.textContent = isDark() ? "Light" : "Dark"; scheme.setAttribute("aria-label", `Switch to ${isDark() ? "light" : "dark"} colors`); };
  try { const kept = localStorage.getItem("flantune-scheme"); if (kept === "dark" || kept === "light") root.dataset.scheme = kept; } catch { /* no storage on this page: nothing is kept */ }
  if (location.hash === "#dark" || location.hash === "#light") root.dataset.scheme = location.hash.slice(1);
  scheme.hidden = false;
  scheme.addEventListener("click", () => {
    root.dataset.scheme = isDark() ? "light" : "dark";
    try { localStorage.setItem("flantune-scheme", root.dataset.scheme); } catch { /* not kept */ }
    show();
  });
  preferred.addEventListener("change", show);
  show();
})();
