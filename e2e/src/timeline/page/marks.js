// Drawing of signs: events, arrows, bars, faults, the story's lines, what is chosen.

/** One event's sign: a form for its group, so that colour is not all that tells. */
function sign(world, i, x, y, alpha = 1) {
  const group = world.group[i], bad = world.tone[i] === 2;
  g.globalAlpha = alpha;
  g.fillStyle = bad ? C.bad : C.groups[group];
  g.beginPath();
  switch (group) {
    case REQUEST: g.roundRect(x - 1.75, y - 6, 3.5, 12, 1.75); break;
    case HANDSHAKE: g.moveTo(x, y - 5.5); g.lineTo(x + 5, y); g.lineTo(x, y + 5.5); g.lineTo(x - 5, y); break;
    case PKI: g.roundRect(x - 4.5, y - 4.5, 9, 9, 2); break;
    case FAULT: g.moveTo(x, y - 6); g.lineTo(x + 6, y + 5); g.lineTo(x - 6, y + 5); break;
    default: g.arc(x, y, 3.4, 0, 7);
  }
  g.fill();
  if (bad) {
    g.strokeStyle = C.paper;
    g.lineWidth = 1.2;
    g.beginPath();
    g.moveTo(x - 2, y - 2); g.lineTo(x + 2, y + 2);
    g.moveTo(x + 2, y - 2); g.lineTo(x - 2, y + 2);
    if (group !== REQUEST) g.stroke();
  }
  g.globalAlpha = 1;
}

function ring(x, y, colour, radius = 8) {
  g.strokeStyle = colour;
  g.lineWidth = 2;
  g.beginPath();
  g.arc(x, y, radius, 0, 7);
  g.stroke();
}

/** So many arrows can be told apart; of more than that only failures are drawn, if they are few. */
const MOST_ARROWS = 400;

function arrows(world, plan, ui) {
  const lo = lowerBound(world.arrowX, view.x0), hi = lowerBound(world.arrowX, view.x1);
  const wanted = (k) => { const i = world.arrowEvent[k]; return world.shown[i] && (!ui.searching || world.hit[i]); };
  const bad = (k) => world.tone[world.arrowEvent[k]] === 2;
  let all = 0, failures = 0;
  for (let k = lo; k < hi; k++) if (wanted(k)) { all++; failures += bad(k); }
  const many = all > MOST_ARROWS;
  if (many && failures > MOST_ARROWS / 5) return;
  const alpha = 0.5 - 0.34 * Math.min(all / MOST_ARROWS, 1);
  let last = -9, lastWay = -1;
  for (let k = lo; k < hi; k++) {
    if (!wanted(k) || (many && !bad(k))) continue;
    const x = view.px(world.arrowX[k]), way = world.arrowFrom[k] * 4096 + world.arrowTo[k];
    // The same way within one pixel is one arrow.
    if (way === lastWay && x - last < 1) continue;
    last = x; lastWay = way;
    const i = world.arrowEvent[k], other = world.arrowOther[k];
    arrow(x, laneY(plan, world.arrowFrom[k]), other >= 0 ? view.px(world.x[other]) : x, laneY(plan, world.arrowTo[k]), C.groups[world.colourOf(i)], bad(k) ? Math.max(alpha, 0.6) : alpha);
  }
}

function arrow(x1, y1, x2, y2, colour, alpha, width = 1.1) {
  if (y1 === y2) return;
  const down = Math.sign(y2 - y1), bend = Math.min(26, Math.abs(y2 - y1) / 6), end = y2 - down * 7;
  g.globalAlpha = alpha;
  g.strokeStyle = g.fillStyle = colour;
  g.lineWidth = width;
  g.beginPath();
  g.moveTo(x1, y1);
  g.bezierCurveTo(x1 + bend * 0.4, y1 + (y2 - y1) * 0.3, x2 + bend * 0.4, y1 + (y2 - y1) * 0.7, x2, end);
  g.stroke();
  g.beginPath();
  g.moveTo(x2, end + down * 3);
  g.lineTo(x2 - 3.2, end - down * 3.4);
  g.lineTo(x2 + 3.2, end - down * 3.4);
  g.fill();
  g.globalAlpha = 1;
}

