// The panel of details: one event or one certificate, decoded as far as the record holds it, and what belongs to it.

const KEY_WORDS = {
  cn: "Common name", o: "Organizations", serial: "Serial number", not_before: "Not before", not_after: "Not after", issuer: "Issuer", names: "Names", usage: "Usages", usages: "Usages", ca: "Authority", csr: "Made for CSR", file: "kubeadm's file", signer: "Signer", peer: "Other end", peer_cn: "Client's name", sni: "Server name", side: "Recorded by", result: "Result", port: "Port", user: "User", verb: "Verb", path: "Path", code: "Answer", from: "From", agent: "Program", until: "Until", jws: "JWS", pins: "Pins of the CA", document: "Document", state: "State", error: "Error", err: "Reason",
};
const MOST_LISTED = 40;

function definition(dl, key, value, className = "") {
  dl.append(make("dt", "", key), make("dd", className, value));
}

/** Fills the panel for what is chosen in `ui`, or hides it. */
function fillDetails(ui, act) {
  const panel = byId("details");
  panel.hidden = ui.selected < 0 && !ui.bar;
  if (panel.hidden) return;
  const close = make("button", "close", "×");
  close.type = "button";
  close.title = "Close (Esc)";
  close.setAttribute("aria-label", "Close details");
  close.addEventListener("click", act.close);
  panel.replaceChildren(close, ...(ui.bar ? barDetails(ui, act) : eventDetails(ui, act)));
  panel.scrollTop = 0;
}

function eventDetails(ui, act) {
  const world = ui.world, i = ui.selected, kind = S[world.kind[i]], fields = world.fieldsOf(i), host = world.hostOf(i);
  const out = [make("h2", world.tone[i] === 2 ? "bad" : "", noun(kind))];
  out.push(make("p", "under", host.name + " / " + world.lanes[world.lane[i]].actor));
  const dl = make("dl");
  definition(dl, "Time", instant(world, world.t[i], 6) + " UTC");
  const skew = world.skew[i];
  definition(dl, host.name + "’s clock", Math.abs(skew) < 1000 ? "right" : instant(world, world.t[i] + skew, 3) + "\n" + ahead(skew), Math.abs(skew) < 1000 ? "" : "bad");
  out.push(dl, walkButtons(act), make("h3", "", "Record"));
  const record = make("dl");
  for (const [key, value] of Object.entries(fields)) {
    const mono = ["serial", "path", "peer", "error", "err", "result"].includes(key) ? "mono" : "";
    const wrong = key === "error" || key === "err" || (key === "result" && value !== "ok") || (key === "code" && world.tone[i] === 2);
    definition(record, KEY_WORDS[key] || key.replaceAll("_", " "), value || "–", [mono, wrong ? "bad" : ""].join(" ").trim());
  }
  out.push(record);
  const bar = world.bySerial.get(fields.serial);
  if (bar) out.push(...lifeOf(world, bar, world.t[i]), barLink(bar, world.t[i], act));
  const k = world.arrowOf[i];
  if (k >= 0) {
    const other = world.arrowOther[k] === i ? world.arrowEvent[k] : world.arrowOther[k];
    const place = (lane) => world.hosts[world.lanes[lane].host].name + " / " + world.lanes[lane].actor;
    out.push(make("h3", "", "Way"), make("p", "", place(world.arrowFrom[k]) + " → " + place(world.arrowTo[k])));
    if (other >= 0) out.push(eventList(world, [other], act));
  }
  out.push(...relatives(world, i, kind, fields, act));
  return out;
}

/** What tells of the same certificate, the same signing request, the same pod. */
function relatives(world, i, kind, fields, act) {
  const key = kind === "csr" ? "name" : kind === "certificate" && fields.csr ? "csr" : fields.serial ? "serial" : "";
  if (!key) return [];
  const value = S.indexOf(fields[key]), csr = key === "name" || key === "csr";
  const found = [];
  for (let e = 0; e < world.n; e++) {
    if (e === i || (csr && !["csr", "certificate"].includes(S[world.kind[e]]))) continue;
    const f = world.fields[e];
    for (let k = 0; k < f.length; k += 2) if (f[k + 1] === value && (csr || S[f[k]] === "serial")) { found.push(e); break; }
  }
  if (!found.length) return [];
  if (csr) return [make("h3", "", "The same request"), eventList(world, found, act)];
  const shown = found.filter((e) => world.group[e] === HANDSHAKE), told = found.filter((e) => world.group[e] !== HANDSHAKE);
  const out = told.length ? [make("h3", "", "The same certificate" + many(told)), eventList(world, told, act)] : [];
  if (!shown.length) return out;
  const some = shown.length > 8 ? [...shown.slice(0, 4), ...shown.slice(-4)] : shown;
  const words = "Shown in " + shown.length + (shown.length > 1 ? " handshakes" : " handshake") + (shown.length > 8 ? ": the first, the last" : "");
  return [...out, make("h3", "", words), eventList(world, some, act)];
}

