// The run as it lies in this page, and each world of it in a form that can be searched and drawn fast: columns, sorted
// by time, with sums that answer "how many between here and there" without a walk.

let RUN = JSON.parse(document.getElementById("data").textContent);
let S = RUN.strings;

/** Groups of kinds; the last two are colours only. */
const GROUPS = [
  { id: "request", name: "Requests", kinds: ["request"] },
  { id: "handshake", name: "Handshakes", kinds: ["handshake"] },
  { id: "pki", name: "Certificates", kinds: ["certificate", "csr", "token", "discovery"] },
  { id: "process", name: "Programs", kinds: null },
  { id: "fault", name: "Faults", kinds: ["clock", "network", "disk", "power"] },
];
const REQUEST = 0, HANDSHAKE = 1, PKI = 2, PROCESS = 3, FAULT = 4, BAD = 5;

const groupOfKind = new Map();
GROUPS.forEach((g, n) => (g.kinds || []).forEach((k) => groupOfKind.set(k, n)));

/** The first place in sorted `xs` whose value is not less than `x`. */
function lowerBound(xs, x, lo = 0, hi = xs.length) {
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (xs[mid] < x) lo = mid + 1; else hi = mid;
  }
  return lo;
}

class World {
  constructor(data, number) {
    this.number = number;
    this.title = data.title;
    this.startMs = Date.parse(data.start);
    this.hosts = data.hosts;
    this.lanes = data.lanes;
    this.bars = data.bars;
    this.faults = data.faults;
    this.span = Math.max(data.span, 1);
    const e = data.events, n = e.dt.length;
    this.n = n;
    this.fields = e.fields;
    this.tone = Uint8Array.from(e.tone);
    this.lane = Int32Array.from(e.lane);
    this.kind = Int32Array.from(e.kind);
    this.skew = Float64Array.from(e.skew);
    this.t = new Float64Array(n);
    let t = 0;
    for (let i = 0; i < n; i++) this.t[i] = t += e.dt[i];
    this.group = new Uint8Array(n);
    for (let i = 0; i < n; i++) this.group[i] = groupOfKind.get(S[e.kind[i]]) ?? PROCESS;
    this.spread = spread(this.t);
    this.order = Float64Array.from({ length: n }, (_, i) => i);
    this.readArrows(data.arrows);
    this.readBars();
    this.shown = new Uint8Array(n).fill(1);
    this.hit = new Uint8Array(n);
    this.byLane = this.lanes.map(() => null);
    this.arrange();
  }

  readArrows(arrows) {
    this.arrowEvent = Int32Array.from(arrows, (a) => a[0]);
    this.arrowFrom = Int32Array.from(arrows, (a) => a[1]);
    this.arrowTo = Int32Array.from(arrows, (a) => a[2]);
    this.arrowOther = Int32Array.from(arrows, (a) => a[3]);
    this.arrowOf = new Int32Array(this.n).fill(-1);
    arrows.forEach((a, k) => {
      this.arrowOf[a[0]] = k;
      if (a[3] >= 0) this.arrowOf[a[3]] = k;
    });
  }

  /** Bars of one holder with one label follow each other in one row. */
  readBars() {
    const rows = new Map();
    this.bySerial = new Map();
    this.bars.forEach((bar, k) => {
      bar.number = k;
      const fields = this.fieldsOf(bar.event);
      bar.authority = fields.ca === "true";
      if (bar.serial) this.bySerial.set(bar.serial, bar);
      const key = bar.lane + " " + bar.kind + " " + bar.label;
      if (!rows.has(key)) rows.set(key, { host: this.lanes[bar.lane].host, label: bar.label, kind: bar.kind, bars: [] });
      rows.get(key).bars.push(bar);
    });
    this.barRows = [...rows.values()];
    this.barRows.forEach((row) => {
      row.bars.sort((a, b) => a.from - b.from);
      row.starts = Float64Array.from(row.bars, (b) => b.from);
    });
    // What ends within the run is what the run is about: it stands first.
    const ends = (row) => row.bars.some((b) => b.to !== null && b.to <= this.span);
    this.barRows.sort((a, b) => a.host - b.host || (a.kind > b.kind) - (a.kind < b.kind) || ends(b) - ends(a));
  }

  /** What each lane shows, after `shown` or `hit` changed: its events, and for each group how many came before; and what
   * the list of events is made of. */
  arrange(searching = false) {
    const lists = this.lanes.map(() => []), chosen = new Int32Array(this.n), wanted = searching ? this.hit : this.shown;
    let count = 0;
    for (let i = 0; i < this.n; i++) {
      if (this.shown[i]) lists[this.lane[i]].push(i);
      if (wanted[i]) chosen[count++] = i;
    }
    this.chosen = chosen.subarray(0, count);
    this.byLane = lists.map((list) => {
      const events = Int32Array.from(list);
      const sums = Array.from({ length: 7 }, () => new Int32Array(events.length + 1));
      for (let k = 0; k < events.length; k++) {
        const i = events[k], g = this.tone[i] === 2 ? BAD : this.group[i];
        for (let s = 0; s < 6; s++) sums[s][k + 1] = sums[s][k] + (s === g ? 1 : 0);
        sums[6][k + 1] = sums[6][k] + this.hit[i];
      }
      return { events, sums, x: null };
    });
    this.place(this.x === this.order);
  }

