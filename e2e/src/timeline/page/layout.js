// What stands below what: the rows of a world, each with its place and height.

const folded = new Set();

/** Rows from top to bottom; `y` is counted from the top of the first. */
function layout(world) {
  const rows = [];
  let y = 4;
  const add = (row, h) => { rows.push({ ...row, y, h }); y += h; };
  if (RUN.lines.some((l) => l.world === world.number)) add({ type: "story", name: "Story" }, 30);
  if (world.faults.length) add({ type: "faults", name: "Faults" }, 26);
  world.hosts.forEach((host, h) => {
    const key = world.number + "/" + host.name;
    const lanes = world.lanes.map((l, n) => ({ l, n })).filter(({ l }) => l.host === h);
    const bars = world.barRows.filter((r) => r.host === h);
    if (!lanes.length && !bars.length) return;
    add({ type: "host", name: host.name, host: h, folded: folded.has(key), key }, 32);
    if (folded.has(key)) return;
    for (const { l, n } of lanes) add({ type: "lane", name: l.actor, host: h, lane: n }, 25);
    if (bars.length) y += 3;
    for (const r of bars) add({ type: "bar", name: r.label, host: h, bar: r }, 17);
    y += 5;
  });
  const laneRow = world.lanes.map((l, n) => rows.find((r) => r.lane === n) || rows.find((r) => r.type === "host" && r.host === l.host));
  return { rows, height: y + 10, laneRow };
}

/** The height at which a lane's line runs. */
const laneY = (plan, lane) => { const r = plan.laneRow[lane]; return r ? r.y + r.h / 2 : 0; };

/** The row at height `y` of the whole. */
const rowAt = (plan, y) => plan.rows.find((r) => y >= r.y && y < r.y + r.h);
