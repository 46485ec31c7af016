// Drawing of rows: the axis, hosts with their clocks, lanes with what happened. Few events are drawn each with its sign;
// many as columns that count, found by binary search, so that the work depends on the pixels and not on the events.

const canvas = document.getElementById("canvas");
let g = canvas.getContext("2d");
let C = {};

const TOKENS = ["paper", "panel", "band", "line", "faint", "ink", "soft", "hint", "accent", "glow", "request", "handshake", "pki", "process", "fault", "bad", "good", "token", "authority", "hit"];
const GROUP_COLOURS = ["request", "handshake", "pki", "process", "fault", "bad"];
const SANS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', 'DejaVu Sans', sans-serif";
const MONO = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace";

function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of TOKENS) C[name] = style.getPropertyValue("--" + name).trim();
  C.groups = GROUP_COLOURS.map((name) => C[name]);
}

function text(string, x, y, colour = C.ink, font = "12px " + SANS, align = "left") {
  g.fillStyle = colour;
  g.font = font;
  g.textAlign = align;
  g.fillText(string, x, y);
}

const fitted = new Map();
/** `string` as far as it fits into `width`; asked again and again for the same names, so kept. */
function fit(string, width, font) {
  const key = font + "\n" + Math.floor(width) + "\n" + string;
  let out = fitted.get(key);
  if (out !== undefined) return out;
  g.font = font;
  out = string;
  if (g.measureText(string).width > width) {
    let lo = 0, hi = string.length;
    while (lo < hi) {
      const mid = (lo + hi + 1) >> 1;
      if (g.measureText(string.slice(0, mid) + "…").width <= width) lo = mid; else hi = mid - 1;
    }
    out = lo ? string.slice(0, lo) + "…" : "";
  }
  if (fitted.size > 5000) fitted.clear();
  fitted.set(key, out);
  return out;
}

/** The whole canvas. `ui` says what is chosen and where the pointer is. */
function paint(world, plan, ui) {
  const { width, height } = view;
  g.setTransform(ui.ratio, 0, 0, ui.ratio, 0, 0);
  g.textBaseline = "middle";
  g.fillStyle = C.paper;
  g.fillRect(0, 0, width, height);
  const axis = axisTicks(world);
  g.save();
  g.beginPath();
  g.rect(0, AXIS, width, height - AXIS);
  g.clip();
  g.translate(0, AXIS - view.y);
  const visible = plan.rows.filter((r) => r.y + r.h > view.y && r.y < view.y + height - AXIS);
  for (const row of visible) if (row.type === "host") hostBand(row);
  grid(axis, plan);
  clipPlot(() => {
    faultBands(world, plan);
    for (const row of visible) {
      if (row.type === "lane") line(row);
      if (row.type === "bar") bars(world, row, ui);
      if (row.type === "host") clockCurve(world, row);
    }
    arrows(world, plan, ui);
    for (const row of visible) if (row.type === "lane") lane(world, row, ui);
    for (const row of visible) {
      if (row.type === "faults") faultSigns(world, row, ui);
      if (row.type === "story") storySigns(world, row, ui);
      if (row.type === "host" && row.folded) foldedHost(world, row, ui);
    }
    selection(world, plan, ui);
  });
  for (const row of visible) label(world, row, ui);
  g.restore();
  paintAxis(world, axis, ui);
  pointerLine(world, plan, ui);
  scrollSign(plan);
}

function clipPlot(draw) {
  g.save();
  g.beginPath();
  g.rect(GUTTER, view.y - 1, view.width - GUTTER, view.height + 2);
  g.clip();
  draw();
  g.restore();
}

function axisTicks(world) {
  const room = view.perPixel * (world.steps ? 136 : 78);
  return world.steps ? stepTicks(world, view.x0, view.x1, room) : ticks(world, view.x0, view.x1, room);
}

function grid(axis, plan) {
  for (const [x, , strong] of axis) {
    g.fillStyle = strong ? C.line : C.faint;
    g.fillRect(Math.round(view.px(x)), view.y, 1, Math.max(plan.height, view.height));
  }
}

function paintAxis(world, axis, ui) {
  g.fillStyle = C.panel;
  g.fillRect(0, 0, view.width, AXIS);
  g.fillStyle = C.line;
  g.fillRect(0, AXIS - 1, view.width, 1);
  const from = world.tOf(Math.max(view.x0, wholeOf(world)[0])), digits = digitsFor(world.steps ? 1e4 : view.perPixel);
  text(instant(world, from, digits), 14, AXIS / 2 - 6, C.ink, "600 11px " + SANS);
  const span = world.steps ? Math.round(view.x1 - view.x0) + " steps" : duration(view.x1 - view.x0);
  text(span, 14, AXIS / 2 + 7, C.hint, "11px " + SANS);
  g.save();
  g.beginPath();
  g.rect(GUTTER, 0, view.width - GUTTER, AXIS);
  g.clip();
  for (const [x, label, strong] of axis) {
    const px = Math.round(view.px(x));
    g.fillStyle = strong ? C.hint : C.line;
    g.fillRect(px, AXIS - 7, 1, 6);
    text(label, px + 4, AXIS / 2 - 1, strong ? C.ink : C.soft, (strong ? "600 " : "") + "11px " + SANS);
  }
  g.restore();
}

