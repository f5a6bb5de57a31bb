"""Style and script of the page of Figure 3: plain canvas, no library."""

from __future__ import annotations

__all__ = ["SCRIPT", "STYLE"]

STYLE = """
body { max-width: 1500px; }
#panels { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: .8rem; }
@media (max-width: 800px) { #panels { grid-template-columns: 1fr; } }
figure { margin: 0; } figcaption { font-weight: 600; text-align: center; padding: .2rem; }
canvas { width: 100%; aspect-ratio: 1; border: 1px solid var(--line); border-radius: 6px; cursor: grab;
  touch-action: none; display: block; }
canvas:active { cursor: grabbing; }
#tools { display: flex; flex-wrap: wrap; gap: .4rem 1rem; align-items: center; margin-bottom: .6rem; }
#legend button { font: inherit; font-size: 13px; color: inherit; background: none; border: 0; cursor: pointer;
  padding: .1rem .4rem; }
#legend button.off { opacity: .35; } #legend i { display: inline-block; width: .7em; height: .7em; border-radius: 50%;
  margin-right: .35em; }
#tip { min-height: 1.5em; font-weight: 600; } #find { font: inherit; padding: .15rem .4rem; min-width: 14rem; }
"""

SCRIPT = """
"use strict";
const panels = [...document.querySelectorAll("canvas")].map((canvas, n) => ({canvas, points: DATA.points[n]}));
const count = DATA.titles.length, on = DATA.legend.map(() => true), tip = document.getElementById("tip");
const find = document.getElementById("find"), turn = document.getElementById("turn");
const next = Array.from({length: count}, () => []);
DATA.edges[0].forEach((a, n) => { const b = DATA.edges[1][n]; next[a].push(b); next[b].push(a); });
// in a fixed order that mixes genres, so that none hides another
const order = DATA.titles.map((_, n) => n).sort((a, b) => (a * 7919) % 1613 - (b * 7919) % 1613);
let yaw = 0.6, pitch = 0.35, zoom = 1, marked = -1, matches = null, waiting = false;

function draw() {
  waiting = false;
  const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
  const ink = getComputedStyle(document.body).color;
  for (const panel of panels) {
    const {canvas, points} = panel, ratio = window.devicePixelRatio || 1;
    const size = Math.max(1, Math.round(canvas.clientWidth * ratio));
    if (canvas.width !== size) { canvas.width = size; canvas.height = size; }
    const pen = canvas.getContext("2d"), scale = size * 0.4 * zoom, middle = size / 2;
    // x to the right, z up, y away; a camera without perspective keeps distances comparable
    const place = (x, y, z) => {
      const across = cy * x + sy * y, away = -sy * x + cy * y;
      return [middle + scale * across, middle - scale * (cp * z + sp * away)];
    };
    pen.clearRect(0, 0, size, size);
    axes(pen, place, ink, ratio);
    panel.at = new Float32Array(2 * count);
    for (let n = 0; n < count; n++) {
      const [px, py] = place(points[3 * n], points[3 * n + 1], points[3 * n + 2]);
      panel.at[2 * n] = px; panel.at[2 * n + 1] = py;
    }
    const dot = 1.5 * ratio * Math.sqrt(zoom);
    for (const n of order) {
      if (!on[DATA.genre[n]]) continue;
      pen.fillStyle = DATA.colours[DATA.genre[n]];
      pen.globalAlpha = matches && !matches.has(n) ? 0.07 : 0.6;
      disc(pen, panel.at, n, matches && matches.has(n) ? 2 * dot : dot);
    }
    pen.globalAlpha = 1;
    if (marked >= 0) mark(pen, panel.at, ink, dot, ratio);
  }
}

function axes(pen, place, ink, ratio) {
  pen.lineWidth = ratio; pen.strokeStyle = ink; pen.fillStyle = ink; pen.globalAlpha = 0.35;
  pen.font = `${11 * ratio}px system-ui, sans-serif`; pen.textAlign = "center";
  [[1, 0, 0], [0, 1, 0], [0, 0, 1]].forEach((axis, n) => {
    pen.beginPath(); pen.moveTo(...place(...axis.map(x => -x))); pen.lineTo(...place(...axis)); pen.stroke();
    const [x, y] = place(...axis.map(v => 1.1 * v));
    pen.fillText(`PC ${n + 1}`, x, y);
  });
  pen.globalAlpha = 1;
}

function disc(pen, at, n, radius) {
  pen.beginPath(); pen.arc(at[2 * n], at[2 * n + 1], radius, 0, 7); pen.fill();
}

function mark(pen, at, ink, dot, ratio) {
  pen.strokeStyle = ink; pen.lineWidth = 0.7 * ratio;
  for (const n of next[marked]) {
    pen.globalAlpha = 0.4; pen.beginPath(); pen.moveTo(at[2 * marked], at[2 * marked + 1]);
    pen.lineTo(at[2 * n], at[2 * n + 1]); pen.stroke();
    pen.globalAlpha = 1; pen.fillStyle = DATA.colours[DATA.genre[n]]; disc(pen, at, n, 1.8 * dot);
  }
  pen.fillStyle = DATA.colours[DATA.genre[marked]]; pen.lineWidth = 2 * ratio;
  disc(pen, at, marked, 3 * dot); pen.stroke();
}

function later() { if (!waiting) { waiting = true; requestAnimationFrame(draw); } }

function nearest(panel, event) {
  const box = panel.canvas.getBoundingClientRect(), ratio = panel.canvas.width / box.width;
  const x = (event.clientX - box.left) * ratio, y = (event.clientY - box.top) * ratio;
  let best = -1, least = (12 * ratio) ** 2;
  for (let n = 0; n < count; n++) {
    if (!on[DATA.genre[n]] || (matches && !matches.has(n))) continue;
    const distance = (panel.at[2 * n] - x) ** 2 + (panel.at[2 * n + 1] - y) ** 2;
    if (distance < least) { least = distance; best = n; }
  }
  return best;
}

function show(n) {
  if (n === marked) return;
  marked = n;
  const linked = n < 0 ? 0 : next[n].length;
  tip.textContent = n < 0 ? "\\u00a0" : `${DATA.titles[n]} \\u2013 ${DATA.genres[n].split("|").join(", ")} \\u2013 `
    + `${linked} neighbour${linked === 1 ? "" : "s"}`;
  later();
}

for (const panel of panels) {
  const {canvas} = panel;
  let from = null;
  canvas.addEventListener("pointerdown", event => {
    from = [event.clientX, event.clientY]; canvas.setPointerCapture(event.pointerId); turn.checked = false;
  });
  canvas.addEventListener("pointermove", event => {
    if (!from) return show(nearest(panel, event));
    yaw += (event.clientX - from[0]) * 0.008; pitch += (event.clientY - from[1]) * 0.008;
    pitch = Math.max(-1.57, Math.min(1.57, pitch)); from = [event.clientX, event.clientY];
    later();
  });
  canvas.addEventListener("pointerup", () => { from = null; });
  canvas.addEventListener("pointercancel", () => { from = null; });
  canvas.addEventListener("pointerleave", () => { if (!from) show(-1); });
  canvas.addEventListener("wheel", event => {
    event.preventDefault(); zoom = Math.max(0.4, Math.min(20, zoom * Math.exp(-event.deltaY * 0.0015))); later();
  }, {passive: false});
}

DATA.legend.forEach((genre, n) => {
  const button = document.createElement("button"), spot = document.createElement("i");
  spot.style.background = DATA.colours[n]; button.append(spot, genre);
  button.addEventListener("click", () => { on[n] = !on[n]; button.classList.toggle("off", !on[n]); later(); });
  document.getElementById("legend").append(button);
});
find.addEventListener("input", () => {
  const text = find.value.trim().toLowerCase();
  matches = text ? new Set(DATA.titles.flatMap((t, n) => t.toLowerCase().includes(text) ? [n] : [])) : null;
  show(matches && matches.size === 1 ? [...matches][0] : -1); later();
});
function spin() { if (turn.checked) { yaw += 0.006; later(); requestAnimationFrame(spin); } }
turn.addEventListener("change", spin);
window.addEventListener("resize", later);
later();
"""
