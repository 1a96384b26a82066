// The last windows of a sensor as small multiples: one drawing a window, the channels above each other.

import { svg } from "../../page.js";

const WIDTH = 100; // units of a drawing
const LANE = 18; // of a channel
const GAP = 4; // the mark before a window that samples are missing in or before
const MOST_LANES = 4; // further channels are left out: they would be too small to read

/** The drawings of `{ windows, gaps }`, as in `GET /v1/sensors/{name}/windows`, oldest first. */
export function windowDrawings({ windows, gaps }) {
  const bounds = boundsOf(windows);
  return windows.map((one, place) => {
    const before = windows[place - 1];
    const isAfterGap = gaps.some(({ epoch, first_sequence: at }) =>
      epoch === one.epoch && at < one.first_sequence + one.length
      && (before?.epoch !== epoch || at >= before.first_sequence));
    return drawing(one, bounds, isAfterGap);
  });
}

/** Least and greatest sample of each channel over all windows, so that the drawings have one scale. */
function boundsOf(windows) {
  const bounds = [];
  for (const { low, high } of windows) {
    for (let channel = 0; channel < Math.min(low.length, MOST_LANES); channel++) {
      const [least, most] = bounds[channel] ?? [Infinity, -Infinity];
      const finite = (values) => values.filter((value) => value !== null);
      bounds[channel] = [Math.min(least, ...finite(low[channel])), Math.max(most, ...finite(high[channel]))];
    }
  }
  return bounds;
}

function drawing({ low, high, filled, answer }, bounds, isAfterGap) {
  const lanes = Math.min(low.length, MOST_LANES);
  const box = svg("svg", {
    class: "window", viewBox: `0 0 ${WIDTH} ${LANE * lanes}`, preserveAspectRatio: "none", role: "img",
    "aria-label": words(answer, filled, isAfterGap),
  });
  if (isAfterGap) box.append(svg("rect", { class: "gap", width: GAP, height: LANE * lanes }));
  for (let channel = 0; channel < lanes; channel++) {
    box.append(svg("path", { d: pathOf(low[channel], high[channel], bounds[channel], channel * LANE) }));
  }
  return box;
}

/** A line from the least to the greatest sample of each column; null (not finite) interrupts it. */
function pathOf(low, high, [least, most], top) {
  const scale = most > least ? (LANE - 2) / (most - least) : 0;
  const y = (value) => (top + LANE - 1 - (scale ? (value - least) * scale : (LANE - 2) / 2)).toFixed(2);
  let path = "";
  let isDrawing = false;
  low.forEach((value, column) => {
    if (value === null) {
      isDrawing = false;
      return;
    }
    const x = ((column + 0.5) / low.length * WIDTH).toFixed(2);
    path += `${isDrawing ? "L" : "M"}${x} ${y(value)}V${y(high[column])}`;
    isDrawing = true;
  });
  return path;
}

function words(answer, filled, isAfterGap) {
  const said = [answer?.label ?? (answer ? "not sure" : "no answer")];
  if (answer?.score != null) said.push(`${Math.round(answer.score * 100)} %`);
  if (filled) said.push(`${filled} samples filled`);
  if (isAfterGap) said.push("after a gap");
  return said.join(", ");
}