const many = (list) => (list.length > MOST_LISTED ? " (" + MOST_LISTED + " of " + list.length + ")" : "");

function eventList(world, events, act) {
  const ul = make("ul");
  for (const e of events.slice(0, MOST_LISTED)) {
    const button = make("button", "", dotOf(world, e), make("time", "", instant(world, world.t[e])), summary(world, e));
    button.type = "button";
    button.addEventListener("click", () => act.select(e));
    ul.append(make("li", "", button));
  }
  return ul;
}

function walkButtons(act) {
  const walk = make("div", "walk");
  for (const [words, title, step] of [["‹ before", "Event before in this lane (,)", -1], ["after ›", "Next event in this lane (.)", 1]]) {
    const button = make("button", "", words);
    button.type = "button";
    button.title = title;
    button.addEventListener("click", () => act.walk(step));
    walk.append(button);
  }
  const near = make("button", "", "Zoom here");
  near.type = "button";
  near.addEventListener("click", act.near);
  walk.append(near);
  return walk;
}

function barLink(bar, t, act) {
  const button = make("button", "", "Show the certificate");
  button.type = "button";
  button.addEventListener("click", () => act.selectBar(bar, t));
  return button;
}

/** How much of a validity is over at `t`, which is called `when`. */
function lifeOf(world, bar, t, when = "then") {
  if (bar.to === null) return [];
  const share = (t - bar.from) / (bar.to - bar.from), over = share > 1;
  const life = make("div", over ? "life over" : "life", make("i"));
  life.firstChild.style.width = Math.min(Math.max(share, 0), 1) * 100 + "%";
  const left = over ? "expired for " + duration(t - bar.to) : share < 0 ? "valid in " + duration(bar.from - t) : duration(bar.to - t) + " left";
  const ends = make("div", "ends", make("span", "", instant(world, bar.from).slice(0, 10)), make("span", over || share < 0 ? "bad" : "", left + " " + when), make("span", "", instant(world, bar.to).slice(0, 10)));
  return [make("h3", "", "Validity"), life, ends];
}

function barDetails(ui, act) {
  const world = ui.world, bar = ui.bar, fields = world.fieldsOf(bar.event), lane = world.lanes[bar.lane];
  const out = [make("h2", "", fields.cn || bar.label)];
  const what = bar.kind === "token" ? "Token" : bar.authority ? "Certificate of an authority" : "Certificate";
  out.push(make("p", "under", what + " · " + world.hosts[lane.host].name + " / " + lane.actor));
  const t = ui.barAt, dl = make("dl");
  for (const [key, value] of Object.entries(fields)) definition(dl, KEY_WORDS[key] || key.replaceAll("_", " "), value, key === "serial" ? "mono" : "");
  if (bar.to !== null) definition(dl, "Lives for", duration(bar.to - bar.from));
  out.push(...lifeOf(world, bar, t, "at " + instant(world, t)), make("h3", "", "Decoded"), dl);
  const skewed = world.hosts.filter((host) => host.clock.some(([, s]) => Math.abs(s) >= 1000));
  if (bar.to !== null && skewed.length) {
    out.push(make("h3", "", "By clocks that were wrong"));
    const list = make("dl");
    for (const host of skewed) {
      const skew = skewAt(host, t), now = t + skew;
      definition(list, host.name + " " + (skew ? ahead(skew) : "right"), now > bar.to ? "expired" : now < bar.from ? "not yet valid" : "valid", now > bar.to || now < bar.from ? "bad" : "good");
    }
    out.push(list);
  }
  if (bar.late.length) out.push(make("h3", "bad", "Accepted after its end" + many(bar.late)), eventList(world, bar.late, act));
  out.push(make("h3", "", "Told by"), eventList(world, [bar.event], act), ...relatives(world, bar.event, "", { serial: bar.serial }, act));
  return out;
}
