// What stands around the timeline: title, worlds, kinds, the story as text, the list of events in view.

const byId = (id) => document.getElementById(id);

/** An element with a class and content: text or elements. */
function make(tag, className, ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

/** A small square in the colour of an event. */
function dot(colour) {
  const i = document.createElement("i");
  i.style.setProperty("--c", "var(--" + colour + ")");
  return i;
}
const dotOf = (world, i) => dot(GROUP_COLOURS[world.colourOf(i)]);

function fillHeader() {
  const checks = RUN.lines.filter((l) => l.held !== undefined), held = checks.filter((l) => l.held).length;
  byId("title").textContent = RUN.title;
  byId("sentence").textContent = RUN.sentence;
  const verdict = byId("verdict");
  verdict.textContent = checks.length ? (RUN.held ? "✓ " : "✗ ") + held + " of " + checks.length + " checks held" : "";
  verdict.hidden = !checks.length;
  verdict.classList.toggle("bad", !RUN.held);
  const facts = ["Kubernetes " + RUN.kubernetesVersion, RUN.seed === undefined ? "" : "seed " + RUN.seed, RUN.reference];
  byId("facts").textContent = facts.filter(Boolean).join(" · ");
}

function fillWorlds(ui, choose) {
  const nav = byId("worlds");
  nav.hidden = RUN.worlds.length < 2;
  nav.replaceChildren(...RUN.worlds.map((world, n) => {
    const failed = RUN.lines.some((l) => l.world === n && l.held === false);
    const mark = make("span", "mark", failed ? "✗" : String(n + 1));
    if (failed) mark.style.color = "var(--bad)";
    const tab = make("button", "", mark, world.title);
    tab.type = "button";
    tab.setAttribute("role", "tab");
    tab.addEventListener("click", () => choose(n));
    return tab;
  }));
  roving(nav, "tab");
}

function showWorldTab(number) {
  [...byId("worlds").children].forEach((tab, n) => {
    tab.setAttribute("aria-selected", String(n === number));
    tab.tabIndex = n === number ? 0 : -1;
  });
}

/** Arrow keys move among the buttons of a list of tabs. */
function roving(list) {
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = [...list.children].filter((tab) => !tab.hidden), next = all[(all.indexOf(event.target) + step + all.length) % all.length];
    event.preventDefault();
    event.stopPropagation();
    next?.focus();
    next?.click();
  });
}

/** One button for each group of kinds, and one for failures only. */
function fillChips(ui, changed) {
  const world = ui.world, counts = new Array(6).fill(0);
  for (let i = 0; i < world.n; i++) {
    counts[world.group[i]]++;
    if (world.tone[i] === 2) counts[BAD]++;
  }
  const chip = (name, colour, count, pressed, press) => {
    const button = make("button", "", dot(colour), name, make("span", "count", count.toLocaleString("en")));
    button.type = "button";
    button.setAttribute("aria-pressed", String(pressed));
    button.addEventListener("click", () => { press(); changed(); });
    return button;
  };
  const chips = GROUPS.map((group, n) => chip(group.name, group.id, counts[n], !ui.hidden.has(n), () => {
    if (!ui.hidden.delete(n)) ui.hidden.add(n);
  }));
  const only = chip("Only failures", "bad", counts[BAD], ui.onlyBad, () => { ui.onlyBad = !ui.onlyBad; });
  only.classList.add("only");
  byId("chips").replaceChildren(...chips, only);
}

/** The story, line by line; what was said at a time leads there. */
function fillStory(go) {
  const out = [];
  let world = null;
  for (const line of RUN.lines) {
    const body = line.text.replace(/^\n+|\s+$/g, "");
    if (line.world !== undefined && line.world !== world && RUN.worlds.length > 1) {
      world = line.world;
      out.push(make("h2", "", world + 1 + " · " + RUN.worlds[world].title));
    }
    if (/^\n/.test(line.text)) out.push(make("div", "gap"));
    if (!body) continue;
    const leads = line.world !== undefined;
    const element = make(leads ? "button" : "div", "line");
    if (line.held !== undefined) {
      const [, what, seen] = body.match(/^\s*[✓✗]\s*(.*?)(?:\s{2,}(.*))?$/s) || [null, body, ""];
      element.classList.add("check");
      element.classList.toggle("failed", !line.held);
      element.append(make("span", "hidden", line.held ? "held: " : "failed: "), what);
      if (seen) element.append(make("span", "seen", seen));
    } else {
      if (/^\s/.test(body)) element.classList.add("pre");
      // Tables were made for wider screens.
      element.textContent = body.replace(/(\S) {3,}/g, "$1  ");
    }
    if (leads) {
      element.type = "button";
      element.addEventListener("click", () => go(line));
    }
    line.element = element;
    out.push(element);
  }
  byId("story").replaceChildren(...out);
}

