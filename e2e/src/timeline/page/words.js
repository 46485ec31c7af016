// Times, durations and events in words.

const UNITS = [[31_557_600e6, "y"], [86_400e6, "d"], [3_600e6, "h"], [60e6, "min"], [1e6, "s"], [1e3, "ms"], [1, "µs"]];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const pad = (n, width = 2) => String(n).padStart(width, "0");

/** Microseconds in words, at most two units: `1 y 4 d`, `2 min 5 s`, `12 ms`. */
function duration(us) {
  const sign = us < 0 ? "−" : "";
  let rest = Math.abs(us);
  if (rest < 0.5) return "0 s";
  const at = UNITS.findIndex(([size]) => rest >= size);
  if (at < 0) return sign + rest.toFixed(1) + " µs";
  const [size, name] = UNITS[at];
  if (at >= 4) return sign + +(rest / size).toPrecision(3) + " " + name;
  const whole = Math.floor(rest / size);
  rest -= whole * size;
  const [small, smallName] = UNITS[at + 1];
  const part = Math.floor(rest / small + 1e-9);
  return sign + whole + " " + name + (part ? " " + part + " " + smallName : "");
}

/** A skew: `+1 h`, `−2 min 5 s`. */
const ahead = (us) => (us > 0 ? "+" : "") + duration(us);

/** An instant's parts in UTC, the microseconds of its second among them. */
function parts(world, t) {
  const ms = Math.floor(t / 1000), date = new Date(world.startMs + ms);
  const micros = Math.round(t - ms * 1000) + date.getUTCMilliseconds() * 1000;
  return { date, micros };
}

function day(date) { return date.getUTCFullYear() + "-" + pad(date.getUTCMonth() + 1) + "-" + pad(date.getUTCDate()); }

/** `2026-01-02 15:04:05`, with as much of the second as `digits` says. */
function instant(world, t, digits = 0) {
  const { date, micros } = parts(world, t);
  const clock = pad(date.getUTCHours()) + ":" + pad(date.getUTCMinutes()) + ":" + pad(date.getUTCSeconds());
  return day(date) + " " + clock + (digits ? "." + pad(micros, 6).slice(0, digits) : "");
}

/** How many digits of a second tell two pixels apart. */
function digitsFor(usPerPixel) {
  if (usPerPixel >= 2e5) return 0;
  return usPerPixel >= 500 ? 3 : 6;
}

/** One line about an event. */
function summary(world, i) {
  const f = world.fieldsOf(i), kind = S[world.kind[i]];
  switch (kind) {
    case "request": return [f.verb, f.path, f.code].filter(Boolean).join(" ");
    case "handshake": {
      const who = f.side === "client" ? "to " + f.peer : "from " + (f.peer_cn || f.peer);
      return f.result === "ok" ? "handshake " + who : "handshake " + who + ": " + f.result;
    }
    case "certificate": return "certificate " + (f.file || f.action || f.cn) + ", until " + (f.not_after || "").slice(0, 10);
    case "csr": return "CSR " + [f.name, f.state, f.error].filter(Boolean).join(" ");
    case "service": return f.unit + (f.action ? " " + f.action + "s" : " ended: " + f.exit);
    default: {
      const rest = Object.entries(f).map(([k, v]) => (v === "" ? k.replaceAll("_", " ") : v));
      return kind + " " + rest.join(" ");
    }
  }
}

const NOUN = { request: "Request", handshake: "TLS handshake", certificate: "Certificate", csr: "Certificate signing request", token: "Token", discovery: "Discovery (JWS)", clock: "Clock", network: "Network", disk: "Disk", power: "Power", service: "Service", informer: "Informer", election: "Leader election", authentication: "Authentication" };
const noun = (kind) => NOUN[kind] || kind[0].toUpperCase() + kind.slice(1);
