"""A run that never was, as large as one likes: what the page must bear, whatever the stories hold today."""

import datetime
import random

SECOND = 1_000_000
DAY = 86_400 * SECOND
START = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)


def data(events=100_000, days=365, seed=7):
    """One world in the page's schema (`e2e/src/timeline/schema.rs`): so many events within so many days."""
    chance, numbers = random.Random(seed), {}

    def text(string):
        return numbers.setdefault(string, len(numbers))

    def at(micros):
        return (START + datetime.timedelta(microseconds=micros)).strftime("%Y-%m-%dT%H:%M:%SZ")

    names = ["cp1", "node1", "node2", "node3", "workstation"]
    hosts = [{"name": name, "address": f"10.0.0.{n + 2}", "clock": [[0, 0]]} for n, name in enumerate(names)]
    programs = ["init", "kubelet", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    lanes = [{"host": 0, "actor": program} for program in programs]
    for host in (1, 2, 3):
        lanes += [{"host": host, "actor": "init"}, {"host": host, "actor": "kubelet"}]
    lanes.append({"host": 4, "actor": "kubectl"})
    apiserver, clients = 3, [1, 4, 5, 7, 9, 11, 12]
    span, rows, faults, bars = days * DAY, [], [], []

    # One node's clock is set an hour ahead for a third of the run, and drifts back.
    step, back = span * 0.4, span * 0.7
    hosts[2]["clock"] = [[0, 0], [int(step), 0], [int(step), 3600 * SECOND], [int(back), 0], [span, 0]]
    rows.append((int(step), 8, "clock", 0, {"step": "1h"}))
    rows.append((int(span * 0.55), 6, "power", 0, {"off": ""}))
    rows.append((int(span * 0.58), 6, "power", 0, {"on": ""}))
    rows.append((int(span * 0.8), 10, "network", 0, {"cut": "node3|cp1"}))

    life = min(30 * DAY, span // 6)
    for lane, name in [(3, "apiserver"), (7, "node1"), (9, "node2"), (11, "node3")]:
        begin, serial = 0, chance.getrandbits(32)
        while begin < span:
            serial += 1
            rows.append((begin, lane, "certificate", 0, {
                "cn": name, "serial": f"{serial:x}", "not_before": at(begin), "not_after": at(begin + life), "issuer": "kubernetes"}))
            begin += int(life * 0.8)

    paths = ["/api/v1/nodes/", "/api/v1/namespaces/default/pods/", "/apis/coordination.k8s.io/v1/leases/", "/api/v1/secrets/"]
    verbs = ["get", "list", "watch", "update", "create", "patch"]
    while len(rows) < events:
        # Bursts: much at one instant, as in simulated worlds, and long silence.
        t = 0 if chance.random() < 0.1 else int(chance.random() ** 1.2 * span)
        for _ in range(min(chance.randrange(1, 30), events - len(rows))):
            t += chance.choice([0, 0, 0, 1000, 250_000])
            client, kind = chance.choice(clients), chance.random()
            if kind < 0.7:
                code = chance.choice([200] * 60 + [201] * 10 + [404] * 3 + [409] * 2 + [403, 500])
                fields = {"user": "system:node:node1", "verb": chance.choice(verbs), "path": chance.choice(paths) + f"x{chance.randrange(400)}", "code": str(code)}
                rows.append((t, apiserver, "request", 2 if code in (403, 500) else 1 if code > 400 else 0, fields, client))
            elif kind < 0.85:
                good = chance.random() < 0.97
                result = "ok" if good else "x509: certificate has expired or is not yet valid"
                rows.append((t, client, "handshake", 0 if good else 2, {"side": "client", "peer": "10.0.0.2:6443", "result": result}, None, apiserver))
            else:
                rows.append((t, client, "informer", 0, {"type": "*v1.Node", "listed": str(chance.randrange(90))}))
    rows.sort(key=lambda row: row[0])

    columns = {"dt": [], "skew": [], "lane": [], "kind": [], "tone": [], "fields": []}
    arrows, before = [], 0
    for number, (t, lane, kind, tone, fields, *ends) in enumerate(rows):
        columns["dt"].append(t - before)
        before = t
        columns["skew"].append(0)
        columns["lane"].append(lane)
        columns["kind"].append(text(kind))
        columns["tone"].append(tone)
        columns["fields"].append([text(part) for pair in fields.items() for part in pair])
        if ends:
            sender = ends[0] if ends[0] is not None else lane
            arrows.append([number, sender, ends[1] if len(ends) > 1 else lane, -1])
        if kind == "certificate":
            bars.append({"kind": kind, "lane": lane, "label": fields["cn"], "serial": fields["serial"], "from": t, "to": t + life, "event": number, "late": []})
        if kind in ("clock", "network") or "off" in fields:
            hit = [lanes[lane]["host"]] + ([0] if kind == "network" else [])
            words = {"clock": "wall clock set by 1h", "network": "cut off from each other", "power": "switched off"}[kind]
            faults.append({"kind": kind, "t": t, "until": int(span * 0.58) if kind == "power" else None, "lasts": kind != "clock", "hosts": hit, "text": words, "event": number})
    lines = [
        {"text": "A year of a cluster that never was.", "world": 0, "t": 0, "event": 0},
        {"text": "  ✓ all nodes are Ready                 4 of 4", "world": 0, "t": int(span * 0.02), "event": int(events * 0.02), "held": True},
        {"text": "node2's clock is set an hour ahead.", "world": 0, "t": int(step), "event": int(events * 0.4)},
        {"text": "  ✗ node2 stays Ready                   NotReady", "world": 0, "t": int(step + DAY), "event": int(events * 0.41), "held": False},
        {"text": "  ✓ the others do                       3 of 3", "world": 0, "t": int(step + DAY), "event": int(events * 0.41), "held": True},
    ]
    return {
        "format": "chronoplane.timeline/1", "title": "synthetic", "sentence": f"{events:,} events within {days} days.", "reference": "",
        "kubernetesVersion": "v1.36.0", "seed": seed, "held": False, "lines": lines, "strings": list(numbers),
        "worlds": [{"title": "A year of a cluster that never was", "start": "2026-01-01T00:00:00.000000Z", "gone": 0, "span": rows[-1][0], "hosts": hosts, "lanes": lanes, "events": columns, "arrows": arrows, "bars": bars, "faults": faults}],
    }