  /** Places events by time or by order. */
  place(bySteps) {
    this.x = bySteps ? this.order : this.spread;
    const placed = (events) => {
      const out = new Float64Array(events.length);
      for (let k = 0; k < out.length; k++) out[k] = this.x[events[k]];
      return out;
    };
    for (const lane of this.byLane) lane.x = placed(lane.events);
    this.arrowX = placed(this.arrowEvent);
    this.chosenX = placed(this.chosen);
  }

  get steps() { return this.x === this.order; }

  /** Where a time lies on the scale. */
  xOf(t) {
    if (!this.steps) return t;
    const hi = lowerBound(this.t, t);
    if (hi === 0) return t < this.t[0] ? -1 : 0;
    if (hi >= this.n) return t > this.t[this.n - 1] ? this.n : this.n - 1;
    const gap = this.t[hi] - this.t[hi - 1];
    return hi - 1 + (gap ? (t - this.t[hi - 1]) / gap : 1);
  }

  /** Which time lies there. */
  tOf(x) {
    if (!this.steps) return x;
    if (!this.n) return 0;
    const lo = Math.floor(x);
    if (lo < 0) return this.t[0];
    if (lo >= this.n - 1) return this.t[this.n - 1];
    return this.t[lo] + (x - lo) * (this.t[lo + 1] - this.t[lo]);
  }

  fieldsOf(i) {
    const out = {}, f = this.fields[i];
    for (let k = 0; k < f.length; k += 2) out[S[f[k]]] = S[f[k + 1]];
    return out;
  }

  hostOf(i) { return this.hosts[this.lanes[this.lane[i]].host]; }

  colourOf(i) { return this.tone[i] === 2 ? BAD : this.group[i]; }
}

/** What happens at one instant, side by side: at most a microsecond apart, and before what comes next. */
function spread(t) {
  const x = new Float64Array(t.length);
  for (let i = 0; i < t.length;) {
    let j = i;
    while (j < t.length && t[j] === t[i]) j++;
    const room = j < t.length ? t[j] - t[i] : Infinity;
    const step = Math.min(1, room / (j - i));
    for (let k = i; k < j; k++) x[k] = t[i] + (k - i) * step;
    i = j;
  }
  return x;
}

/** By how much a host's clock is ahead at time `t`. */
function skewAt(host, t) {
  const c = host.clock;
  if (!c.length || t < c[0][0]) return c.length ? c[0][1] : 0;
  let lo = 0, hi = c.length;
  while (lo < hi) {
    const mid = (lo + hi) >> 1;
    if (c[mid][0] <= t) lo = mid + 1; else hi = mid;
  }
  const [t1, s1] = c[lo - 1];
  if (lo === c.length) return s1;
  const [t2, s2] = c[lo];
  return t2 > t1 ? s1 + ((s2 - s1) * (t - t1)) / (t2 - t1) : s2;
}

const opened = [];
function openWorld(number) {
  opened[number] ||= new World(RUN.worlds[number], number);
  return opened[number];
}

/** Marks what matches the words of `query`: text anywhere, or key:value for host, program, kind or a field. */
function search(world, query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  world.hit.fill(words.length ? 1 : 0);
  for (const word of words) {
    const cut = word.indexOf(":"), key = cut > 0 ? word.slice(0, cut) : "";
    const keys = new Set(["host", "program", "kind"]);
    const named = keys.has(key) || (key && S.includes(key) && cut < word.length - 1);
    const text = named ? word.slice(cut + 1) : word;
    const has = Uint8Array.from(S, (s) => (s.toLowerCase().includes(text) ? 1 : 0));
    const lanes = world.lanes.map((l) => ({
      host: world.hosts[l.host].name.toLowerCase().includes(text), program: l.actor.toLowerCase().includes(text),
    }));
    const keyNumber = S.indexOf(key);
    for (let i = 0; i < world.n; i++) {
      if (!world.hit[i]) continue;
      const lane = lanes[world.lane[i]], f = world.fields[i];
      let found = false;
      if (!named || key === "host") found ||= lane.host;
      if (!named || key === "program") found ||= lane.program;
      if (!named || key === "kind") found ||= !!has[world.kind[i]];
      for (let k = 0; k < f.length && !found; k += 2) {
        if (named ? f[k] === keyNumber && has[f[k + 1]] : has[f[k + 1]]) found = true;
      }
      if (!found) world.hit[i] = 0;
    }
  }
  let count = 0;
  for (let i = 0; i < world.n; i++) count += world.hit[i] &= world.shown[i];
  return count;
}