function hostBand(row) {
  g.fillStyle = C.band;
  g.fillRect(0, row.y, view.width, row.h);
}

function line(row) {
  g.fillStyle = C.faint;
  g.fillRect(GUTTER, Math.round(row.y + row.h / 2), view.width, 1);
}

function label(world, row, ui) {
  const mid = row.y + row.h / 2, focus = ui.focus && ui.focus.type === row.type && ui.focus.name === row.name && ui.focus.host === row.host;
  if (row.type !== "host") {
    g.fillStyle = C.paper;
    g.fillRect(0, row.y, GUTTER, row.h);
  }
  if (focus && document.activeElement === document.getElementById("stage")) {
    g.fillStyle = C.glow;
    g.fillRect(0, row.y, view.width, row.h);
    g.fillStyle = C.accent;
    g.fillRect(0, row.y, 3, row.h);
  }
  switch (row.type) {
    case "host": {
      const host = world.hosts[row.host];
      g.fillStyle = C.hint;
      g.beginPath();
      const x = 16, s = 4;
      if (row.folded) { g.moveTo(x - 2, mid - s); g.lineTo(x + 3, mid); g.lineTo(x - 2, mid + s); }
      else { g.moveTo(x - s, mid - 2); g.lineTo(x + s, mid - 2); g.lineTo(x, mid + 3); }
      g.fill();
      text(fit(host.name, 100, "650 13px " + SANS), 28, mid, C.ink, "650 13px " + SANS);
      clockReading(world, row, host, ui);
      break;
    }
    case "lane": text(fit(row.name, GUTTER - 42, "12px " + SANS), 28, mid, C.soft); break;
    case "bar": {
      const font = "11px " + SANS;
      g.fillStyle = row.bar.kind === "token" ? C.token : C.pki;
      g.fillRect(28, mid - 3, 3, 7);
      text(fit(row.name, GUTTER - 52, font), 37, mid, C.soft, font);
      break;
    }
    default: text(row.name, 14, mid, C.soft, "600 12px " + SANS);
  }
  if (row.type !== "host") {
    g.fillStyle = C.line;
    g.fillRect(GUTTER - 1, row.y, 1, row.h);
  }
}

/** Beside a host's name: what its own clock shows at the pointer, and how wrong that is. */
function clockReading(world, row, host, ui) {
  const mid = row.y + row.h / 2, t = ui.pointer ? world.tOf(view.x(ui.pointer.x)) : null;
  const right = GUTTER - 10, font = "11px " + MONO;
  if (t === null) {
    text(host.address, right, mid, C.hint, font, "right");
    return;
  }
  const skew = skewAt(host, t), wrong = Math.abs(skew) >= 1000;
  if (wrong) {
    text(instant(world, t + skew).slice(2), right, mid - 6, C.fault, font, "right");
    text(ahead(skew), right, mid + 7, C.fault, "600 11px " + SANS, "right");
  } else text(instant(world, t).slice(11), right, mid, C.hint, font, "right");
}

/** The curve of a host's clock against true time: flat where it is right. */
function clockCurve(world, row) {
  const host = world.hosts[row.host], mid = row.y + row.h / 2, room = row.h / 2 - 5;
  g.fillStyle = C.line;
  g.fillRect(GUTTER, Math.round(mid), view.width, 1);
  const most = host.clock.reduce((m, [, s]) => Math.max(m, Math.abs(s)), 0);
  if (most < 1000) return;
  const y = (s) => mid - Math.sign(s) * Math.max((Math.abs(s) / most) * room, s ? 2 : 0);
  const corners = host.clock.map(([t, s]) => [view.px(world.xOf(t)), y(s)]);
  const last = corners[corners.length - 1];
  corners.push([Math.max(view.width, last[0]), last[1]]);
  g.beginPath();
  g.moveTo(corners[0][0], mid);
  for (const [x, cy] of corners) g.lineTo(x, cy);
  g.lineTo(corners[corners.length - 1][0], mid);
  g.globalAlpha = 0.2;
  g.fillStyle = C.fault;
  g.fill();
  g.globalAlpha = 1;
  g.beginPath();
  corners.forEach(([x, cy], k) => (k ? g.lineTo(x, cy) : g.moveTo(x, cy)));
  g.strokeStyle = C.fault;
  g.lineWidth = 1.5;
  g.stroke();
}

