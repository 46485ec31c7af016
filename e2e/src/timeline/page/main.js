// What is chosen, what follows from it, and when to draw.

const ui = { world: null, plan: null, selected: -1, bar: null, barAt: 0, focus: null, pointer: null, hidden: new Set(), onlyBad: false, searching: false, query: "", listed: [], ratio: 1, printing: false };
let pending = false;

function repaint() {
  if (pending) return;
  pending = true;
  requestAnimationFrame(draw);
}

function draw() {
  pending = false;
  if (!ui.world) return;
  paint(ui.world, ui.plan, ui);
  paintOverview(ui.world, ui.ratio);
}

/** The view changed: draw, and let text follow. */
function changed() {
  repaint();
  followStory(ui.world);
  fillList(ui);
}

function scroll(y) { view.y = Math.min(Math.max(y, 0), Math.max(ui.plan.height - view.height + AXIS, 0)); }

/** The stage has another size: as much per pixel as before, unless all was in view. */
function resize() {
  const box = stage.getBoundingClientRect(), { perPixel } = view;
  const whole = ui.world && view.x0 <= wholeOf(ui.world)[0] && view.x1 >= wholeOf(ui.world)[1];
  view.width = Math.max(box.width, 320);
  view.height = Math.max(box.height, 120);
  ui.ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(view.width * ui.ratio);
  canvas.height = Math.round(view.height * ui.ratio);
  canvas.style.width = view.width + "px";
  canvas.style.height = view.height + "px";
  if (!ui.plan) return;
  if (!whole) setView(ui.world, view.x0, view.x0 + perPixel * view.inner);
  scroll(view.y);
  changed();
}

function replan() {
  ui.plan = layout(ui.world);
  scroll(view.y);
}

/** Kinds or failures were chosen, or something is searched for. */
function filter() {
  const w = ui.world;
  for (let i = 0; i < w.n; i++) w.shown[i] = !ui.hidden.has(w.group[i]) && (!ui.onlyBad || w.tone[i] === 2) ? 1 : 0;
  ui.searching = ui.query.trim() !== "";
  const count = search(w, ui.query);
  byId("hits").textContent = ui.searching ? count.toLocaleString("en") + " found" : "";
  w.version = (w.version || 0) + 1;
  w.arrange(ui.searching);
  fillChips(ui, filter);
  changed();
}

function chooseWorld(number) {
  ui.world = openWorld(number);
  ui.selected = -1;
  ui.bar = ui.focus = null;
  view.y = 0;
  showWorldTab(number);
  replan();
  setView(ui.world, ...wholeOf(ui.world));
  filter();
  fillDetails(ui, act);
  say("World " + (number + 1) + ": " + ui.world.title + ", " + ui.world.n + " events");
}

/** Brings `x` into view, no closer than it is. */
function reveal(x) {
  const span = view.x1 - view.x0;
  if (x < view.x0 + span * 0.04 || x > view.x1 - span * 0.04) setView(ui.world, x - span / 2, x + span / 2);
}

function revealRow(row) {
  if (!row) return;
  if (row.y < view.y) scroll(row.y - 6);
  if (row.y + row.h > view.y + view.height - AXIS) scroll(row.y + row.h - view.height + AXIS + 6);
}

function select(i) {
  const panelWas = byId("details").hidden;
  ui.selected = i;
  ui.bar = null;
  const row = ui.plan.laneRow[ui.world.lane[i]];
  ui.focus = row;
  fillDetails(ui, act);
  if (panelWas) resize();
  reveal(ui.world.x[i]);
  revealRow(row);
  say(noun(S[ui.world.kind[i]]) + ", " + ui.world.hostOf(i).name + " " + ui.world.lanes[ui.world.lane[i]].actor + ", " + instant(ui.world, ui.world.t[i], 3) + ": " + summary(ui.world, i));
  changed();
  followList(ui);
}

/** The next shown event after `from` in direction `step` that `fits`. */
function next(from, step, fits) {
  const w = ui.world;
  for (let i = from + step; i >= 0 && i < w.n; i += step) if (w.shown[i] && fits(i)) return i;
  return -1;
}

/** Where a walk begins: at what is chosen, else in the middle of the view. */
const here = (step) => (ui.selected >= 0 ? ui.selected : lowerBound(ui.world.x, (view.x0 + view.x1) / 2) - (step > 0 ? 1 : 0));

function goTo(i, otherwise) { if (i >= 0) select(i); else say(otherwise); }

