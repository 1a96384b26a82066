// The states of a camera over the last 24 hours, drawn from its events.

import { svg } from "../page.js";

const DAY_MS = 86_400_000;
const HOURS = 4; // four marks a day
const WIDTH = 240; // units of the drawing: a tenth of an hour each
const HEIGHT = 16;
const LEAST_WIDTH = 1.5; // so that a short state is seen
const KINDS = 5; // of colours
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

/**
 * The parts of the time from `from` to `to` (milliseconds), as `{ state, from, to }`, in order;
 * `state` is null while it is not known, or no frames came.
 *
 * @param events as in `CameraEvents`, oldest first.
 */
export function partsOf(events, from, to) {
  const parts = [];
  let [state, at] = [events[0]?.previous ?? null, from];
  const end = (until) => {
    if (until > at && state !== null) parts.push({ state, from: at, to: until });
    at = Math.max(at, until);
  };
  for (const event of events) {
    end(Math.min(Date.parse(event.at), to));
    state = event.kind === "silent" ? null : event.state;
  }
  end(to);
  return parts;
}

/** The drawing of the last 24 hours. Equal states have equal colours, at most five. */
export function timeline(events, now = Date.now()) {
  const from = now - DAY_MS;
  const parts = partsOf(events, from, now);
  const states = [...new Set(parts.map((part) => part.state))].filter((state) => state !== "unknown");
  const x = (time) => ((time - from) / DAY_MS) * WIDTH;
  const drawing = svg("svg", {
    class: "timeline", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": words(parts),
  });
  drawing.append(svg("rect", { class: "none", width: WIDTH, height: HEIGHT }));
  for (const part of parts) {
    const colour = part.state === "unknown" ? "unknown" : `state-${states.indexOf(part.state) % KINDS}`;
    const width = Math.max(x(part.to) - x(part.from), LEAST_WIDTH);
    const box = svg("rect", { class: colour, x: x(part.from), width, height: HEIGHT });
    const title = svg("title", {});
    title.textContent = `${part.state}, ${clock.format(part.from)} to ${clock.format(part.to)}`;
    box.append(title);
    drawing.append(box);
  }
  for (let mark = 1; mark < HOURS; mark++) {
    drawing.append(svg("path", { class: "mark", d: `M${(WIDTH / HOURS) * mark} 0v${HEIGHT}` }));
  }
  return drawing;
}

/** "Last 24 hours: open 3 times, closed 4 times". */
function words(parts) {
  const counts = new Map();
  for (const { state } of parts) counts.set(state, (counts.get(state) ?? 0) + 1);
  const said = [...counts].map(([state, count]) => `${state} ${count === 1 ? "once" : `${count} times`}`);
  return `Last 24 hours: ${said.join(", ") || "no answers"}`;
}
