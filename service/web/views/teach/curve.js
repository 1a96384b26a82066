// How good the model became with more labels: a point for each run, with its interval.

import { svg } from "../../page.js";
import { percent } from "../../parts/percent.js";

const [WIDTH, HEIGHT] = [320, 150];
const [LEFT, RIGHT, TOP, BOTTOM] = [40, 12, 8, 22]; // margins
const MARKS = [0, 0.25, 0.5, 0.75, 1];

/**
 * The drawing. @param points the oldest first: `{ photos, value, interval }`, the interval `{ low, high }` or null.
 */
export function curve(points) {
  const low = Math.min(...points.map(({ value, interval }) => interval?.low ?? value));
  const floor = MARKS.findLast((mark) => mark <= low && mark < 1);
  const most = Math.max(...points.map(({ photos }) => photos));
  const x = (photos) => LEFT + (photos / most) * (WIDTH - LEFT - RIGHT);
  const y = (share) => TOP + ((1 - share) / (1 - floor)) * (HEIGHT - TOP - BOTTOM);
  const drawing = svg("svg", { class: "curve", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": words(points) });
  for (const mark of MARKS.filter((one) => one >= floor)) {
    drawing.append(svg("path", { class: "grid", d: `M${LEFT} ${y(mark)}H${WIDTH - RIGHT}` }));
    drawing.append(text(`${mark * 100}%`, { x: LEFT - 6, y: y(mark) + 4, "text-anchor": "end" }));
  }
  drawing.append(text("labels", { x: LEFT, y: HEIGHT - 6 }), text(String(most), { x: x(most), y: HEIGHT - 6, "text-anchor": "end" }));
  for (const { photos, interval } of points) {
    if (interval) drawing.append(svg("path", { class: "whisker", d: `M${x(photos)} ${y(interval.low)}V${y(interval.high)}` }));
  }
  const line = points.map(({ photos, value }) => `${x(photos)} ${y(value)}`).join("L");
  drawing.append(svg("path", { class: "line", d: `M${line}` }));
  for (const { photos, value } of points) drawing.append(svg("circle", { class: "dot", cx: x(photos), cy: y(value), r: 4 }));
  return drawing;
}

/** "70.0% with 10 labels, 85.0% with 20 labels". */
function words(points) {
  return points.map(({ photos, value }) => `${percent(value)} with ${photos} labels`).join(", ");
}

function text(content, attributes) {
  const made = svg("text", attributes);
  made.textContent = content;
  return made;
}