const act = {
  changed, repaint, scroll, select,
  close() {
    ui.selected = -1;
    ui.bar = null;
    fillDetails(ui, act);
    resize();
    stage.focus({ preventScroll: true });
  },
  /** A certificate or token, seen from the time `t`. */
  selectBar(bar, t) {
    const panelWas = byId("details").hidden;
    ui.bar = bar;
    ui.barAt = t;
    ui.selected = -1;
    fillDetails(ui, act);
    if (panelWas) resize();
    revealRow(ui.plan.rows.find((r) => r.bar?.bars.includes(bar)));
    say("Certificate or token " + bar.label);
    changed();
  },
  click(found) {
    if (!found) return;
    if (found.event !== undefined) return select(found.event);
    if (found.bar) return act.selectBar(found.bar, found.t);
    if (found.line) return act.go(found.line);
    ui.focus = found.row;
    if (found.row.type === "host") return act.fold();
    if (ui.selected >= 0 || ui.bar) return act.close();
    repaint();
  },
  /** To a line of the story: its world, its time. */
  go(line) {
    if (line.world !== ui.world.number) chooseWorld(line.world);
    const w = ui.world, x = storyX(w, line), at = (i) => w.x[Math.min(Math.max(i, 0), w.n - 1)];
    // As much of before and after as holds some dozens of events, and seconds at least: the moment, not the year.
    const before = Math.max(x - at(line.event - 60), w.steps ? 60 : 2e6), after = Math.max(at(line.event + 60) - x, w.steps ? 60 : 2e6);
    const span = 2 * Math.min(before, after, (view.x1 - view.x0) / 2);
    setView(w, x - span / 2, x + span / 2);
    if (byId("story").hidden) byId("tab-story").click();
    changed();
    followStory.current?.element.removeAttribute("aria-current");
    line.element?.setAttribute("aria-current", "true");
    line.element?.scrollIntoView({ block: "nearest" });
    followStory.current = line;
  },
  walk(step, anywhere) {
    const lane = !anywhere && (ui.selected >= 0 ? ui.world.lane[ui.selected] : ui.focus?.lane);
    goTo(next(here(step), step, (i) => lane === undefined || lane === false || ui.world.lane[i] === lane), "No more events there");
  },
  failure: (step) => goTo(next(here(step), step, (i) => ui.world.tone[i] === 2), "No more failures there"),
  found: (step) => goTo(next(here(step), step, (i) => ui.world.hit[i] === 1), ui.searching ? "Nothing more found" : "Nothing is searched for"),
  near() {
    if (ui.selected < 0) return;
    const x = ui.world.x[ui.selected], span = ui.world.steps ? 24 : Math.max(8, Math.min((view.x1 - view.x0) / 20, 30e6));
    setView(ui.world, x - span / 2, x + span / 2);
    changed();
  },
  open() {
    const row = ui.focus, w = ui.world;
    if (row?.type === "host") return act.fold();
    if (row?.type === "bar") {
      const t = w.tOf((view.x0 + view.x1) / 2), bars = row.bar.bars;
      return act.selectBar(bars.findLast((b) => b.from <= t) || bars[0], t);
    }
    const l = row?.type === "lane" ? w.byLane[row.lane] : null;
    if (!l?.events.length) return;
    const mid = (view.x0 + view.x1) / 2, k = lowerBound(l.x, mid);
    const closer = k > 0 && (k === l.x.length || mid - l.x[k - 1] < l.x[k] - mid) ? k - 1 : k;
    select(l.events[closer]);
  },
  focusRow(step) {
    const rows = ui.plan.rows.filter((r) => ["host", "lane", "bar"].includes(r.type));
    const at = rows.findIndex((r) => ui.focus && r.type === ui.focus.type && r.name === ui.focus.name && r.host === ui.focus.host);
    ui.focus = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
    revealRow(ui.focus);
    const host = ui.world.hosts[ui.focus.host].name;
    say(ui.focus.type === "host" ? "Host " + host : host + ", " + ui.focus.name);
    repaint();
  },
  fold() {
    const row = ui.plan.rows.find((r) => r.type === "host" && r.host === ui.focus?.host);
    if (!row) return;
    if (!folded.delete(row.key)) folded.add(row.key);
    replan();
    ui.focus = ui.plan.rows.find((r) => r.type === "host" && r.host === row.host);
    say(row.name + (folded.has(row.key) ? " folded" : " unfolded"));
    repaint();
  },
  all() { setView(ui.world, ...wholeOf(ui.world)); changed(); },
  scale() {
    const w = ui.world, steps = !w.steps, t0 = w.tOf(view.x0), t1 = w.tOf(view.x1), whole = wholeOf(w);
    const all = view.x0 <= whole[0] && view.x1 >= whole[1];
    w.place(steps);
    setView(w, ...(all ? wholeOf(w) : [w.xOf(t0), w.xOf(t1)]));
    byId("by-time").setAttribute("aria-pressed", String(!steps));
    byId("by-step").setAttribute("aria-pressed", String(steps));
    say(steps ? "Distances are steps" : "Distances are time");
    changed();
  },
  nextWorld() { chooseWorld((ui.world.number + 1) % RUN.worlds.length); },
  theme() { setTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]); },
  help() { byId("help").showModal(); },
  escape() {
    if (ui.query) { byId("search").value = ui.query = ""; filter(); stage.focus({ preventScroll: true }); }
    else if (ui.selected >= 0 || ui.bar) act.close();
    else document.activeElement?.blur?.();
  },
};

