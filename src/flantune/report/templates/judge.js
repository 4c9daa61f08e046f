// Rates one pair at a time; each rating is stored on disk before the next pair is shown.
(() => {
  const { by, all } = page;
  const buttons = all("[data-choice]");
  const state = { pair: null, since: 0, isBusy: false };
  const address = (place) => `${location.pathname}${place}`;
  const say = (text, isTrouble = false) => { by("status").textContent = text; by("status").classList.toggle("worse", isTrouble); };

  const fill = (id, text) => {
    const node = by(id), isEmpty = text.trim() === "";
    node.textContent = isEmpty ? "(no text)" : text;
    node.classList.toggle("empty", isEmpty);
    node.scrollTop = 0;
  };
  const show = (pair) => {
    state.pair = pair;
    state.since = performance.now();
    by("progress").max = Math.max(pair.total, 1);
    by("progress").value = pair.done;
    by("count").textContent = `${pair.done} of ${pair.total} rated`;
    by("pair").hidden = pair.is_end;
    by("end").hidden = !pair.is_end;
    by("end-back").disabled = pair.total === 0;
    if (pair.is_end) { say(""); by("end-title").focus(); return; }
    fill("prompt", pair.prompt);
    fill("left", pair.left);
    fill("right", pair.right);
    by("place").textContent = `Comparison ${pair.at + 1} of ${pair.total}`;
    by("back").disabled = pair.at === 0;
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.choice === pair.choice));
    say(pair.choice ? "Rated before; choose again to change it." : "");
    scrollTo(0, 0);
  };

  // One request at a time, so that a second key press cannot rate a pair that was not shown yet.
  const ask = async (place, settings) => {
    if (state.isBusy) return;
    state.isBusy = true;
    try {
      const reply = await fetch(address(place), settings);
      if (!reply.ok) throw new Error(await reply.text());
      show(await reply.json());
    } catch (error) {
      say(`Nothing was stored (${error.message}). Is flantune judge still running?`, true);
    } finally {
      state.isBusy = false;
    }
  };
  const rate = (choice) => {
    const { pair } = state;
    if (!pair || pair.is_end) return;
    const seconds = (performance.now() - state.since) / 1000;
    ask("rate", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ at: pair.at, key: pair.key, choice, seconds }),
    });
  };
  const back = () => { if (state.pair && state.pair.at > 0) ask(`pair/${state.pair.at - 1}`); };
  const onward = () => ask("pair");

  for (const button of buttons) button.addEventListener("click", () => rate(button.dataset.choice));
  by("back").addEventListener("click", back);
  by("end-back").addEventListener("click", back);
  by("onward").addEventListener("click", onward);

  const keys = new Map([
    ["1", () => rate("left")], ["2", () => rate("right")], ["t", () => rate("tie")], ["0", () => rate("tie")],
    ["s", () => rate("skip")], ["b", back], ["backspace", back], ["n", onward],
  ]);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    const act = keys.get(event.key.toLowerCase());
    if (act) { event.preventDefault(); act(); }
  });
  ask("pair");
})();