/** Marks the line that was said last before the middle of the view. */
function followStory(world) {
  const at = world.steps ? (view.x0 + view.x1) / 2 : world.tOf((view.x0 + view.x1) / 2);
  let current = null;
  for (const line of storyOf(world)) if (line.element && storyX(world, line) <= at) current = line;
  if (followStory.current === current) return;
  followStory.current?.element.removeAttribute("aria-current");
  current?.element.setAttribute("aria-current", "true");
  followStory.current = current;
}

const ROW = 24;
/** The list of the events in view: only the rows that can be seen exist. */
function fillList(ui) {
  const list = byId("list"), rows = byId("rows");
  if (list.hidden) return;
  const world = ui.world, chosen = world.chosen.subarray(lowerBound(world.chosenX, view.x0), lowerBound(world.chosenX, view.x1));
  // Read before anything is written, so that the page is laid out once.
  const room = list.clientHeight, top = Math.min(list.scrollTop, Math.max(chosen.length * ROW - room, 0));
  const first = Math.max(0, Math.floor(top / ROW) - 4), last = first + Math.ceil(room / ROW) + 8;
  rows.style.height = chosen.length * ROW + "px";
  ui.listed = chosen;
  const digits = digitsFor(world.steps ? 1e4 : view.perPixel);
  const out = Array.from(chosen.subarray(first, last), (i, k) => {
    const row = make("div", "row", dotOf(world, i), make("time", "", instant(world, world.t[i], digits).slice(view.perPixel > 1e9 ? 0 : 11)), make("span", "who", world.hostOf(i).name + "/" + world.lanes[world.lane[i]].actor), make("span", "what", summary(world, i)));
    row.style.top = (first + k) * ROW + "px";
    row.title = summary(world, i);
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", String(i === ui.selected));
    row.setAttribute("aria-posinset", String(first + k + 1));
    row.setAttribute("aria-setsize", String(chosen.length));
    row.dataset.event = i;
    row.id = "event-" + i;
    return row;
  });
  if (!out.length) out.push(make("div", "row", "Nothing in view with this choice."));
  rows.replaceChildren(...out);
  if (ui.selected >= 0) list.setAttribute("aria-activedescendant", "event-" + ui.selected);
  else list.removeAttribute("aria-activedescendant");
}

/** Scrolls the list to what is chosen. */
function followList(ui) {
  const list = byId("list"), at = lowerBound(ui.listed, ui.selected);
  if (list.hidden || ui.listed[at] !== ui.selected) return;
  const y = at * ROW;
  if (y < list.scrollTop || y + ROW > list.scrollTop + list.clientHeight) list.scrollTop = y - list.clientHeight / 2;
}

function listenTabs(changed) {
  const tabs = ["story", "list"];
  roving(byId("tab-story").parentElement);
  tabs.forEach((name) => byId("tab-" + name).addEventListener("click", () => {
    for (const other of tabs) {
      byId(other).hidden = other !== name;
      byId("tab-" + other).setAttribute("aria-selected", String(other === name));
      byId("tab-" + other).tabIndex = other === name ? 0 : -1;
    }
    changed();
  }));
}

function fillLegend() {
  const entries = [
    ["request", "a request, where it was answered; the arrow comes from who asked"],
    ["handshake", "a TLS handshake; the arrow leads from client to server"],
    ["pki", "a certificate, a signing request, a discovery; bars: how long a certificate is valid"],
    ["authority", "a bar of an authority's certificate"], ["token", "a bar of a token"],
    ["process", "what else programs did: services, probes, informers, elections"],
    ["fault", "a fault of a clock, the network, a disk, the power; the curve of a clock that is wrong"],
    ["bad", "failed, or refused for who asked; hatched: accepted after its end"],
    ["good", "a check of the story that held"], ["hit", "found by the search"],
  ];
  byId("legend").replaceChildren(...entries.flatMap(([colour, words]) => [make("dt", "", dot(colour)), make("dd", "", words)]));
}

const say = (words) => { byId("say").textContent = words; };
