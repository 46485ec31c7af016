// The whole run in a strip above the timeline, and the window on it that the timeline shows.

const overview = document.getElementById("overview");
let overviewPicture = null;

/** How much happened when, drawn once for each size, world, scale and choice of kinds. */
function overviewOf(world, width, height, ratio) {
  const key = [world.number, width, height, ratio, world.steps, C.paper, world.version].join();
  if (overviewPicture?.key === key) return overviewPicture.image;
  const image = document.createElement("canvas");
  image.width = width * ratio;
  image.height = height * ratio;
  const before = g;
  g = image.getContext("2d");
  g.scale(ratio, ratio);
  const bins = new Float64Array(Math.ceil(width / 2)), bad = new Uint8Array(bins.length);
  const [lo, hi] = wholeOf(world);
  for (let i = 0; i < world.n; i++) {
    if (!world.shown[i]) continue;
    const bin = Math.floor((((world.x[i] - lo) / (hi - lo)) * (width - GUTTER - EDGE) + GUTTER) / 2);
    bins[bin]++;
    if (world.tone[i] === 2) bad[bin] = 1;
  }
  const most = Math.log2(2 + Math.max(...bins));
  for (let b = 0; b < bins.length; b++) {
    if (!bins[b]) continue;
    const h = Math.max(2, (Math.log2(1 + bins[b]) / most) * (height - 20));
    g.fillStyle = C.request;
    g.globalAlpha = 0.6;
    g.fillRect(b * 2, height - 5 - h, 1.6, h);
    g.globalAlpha = 1;
    if (bad[b]) {
      g.fillStyle = C.bad;
      g.fillRect(b * 2, height - 5, 1.6, 3);
    }
  }
  g.textBaseline = "middle";
  for (const line of storyOf(world)) {
    if (line.held === undefined) continue;
    g.fillStyle = line.held ? C.good : C.bad;
    g.beginPath();
    g.arc(GUTTER + ((storyX(world, line) - lo) / (hi - lo)) * (width - GUTTER - EDGE), 8, line.held ? 2.2 : 3.6, 0, 7);
    g.fill();
  }
  for (const fault of world.faults) {
    const x = GUTTER + ((world.x[fault.event] - lo) / (hi - lo)) * (width - GUTTER - EDGE);
    g.fillStyle = C.fault;
    g.beginPath();
    g.moveTo(x, 11); g.lineTo(x + 3.5, 17); g.lineTo(x - 3.5, 17);
    g.fill();
  }
  g = before;
  overviewPicture = { key, image };
  return image;
}

function paintOverview(world, ratio) {
  const { width, height } = overview.getBoundingClientRect();
  if (!width) return;
  if (overview.width !== Math.round(width * ratio) || overview.height !== Math.round(height * ratio)) {
    overview.width = Math.round(width * ratio);
    overview.height = Math.round(height * ratio);
  }
  const o = overview.getContext("2d");
  o.setTransform(1, 0, 0, 1, 0, 0);
  o.clearRect(0, 0, overview.width, overview.height);
  o.drawImage(overviewOf(world, width, height, ratio), 0, 0);
  o.setTransform(ratio, 0, 0, ratio, 0, 0);
  const [lo, hi] = wholeOf(world), inner = width - GUTTER - EDGE;
  const at = (x) => GUTTER + ((Math.min(Math.max(x, lo), hi) - lo) / (hi - lo)) * inner;
  const x1 = at(view.x0), x2 = Math.max(at(view.x1), x1 + 3);
  o.fillStyle = C.paper;
  o.globalAlpha = 0.62;
  o.fillRect(GUTTER, 0, x1 - GUTTER, height);
  o.fillRect(x2, 0, width - x2, height);
  o.globalAlpha = 1;
  o.fillStyle = C.glow;
  o.fillRect(x1, 0, x2 - x1, height);
  o.strokeStyle = C.accent;
  o.lineWidth = 1;
  o.strokeRect(x1 + 0.5, 0.5, x2 - x1 - 1, height - 1);
  o.textBaseline = "middle";
  o.fillStyle = C.soft;
  o.font = "11px " + SANS;
  o.fillText(world.n.toLocaleString("en") + " events in " + duration(world.span), 14, height / 2 - 8);
  o.fillStyle = C.hint;
  o.fillText("from " + instant(world, 0) + " UTC", 14, height / 2 + 9);
}

/** Dragging in the strip moves the window, dragging outside of it makes a new one. */
function listenOverview(ui, changed) {
  let from = null;
  const xAt = (event) => {
    const box = overview.getBoundingClientRect(), [lo, hi] = wholeOf(ui.world);
    return lo + ((event.clientX - box.left - GUTTER) / (box.width - GUTTER - EDGE)) * (hi - lo);
  };
  overview.addEventListener("pointerdown", (event) => {
    overview.setPointerCapture(event.pointerId);
    const x = xAt(event), [lo, hi] = wholeOf(ui.world);
    const inside = x > view.x0 && x < view.x1 && view.x1 - view.x0 < (hi - lo) * 0.9;
    from = { x, moves: inside ? view.x0 - x : null, moved: false };
  });
  overview.addEventListener("pointermove", (event) => {
    if (!from) return;
    const x = xAt(event), span = view.x1 - view.x0;
    from.moved = true;
    if (from.moves !== null) setView(ui.world, x + from.moves, x + from.moves + span);
    else setView(ui.world, Math.min(x, from.x), Math.max(x, from.x));
    changed();
  });
  overview.addEventListener("pointerup", () => {
    if (from && !from.moved) {
      const span = view.x1 - view.x0;
      setView(ui.world, from.x - span / 2, from.x + span / 2);
      changed();
    }
    from = null;
  });
}