/** Certificates or tokens of one holder, one after the other. */
function bars(world, row, ui) {
  const list = row.bar.bars, y = row.y + 2.5, h = row.h - 6;
  // One that begins before the view may reach into it, and so may all before it that live as long.
  const from = Math.max(0, lowerBound(row.bar.starts, world.tOf(view.x0)) - 40);
  for (let k = from; k < list.length; k++) {
    const bar = list[k], x1 = view.px(world.xOf(bar.from));
    if (x1 > view.width) break;
    const x2 = bar.to === null ? view.width + 20 : view.px(world.xOf(bar.to));
    const lateEnd = bar.late.length ? view.px(world.x[bar.late[bar.late.length - 1]]) : x2;
    if (Math.max(x2, lateEnd) < GUTTER) continue;
    const colour = bar.kind === "token" ? C.token : bar.authority ? C.authority : C.pki;
    const left = Math.max(x1, GUTTER - 6), right = Math.max(Math.min(x2, view.width + 6), left + 2);
    g.globalAlpha = ui.bar === bar ? 0.95 : 0.42;
    g.fillStyle = colour;
    g.beginPath();
    g.roundRect(left, y, right - left, h, Math.min(3.5, (right - left) / 2));
    g.fill();
    g.globalAlpha = 1;
    if (x2 <= view.width) {
      g.fillStyle = colour;
      g.fillRect(Math.max(x2, left + 2) - 2, y, 2, h);
    }
    if (bar.late.length) late(x2, Math.max(lateEnd, x2 + 5), y, h);
    // One may begin before the last ends: the words stand where this one is alone.
    const last = k > 0 && list[k - 1].to !== null ? view.px(world.xOf(list[k - 1].to)) : -Infinity;
    const follows = k + 1 < list.length ? view.px(world.xOf(list[k + 1].from)) : Infinity;
    barCaption(world, bar, Math.max(left, last), Math.min(right, follows), row, ui.bar === bar ? C.paper : C.ink);
  }
}

/** From a certificate's end to where it was accepted last. */
function late(x1, x2, y, h) {
  g.save();
  g.beginPath();
  g.rect(x1, y, x2 - x1, h);
  g.clip();
  g.strokeStyle = C.bad;
  g.lineWidth = 1.5;
  g.beginPath();
  for (let x = Math.max(x1, GUTTER) - h; x < Math.min(x2, view.width); x += 5) { g.moveTo(x, y + h); g.lineTo(x + h, y); }
  g.stroke();
  g.restore();
}

function barCaption(world, bar, left, right, row, colour) {
  const font = "10.5px " + SANS, l = Math.max(left, GUTTER) + 7, r = Math.min(right, view.width - EDGE) - 6;
  if (r - l < 64) return;
  const date = bar.to === null ? "for ever" : "until " + instant(world, bar.to).slice(0, r - l > 150 ? 16 : 10);
  const long = bar.to === null ? date : date + " · " + duration(bar.to - bar.from);
  const string = fit(r - l > 240 ? long : date, r - l, font);
  text(string, r, row.y + row.h / 2, colour, font, "right");
}

/** Over the lanes of a host: while it was suspended, off, cut off. */
function faultBands(world, plan) {
  for (const fault of world.faults) {
    if (!fault.lasts) continue;
    const x1 = view.px(world.xOf(fault.t)), x2 = fault.until === null ? view.width : view.px(world.xOf(fault.until));
    if (x2 < GUTTER || x1 > view.width) continue;
    for (const h of fault.hosts) {
      const rows = plan.rows.filter((r) => r.host === h);
      if (!rows.length) continue;
      const y = rows[0].y, end = rows[rows.length - 1].y + rows[rows.length - 1].h;
      g.globalAlpha = 0.11;
      g.fillStyle = C.fault;
      g.fillRect(x1, y, Math.max(x2 - x1, 1.5), end - y);
      g.globalAlpha = 1;
    }
  }
}

function faultSigns(world, row, ui) {
  const mid = row.y + row.h / 2, font = "11px " + SANS;
  world.faults.forEach((fault, k) => {
    const x = view.px(world.x[fault.event]), x2 = fault.until === null ? x : view.px(world.xOf(fault.until));
    if (Math.max(x, x2) < GUTTER || x > view.width) return;
    if (x2 > x + 4) {
      g.globalAlpha = 0.35;
      g.fillStyle = C.fault;
      g.fillRect(x, mid - 2, x2 - x, 4);
      g.globalAlpha = 1;
    }
    sign(world, fault.event, x, mid);
    const after = world.faults[k + 1], next = after ? view.px(world.x[after.event]) : view.width;
    if (next - x > 60) onPaper(fit(faultText(world, fault), next - x - 20, font), x + 11, row, C.soft, font);
  });
}