const THEMES = ["auto", "light", "dark"], system = matchMedia("(prefers-color-scheme: dark)");
let theme = "auto";
/** Sets the theme and remembers it, where a page from a file may remember anything. */
function setTheme(name) {
  theme = THEMES.includes(name) ? name : "auto";
  const dark = theme === "dark" || (theme === "auto" && system.matches && !ui.printing);
  document.documentElement.dataset.theme = dark && !ui.printing ? "dark" : "light";
  byId("theme").textContent = { auto: "Theme: system", light: "Theme: light", dark: "Theme: dark" }[theme];
  if (!ui.printing) try { localStorage.setItem("chronoplane-theme", theme); } catch { /* remembered for this page only */ }
  readColours();
  repaint();
}

/** On paper: light, all rows, in the form of the sheet; then the text. */
function listenPrint() {
  let before = null;
  window.addEventListener("beforeprint", () => {
    before = { width: view.width, height: view.height, y: view.y };
    if (byId("help").open) byId("help").close();
    ui.printing = true;
    ui.pointer = null;
    setTheme(theme);
    // The text comes after the picture, which has the form of the sheet.
    document.querySelector("main").append(byId("side"));
    const height = Math.min(Math.max(ui.plan.height + AXIS, 680), 3000);
    Object.assign(view, { width: height * 1.58, height, y: 0 });
    ui.ratio = 2;
    canvas.width = view.width * 2;
    canvas.height = view.height * 2;
    canvas.style.width = canvas.style.height = "auto";
    paint(ui.world, ui.plan, ui);
  });
  window.addEventListener("afterprint", () => {
    if (!before) return;
    ui.printing = false;
    document.querySelector("main").prepend(byId("side"));
    Object.assign(view, before);
    setTheme(theme);
    resize();
  });
}

function begin() {
  let remembered = "auto";
  try { remembered = localStorage.getItem("chronoplane-theme") || "auto"; } catch { /* a page from a file may not remember */ }
  setTheme(remembered);
  system.addEventListener("change", () => setTheme(theme));
  fillHeader();
  fillLegend();
  fillWorlds(ui, chooseWorld);
  fillStory(act.go);
  listenTabs(changed);
  if (!RUN.worlds.length) return say("Nothing was recorded");
  resize();
  chooseWorld(0);
  // What runs tells no story: its page opens on what happens.
  if (!RUN.lines.length) {
    byId("tab-story").hidden = true;
    byId("tab-list").click();
  }
  listenPointer(ui, act);
  listenKeys(ui, act);
  listenOverview(ui, changed);
  listenPrint();
  new ResizeObserver(resize).observe(stage);
  byId("search").addEventListener("input", (event) => { ui.query = event.target.value; filter(); });
  listenList(ui, act);
  stage.addEventListener("focus", repaint);
  stage.addEventListener("blur", repaint);
  const buttons = { theme: act.theme, "help-open": act.help, "by-time": () => ui.world.steps && act.scale(), "by-step": () => ui.world.steps || act.scale(), "zoom-in": () => { zoom(ui.world, 0.5); changed(); }, "zoom-out": () => { zoom(ui.world, 2); changed(); }, "zoom-all": act.all };
  for (const [id, press] of Object.entries(buttons)) byId(id).addEventListener("click", press);
}
begin();
