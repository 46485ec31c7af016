// Pointer and keys.

const stage = byId("stage");

/** What lies under a point of the canvas: an event, a bar, a line of the story, a fault, a row. */
function under(ui, px, py) {
  const world = ui.world, y = py - AXIS + view.y;
  if (py < AXIS) return null;
  const row = rowAt(ui.plan, y);
  if (!row) return null;
  if (px < GUTTER) return { row };
  const near = (x) => Math.abs(view.px(x) - px);
  if (row.type === "lane") {
    const l = world.byLane[row.lane], k = lowerBound(l.x, view.x(px));
    let best = -1;
    for (const c of [k - 2, k - 1, k, k + 1]) if (c >= 0 && c < l.x.length && (best < 0 || near(l.x[c]) < near(l.x[best]))) best = c;
    const [from, to] = inView(l);
    if (from === to && px < GUTTER + 16 && from > 0) return { row, event: l.events[from - 1], more: 0 };
    if (from === to && px > view.width - 24 && from < l.x.length) return { row, event: l.events[from], more: 0 };
    if (best < 0 || near(l.x[best]) > 7) return { row };
    const [lo, hi] = [lowerBound(l.x, view.x(px - 1.5)), lowerBound(l.x, view.x(px + 1.5))];
    return { row, event: l.events[best], more: Math.max(hi - lo - 1, 0) };
  }
  if (row.type === "bar") {
    const t = world.tOf(view.x(px)), reach = (b) => Math.max(b.to ?? Infinity, b.late.length ? world.t[b.late[b.late.length - 1]] : -Infinity);
    const bar = row.bar.bars.findLast((b) => b.from <= t && reach(b) + view.perPixel * 4 >= t);
    return { row, bar, t };
  }
  if (row.type === "story") {
    let line = null;
    for (const l of storyOf(world)) if (near(storyX(world, l)) < 8 && (!line || near(storyX(world, l)) < near(storyX(world, line)) || l.held === false)) line = l;
    return { row, line };
  }
  if (row.type === "faults") {
    const fault = world.faults.findLast((f) => near(world.x[f.event]) < 8 || (f.until !== null && view.px(world.x[f.event]) <= px && view.px(world.xOf(f.until)) >= px));
    return { row, event: fault?.event };
  }
  return { row };
}

function showTip(ui, at, found) {
  const tip = byId("tip"), world = ui.world;
  const content = [];
  if (found?.event !== undefined) {
    const i = found.event;
    content.push(make("b", "", summary(world, i)), make("small", "", instant(world, world.t[i], 3) + "  " + world.hostOf(i).name + "/" + world.lanes[world.lane[i]].actor));
    if (found.more) content.push(make("small", "", "and " + found.more + " more within this pixel: zoom in"));
  } else if (found?.bar) {
    const b = found.bar;
    content.push(make("b", "", b.label), make("small", "", instant(world, b.from) + " – " + (b.to === null ? "for ever" : instant(world, b.to))));
  } else if (found?.line) {
    content.push(make("b", "", found.line.text.trim()), make("small", "", instant(world, found.line.t)));
  }
  tip.hidden = !content.length;
  if (tip.hidden) return;
  tip.replaceChildren(...content);
  const w = tip.offsetWidth, h = tip.offsetHeight;
  tip.style.left = Math.min(at.x + 14, view.width - w - 6) + "px";
  tip.style.top = (at.y + h + 24 > view.height ? at.y - h - 12 : at.y + 16) + "px";
}