const faultText = (world, fault) => fault.hosts.map((h) => world.hosts[h].name).join(" – ") + " " + fault.text;

/** Lines of the story as flags: checks that held, checks that did not, and what else was said. */
function storySigns(world, row) {
  const mid = row.y + row.h / 2;
  let free = -Infinity;
  for (const line of storyOf(world)) {
    const x = view.px(storyX(world, line));
    if (x < GUTTER - 10 || x > view.width + 10) continue;
    if (line.held === false) {
      g.fillStyle = C.bad;
      g.fillRect(Math.round(x), row.y, 1.5, view.height * 4);
    } else if (x - free < 13) continue;
    free = x;
    g.beginPath();
    if (line.held === undefined) {
      g.fillStyle = C.hint;
      g.arc(x, mid, 3, 0, 7);
      g.fill();
    } else {
      g.fillStyle = line.held ? C.good : C.bad;
      g.arc(x, mid, 7, 0, 7);
      g.fill();
      g.strokeStyle = C.paper;
      g.lineWidth = 1.8;
      g.beginPath();
      if (line.held) { g.moveTo(x - 3, mid); g.lineTo(x - 0.8, mid + 2.6); g.lineTo(x + 3.2, mid - 2.6); }
      else { g.moveTo(x - 2.6, mid - 2.6); g.lineTo(x + 2.6, mid + 2.6); g.moveTo(x + 2.6, mid - 2.6); g.lineTo(x - 2.6, mid + 2.6); }
      g.stroke();
    }
  }
}

const storyLines = new Map();
function storyOf(world) {
  if (!storyLines.has(world.number)) {
    storyLines.set(world.number, RUN.lines.filter((l) => l.world === world.number && l.text.trim()));
  }
  return storyLines.get(world.number);
}

/** A line stands where it was said: behind the events that were there then. */
const storyX = (world, line) => (world.steps ? line.event - 0.5 : line.t);

function selection(world, plan, ui) {
  if (ui.bar) return;
  const i = ui.selected;
  if (i < 0) return;
  const k = world.arrowOf[i], row = plan.laneRow[world.lane[i]];
  if (!row) return;
  const x = view.px(world.x[i]);
  g.fillStyle = C.accent;
  g.globalAlpha = 0.35;
  g.fillRect(Math.round(x), view.y, 1, view.height);
  g.globalAlpha = 1;
  if (k >= 0) {
    const other = world.arrowOther[k], event = world.arrowEvent[k];
    arrow(view.px(world.x[event]), laneY(plan, world.arrowFrom[k]), view.px(world.x[other >= 0 ? other : event]), laneY(plan, world.arrowTo[k]), C.accent, 1, 2.2);
  }
  sign(world, i, x, row.y + row.h / 2);
  ring(x, row.y + row.h / 2, C.accent, 9);
}

/** A line under the pointer, and its time on the axis. */
function pointerLine(world, plan, ui) {
  if (!ui.pointer || ui.pointer.x < GUTTER) return;
  const x = Math.round(ui.pointer.x), t = world.tOf(view.x(x));
  g.fillStyle = C.hint;
  g.globalAlpha = 0.5;
  g.fillRect(x, AXIS, 1, view.height);
  g.globalAlpha = 1;
  const label = instant(world, t, digitsFor(world.steps ? 1e3 : view.perPixel)), font = "600 11px " + SANS;
  g.font = font;
  const w = g.measureText(label).width + 14, left = Math.min(Math.max(x - w / 2, GUTTER), view.width - w - 2);
  g.fillStyle = C.ink;
  g.beginPath();
  g.roundRect(left, 4, w, AXIS - 9, 5);
  g.fill();
  text(label, left + 7, AXIS / 2 - 0.5, C.paper, font);
}

/** How far the rows are scrolled, at the right edge. */
function scrollSign(plan) {
  const room = view.height - AXIS;
  if (plan.height <= room) return;
  const h = Math.max((room / plan.height) * room, 24), y = AXIS + (view.y / (plan.height - room)) * (room - h);
  g.globalAlpha = 0.35;
  g.fillStyle = C.hint;
  g.beginPath();
  g.roundRect(view.width - 7, y, 4, h, 2);
  g.fill();
  g.globalAlpha = 1;
}
