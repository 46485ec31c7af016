// What part of the run is in view, and the ticks of its axis.

const GUTTER = 214, AXIS = 30, EDGE = 16;

/** The horizontal view: from `x0` to `x1` in the world's unit, microseconds or steps. */
const view = {
  x0: 0, x1: 1, y: 0, width: 800, height: 400,
  get inner() { return Math.max(this.width - GUTTER - EDGE, 50); },
  get perPixel() { return (this.x1 - this.x0) / this.inner; },
  px(x) { return GUTTER + ((x - this.x0) / (this.x1 - this.x0)) * this.inner; },
  x(px) { return this.x0 + ((px - GUTTER) / this.inner) * (this.x1 - this.x0); },
};

/** Everything, with a little room at both ends. */
function wholeOf(world) {
  const end = world.steps ? Math.max(world.n - 1, 1) : Math.max(world.span, world.n ? world.spread[world.n - 1] : 1, 1);
  return [-end * 0.012, end * 1.012];
}

/** Sets the view, within reason: not closer than a few microseconds, not further than some times the run. */
function setView(world, x0, x1) {
  const [lo, hi] = wholeOf(world), most = (hi - lo) * 12, least = world.steps ? 4 : Math.min(8, hi - lo);
  let span = x1 - x0;
  if (span < least || span > most) {
    const mid = (x0 + x1) / 2;
    span = Math.min(Math.max(span, least), most);
    x0 = mid - span / 2;
  }
  // The run stays in sight.
  x0 = Math.min(Math.max(x0, lo - span * 0.9), hi - span * 0.1);
  view.x0 = x0;
  view.x1 = x0 + span;
}

const zoom = (world, factor, at = (view.x0 + view.x1) / 2) =>
  setView(world, at - (at - view.x0) * factor, at + (view.x1 - at) * factor);

const TICKS = [];
for (const size of [1, 1e3]) for (const n of [1, 2, 5, 10, 20, 50, 100, 200, 500]) TICKS.push(n * size);
for (const n of [1, 2, 5, 10, 15, 30]) TICKS.push(n * 1e6);
for (const n of [1, 2, 5, 10, 15, 30]) TICKS.push(n * 60e6);
for (const n of [1, 2, 3, 6, 12]) TICKS.push(n * 3600e6);
for (const n of [1, 2, 7, 14]) TICKS.push(n * 86400e6);
const MONTHLY = [1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200];
const MONTH = 30.44 * 86400e6;

/** Ticks between two times, at least `room` microseconds apart: `[t, label, strong]`. */
function ticks(world, t0, t1, room) {
  const step = TICKS.find((s) => s >= room);
  return step ? evenTicks(world, t0, t1, step) : monthTicks(world, t0, t1, MONTHLY.find((m) => m * MONTH >= room) || 1200);
}

function evenTicks(world, t0, t1, step) {
  const out = [], offset = (world.startMs * 1000) % step || 0;
  // Microseconds since 1970 are no exact number in a double any more for small steps: count from the world's start.
  const origin = step >= 1e6 ? -offset : 0;
  for (let k = Math.ceil((t0 - origin) / step); origin + k * step <= t1; k++) {
    const t = origin + k * step;
    const { date, micros } = parts(world, t);
    const h = date.getUTCHours(), m = date.getUTCMinutes(), s = date.getUTCSeconds();
    if (step >= 86400e6 || (h === 0 && m === 0 && s === 0 && micros === 0 && step >= 1e6)) {
      const first = date.getUTCDate() === 1 && date.getUTCMonth() === 0;
      const label = date.getUTCDate() + " " + MONTHS[date.getUTCMonth()];
      out.push([t, first || k === Math.ceil((t0 - origin) / step) ? label + " " + date.getUTCFullYear() : label, step < 86400e6 || date.getUTCDate() === 1]);
    } else if (step >= 60e6) out.push([t, pad(h) + ":" + pad(m), m === 0 && step < 3600e6]);
    else if (step >= 1e6) out.push([t, pad(h) + ":" + pad(m) + ":" + pad(s), s === 0]);
    else if (micros === 0) out.push([t, pad(h) + ":" + pad(m) + ":" + pad(s), true]);
    else if (step >= 1e3) out.push([t, "." + pad(micros, 6).slice(0, 3), false]);
    else out.push([t, "." + pad(micros, 6), micros % 1000 === 0]);
  }
  return out;
}

function monthTicks(world, t0, t1, months) {
  const out = [], { date } = parts(world, t0);
  let m = date.getUTCFullYear() * 12 + date.getUTCMonth();
  m = Math.ceil(m / months) * months;
  for (; ; m += months) {
    const at = new Date(0);
    at.setUTCFullYear(Math.floor(m / 12), m % 12, 1);
    const t = (at.getTime() - world.startMs) * 1000;
    if (t > t1) return out;
    if (t < t0) continue;
    const january = m % 12 === 0;
    out.push([t, january ? String(at.getUTCFullYear()) : MONTHS[m % 12], january && months < 12]);
  }
}

/** Ticks in steps: at even distances, each with the time at which that step was made. */
function stepTicks(world, x0, x1, room) {
  const size = [1, 2, 5, 10, 20, 50, 100, 200, 500].flatMap((n) => [n, n * 1e3, n * 1e6]).sort((a, b) => a - b).find((s) => s >= room) || 1e9;
  const out = [];
  let before = "", last = "";
  for (let x = Math.max(Math.ceil(x0 / size) * size, 0); x <= Math.min(x1, world.n - 1); x += size) {
    const { date } = parts(world, world.t[x]), text = instant(world, world.t[x], 3), fresh = text.slice(0, 10) !== before;
    const label = text.endsWith(".000") ? text.slice(11, -4) : text.slice(11);
    const same = out.length > 0 && text === last;
    out.push([x, same ? "step " + x : fresh ? date.getUTCDate() + " " + MONTHS[date.getUTCMonth()] + " " + label : label, fresh]);
    before = text.slice(0, 10);
    last = text;
  }
  return out;
}