function listenPointer(ui, act) {
  const at = (event) => { const box = stage.getBoundingClientRect(); return { x: event.clientX - box.left, y: event.clientY - box.top }; };
  const fingers = new Map();
  let drag = null;
  stage.addEventListener("pointerdown", (event) => {
    const p = at(event);
    stage.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, p);
    drag = { p, x0: view.x0, x1: view.x1, y: view.y, moved: false, perPixel: view.perPixel };
    stage.focus({ preventScroll: true });
  });
  stage.addEventListener("pointermove", (event) => {
    const p = at(event);
    if (fingers.size === 2 && fingers.has(event.pointerId)) {
      const [a, b] = [...fingers.values()], before = Math.abs(a.x - b.x);
      fingers.set(event.pointerId, p);
      const [c, d] = [...fingers.values()], after = Math.abs(c.x - d.x);
      if (before > 8 && after > 8) zoom(ui.world, before / after, view.x((c.x + d.x) / 2));
      drag.moved = true;
      return act.changed();
    }
    if (drag) {
      if (!drag.moved && Math.hypot(p.x - drag.p.x, p.y - drag.p.y) < 4) return;
      drag.moved = true;
      stage.classList.add("drag");
      const by = (drag.p.x - p.x) * drag.perPixel;
      setView(ui.world, drag.x0 + by, drag.x1 + by);
      act.scroll(drag.y + drag.p.y - p.y);
      ui.pointer = p;
      showTip(ui, p, null);
      return act.changed();
    }
    ui.pointer = p;
    const found = under(ui, p.x, p.y);
    stage.classList.toggle("point", !!(found && (found.event !== undefined || found.bar || found.line || (found.row.type === "host" && p.x < GUTTER))));
    showTip(ui, p, found);
    act.repaint();
  });
  const end = (event) => {
    fingers.delete(event.pointerId);
    if (drag && !drag.moved && event.type === "pointerup") act.click(under(ui, drag.p.x, drag.p.y));
    drag = null;
    stage.classList.remove("drag");
  };
  stage.addEventListener("pointerup", end);
  stage.addEventListener("pointercancel", end);
  stage.addEventListener("pointerleave", () => { ui.pointer = null; byId("tip").hidden = true; act.repaint(); });
  stage.addEventListener("wheel", (event) => {
    event.preventDefault();
    const p = at(event), unit = event.deltaMode === 1 ? 18 : 1, dx = event.deltaX * unit, dy = event.deltaY * unit;
    if (p.x < GUTTER && !event.ctrlKey) act.scroll(view.y + dy);
    else if (event.shiftKey || Math.abs(dx) > Math.abs(dy)) {
      const by = (Math.abs(dx) > Math.abs(dy) ? dx : dy) * view.perPixel;
      setView(ui.world, view.x0 + by, view.x1 + by);
    } else zoom(ui.world, Math.exp(Math.max(-0.7, Math.min(0.7, dy * (event.ctrlKey ? 0.01 : 0.0022)))), view.x(Math.max(p.x, GUTTER)));
    act.changed();
  }, { passive: false });
  stage.addEventListener("dblclick", (event) => {
    const p = at(event);
    if (p.x > GUTTER) { zoom(ui.world, 0.25, view.x(p.x)); act.changed(); }
  });
}

/** In the list arrows walk from row to row, and what is chosen there is chosen in the timeline. */
function listenList(ui, act) {
  byId("list").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 12, PageUp: -12 }[event.key];
    if (!step || !ui.listed.length) return;
    event.preventDefault();
    const at = lowerBound(ui.listed, ui.selected), on = ui.listed[at] === ui.selected;
    const to = on ? at + step : step > 0 ? at : at - 1;
    act.select(ui.listed[Math.min(Math.max(to, 0), ui.listed.length - 1)]);
  });
  byId("list").addEventListener("scroll", () => fillList(ui));
  byId("rows").addEventListener("click", (event) => {
    const row = event.target.closest("[data-event]");
    if (row) act.select(Number(row.dataset.event));
  });
}

function listenKeys(ui, act) {
  const pan = (share) => { const by = (view.x1 - view.x0) * share; setView(ui.world, view.x0 + by, view.x1 + by); act.changed(); };
  const keys = {
    ArrowLeft: (e) => pan(e.shiftKey ? -0.9 : -0.12), ArrowRight: (e) => pan(e.shiftKey ? 0.9 : 0.12),
    ArrowUp: () => act.focusRow(-1), ArrowDown: () => act.focusRow(1),
    "+": () => { zoom(ui.world, 0.5); act.changed(); }, "=": () => keys["+"](),
    "-": () => { zoom(ui.world, 2); act.changed(); }, "0": act.all, Home: act.all,
    PageUp: () => { act.scroll(view.y - view.height * 0.8); act.changed(); }, PageDown: () => { act.scroll(view.y + view.height * 0.8); act.changed(); },
    ",": () => act.walk(-1), ".": () => act.walk(1), "<": () => act.walk(-1, true), ">": () => act.walk(1, true), ";": () => act.walk(-1, true), ":": () => act.walk(1, true),
    Enter: act.open, e: () => act.failure(1), E: () => act.failure(-1),
    n: () => act.found(1), p: () => act.found(-1), c: act.fold, t: act.scale, w: act.nextWorld, d: act.theme,
    "/": () => { byId("search").focus(); byId("search").select(); }, "?": act.help,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (byId("help").open) return event.key === "Escape" && byId("help").close();
    const typing = event.target.matches("input");
    if (event.key === "Escape") return act.escape();
    if (typing) {
      if (event.key === "Enter") { event.preventDefault(); act.found(event.shiftKey ? -1 : 1); }
      return;
    }
    // A button is pressed by Enter, a list scrolls by arrows: those keys are the timeline's only where it has the focus.
    const elsewhere = event.target !== stage && event.target !== document.body;
    if (elsewhere && (event.key === "Enter" || /^(Arrow|Page|Home)/.test(event.key))) return;
    const act1 = keys[event.key];
    if (!act1) return;
    event.preventDefault();
    act1(event);
  });
}