/** The events of one lane in view, as numbers into its list. */
function inView(l) {
  const pad = view.perPixel * 8;
  return [lowerBound(l.x, view.x0 - pad), lowerBound(l.x, view.x1 + pad)];
}

function lane(world, row, ui) {
  const l = world.byLane[row.lane], [lo, hi] = inView(l);
  if (hi <= lo) return elsewhere(row, lo > 0, lo < l.x.length);
  if (hi - lo > view.inner / 5) return columns(l, row, ui);
  let free = -Infinity;
  for (let k = lo; k < hi; k++) {
    const i = l.events[k], x = view.px(l.x[k]);
    const next = k + 1 < l.x.length ? view.px(l.x[k + 1]) : view.width;
    sign(world, i, x, row.y + row.h / 2, ui.searching && !world.hit[i] ? 0.22 : 1);
    if (ui.searching && world.hit[i]) ring(x, row.y + row.h / 2, C.hit);
    if (next - x > 74 && x > free && !(ui.searching && !world.hit[i])) free = caption(world, i, x, row, next);
  }
}

/** Nothing in view: at the edges, where there is more. */
function elsewhere(row, earlier, later) {
  const y = row.y + row.h / 2;
  g.fillStyle = C.hint;
  g.beginPath();
  for (const [there, x, out] of [[earlier, GUTTER + 6, -4], [later, view.width - 14, 4]]) {
    if (!there) continue;
    g.moveTo(x + out, y);
    g.lineTo(x, y - 4);
    g.lineTo(x, y + 4);
  }
  g.fill();
}

/** What an event is, right of it, where there is room. */
function caption(world, i, x, row, next) {
  const font = "11px " + SANS, room = Math.min(next - x - 18, 420);
  const string = fit(summary(world, i), room, font);
  if (string.length < 4) return -Infinity;
  return x + 9 + onPaper(string, x + 9, row, world.tone[i] === 2 ? C.bad : C.soft, font);
}

/** Text on a patch of paper, so that what runs beneath does not cross it; its width. */
function onPaper(string, x, row, colour, font) {
  g.font = font;
  const { width } = g.measureText(string);
  g.globalAlpha = 0.85;
  g.fillStyle = C.paper;
  g.fillRect(x - 2, row.y + 4, width + 6, row.h - 8);
  g.globalAlpha = 1;
  text(string, x, row.y + row.h / 2, colour, font);
  return width;
}

const COLUMN = 3;
/** Many events: a column for every few pixels, as high as the logarithm of how many, coloured by what they are. One colour
 * after the other, since to change colours costs more than to fill. */
function columns(l, row, ui) {
  const found = columnsOf(l), tall = row.h - 7, base = row.y + row.h - 4, wide = COLUMN - 0.6;
  const most = Math.log2(1 + found.reduce((m, [, lo, hi]) => Math.max(m, hi - lo), 6));
  const stacks = found.map(([px, lo, hi]) => ({ px, lo, hi, height: Math.max(4, (Math.log2(1 + hi - lo) / most) * tall), y: base }));
  const within = (s, { lo, hi }) => l.sums[s][hi] - l.sums[s][lo];
  const [hit, dim] = ui.searching ? [stacks.filter((c) => within(6, c)), stacks.filter((c) => !within(6, c))] : [stacks, []];
  for (const [some, alpha] of [[dim, 0.2], [hit, 0.9]]) {
    g.globalAlpha = alpha;
    for (let s = 0; s < 5; s++) {
      g.fillStyle = C.groups[s];
      for (const c of some) {
        const h = (within(s, c) / (c.hi - c.lo)) * c.height;
        if (h) g.fillRect(c.px, (c.y -= h), wide, h);
      }
    }
    g.fillStyle = C.bad;
    for (const c of some) {
      const bad = within(BAD, c);
      if (bad) g.fillRect(c.px, base - c.height, wide, Math.max(3, (bad / (c.hi - c.lo)) * c.height));
    }
  }
  g.globalAlpha = 1;
  if (!ui.searching) return;
  g.fillStyle = C.hit;
  for (const c of hit) g.fillRect(c.px, row.y + 1, wide, 3);
}

/** The columns of a lane that are not empty: pixel, and the events of it as numbers into the lane's list. */
function columnsOf(l) {
  const out = [];
  let lo = lowerBound(l.x, view.x(GUTTER));
  while (lo < l.x.length) {
    const px = GUTTER + Math.floor((view.px(l.x[lo]) - GUTTER) / COLUMN) * COLUMN;
    if (px >= view.width) break;
    const hi = Math.max(lowerBound(l.x, view.x(px + COLUMN), lo), lo + 1);
    out.push([px, lo, hi]);
    lo = hi;
  }
  return out;
}

function foldedHost(world, row, ui) {
  world.lanes.forEach((l, n) => { if (l.host === row.host) columns(world.byLane[n], row, ui); });
}
