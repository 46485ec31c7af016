// A cluster that runs: what happens comes every two seconds, and buttons set its hosts' clocks.

const PERIOD = 2000;
const STEPS = [["−1 d", -86400], ["−1 h", -3600], ["+1 h", 3600], ["+1 d", 86400], ["+30 d", 30 * 86400], ["+1 y", 365 * 86400]];
const countOf = (run) => run.worlds[0].gone + run.worlds[0].events.dt.length;

/** Takes over newer data; what is in view and what is chosen stay, unless the end was in view: then it is followed. */
function receive(run) {
  const old = ui.world, whole = wholeOf(old), all = view.x0 <= whole[0] && view.x1 >= whole[1];
  const follows = view.x1 >= (old.steps ? old.n - 1 : old.span), { steps } = old, span = view.x1 - view.x0;
  const gone = run.worlds[0].gone - RUN.worlds[0].gone;
  const moved = steps ? gone : (Date.parse(run.worlds[0].start) - old.startMs) * 1000;
  RUN = run;
  S = run.strings;
  opened.length = 0;
  storyLines.clear();
  const w = (ui.world = openWorld(0));
  w.version = countOf(run);
  if (steps) w.place(true);
  ui.selected = Math.max(ui.selected - gone, -1);
  ui.bar = ui.bar ? w.bySerial.get(ui.bar.serial) || null : null;
  replan();
  const [lo, hi] = wholeOf(w);
  if (all) setView(w, lo, hi);
  else if (follows) setView(w, hi - span, hi);
  else setView(w, view.x0 - moved, view.x1 - moved);
  filter();
  fillHosts();
}

let failures = 0;
async function poll() {
  try {
    const answer = await fetch("data?after=" + countOf(RUN), { cache: "no-store" });
    if (answer.status === 200) receive(await answer.json());
    failures = 0;
  } catch { failures++; }
  const verdict = byId("verdict");
  verdict.hidden = false;
  verdict.textContent = failures ? "not reached" : "live";
  verdict.classList.toggle("bad", failures > 0);
  setTimeout(poll, PERIOD * Math.min(1 + failures, 10));
}

function fillHosts() {
  const select = byId("clock-host"), names = ui.world.hosts.filter((h) => h.address).map((h) => h.name);
  if (names.join() === [...select.options].map((o) => o.value).join()) return;
  const { value } = select;
  select.replaceChildren(...names.map((name) => new Option(name)));
  if (names.includes(value)) select.value = value;
}

function beginLive() {
  const label = make("label", "", "Clock of ", Object.assign(make("select"), { id: "clock-host" }));
  const set = make("div", "set");
  set.setAttribute("role", "group");
  set.setAttribute("aria-label", "Set that clock");
  for (const [words, seconds] of STEPS) {
    const button = make("button", "", words);
    button.type = "button";
    button.title = "Sets the wall clock of that host; running time goes on";
    button.addEventListener("click", async () => {
      const host = byId("clock-host").value;
      const answer = await fetch("step?host=" + encodeURIComponent(host) + "&seconds=" + seconds, { method: "POST" }).catch(() => null);
      say(answer?.ok ? host + "’s clock was set by " + words : host + "’s clock was not set: " + (answer ? await answer.text() : "not reached"));
    });
    set.append(button);
  }
  document.querySelector(".tools").append(make("div", "clock", label, set));
  fillHosts();
  setTimeout(poll, PERIOD);
}
beginLive();
