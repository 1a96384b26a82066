// How numbers are spread, as a drawing of bars.

import { element, svg } from "../../page.js";
import { compact } from "./numbers.js";

const WIDTH = 240; // units of the drawing
const HEIGHT = 90;
const MOST_BINS = 24;

/**
 * A figure of the numbers of a column.
 *
 * @param title such as "Before".
 * @param values numbers; null (NaN) is left out.
 */
export function histogram(title, values) {
  const numbers = values.filter((value) => value !== null);
  const figure = element("figure", "histogram", element("figcaption", "", title));
  if (numbers.length === 0) {
    figure.append(element("p", "hint", "No numbers."));
    return figure;
  }
  const bins = binsOf(numbers);
  const { least, most, counts } = bins;
  const ends = element("p", "ends", element("span", "", compact(least)));
  if (most > least) ends.append(element("span", "", compact(most)));
  ends.setAttribute("aria-hidden", "true");
  figure.append(drawing(bins, `${title}: ${words(bins)}`), ends);
  figure.append(element("p", "hint small", `Highest bar: ${compact(Math.max(...counts))} rows`));
  return figure;
}

/** `{ least, most, counts }` of equally wide bins; the last one holds the greatest number too. */
export function binsOf(numbers) {
  let [least, most] = [Infinity, -Infinity];
  for (const value of numbers) [least, most] = [Math.min(least, value), Math.max(most, value)];
  const size = Math.max(1, Math.min(MOST_BINS, Math.ceil(Math.sqrt(numbers.length))));
  const counts = new Array(most > least ? size : 1).fill(0);
  // Halves first: the range of two numbers of 1e308 is not a number any more.
  const range = most / 2 - least / 2;
  for (const value of numbers) {
    const share = range > 0 ? (value / 2 - least / 2) / range : 0;
    counts[Math.min(counts.length - 1, Math.floor(share * counts.length))] += 1;
  }
  return { least, most, counts };
}

function drawing({ counts }, label) {
  const box = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": label });
  const highest = Math.max(...counts);
  const width = WIDTH / counts.length;
  counts.forEach((count, place) => {
    if (count === 0) return;
    const height = Math.max(1, (count / highest) * HEIGHT);
    box.append(svg("rect", { x: place * width, y: HEIGHT - height, width: width * 0.92, height }));
  });
  return box;
}

function words({ least, most, counts }) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  return most > least ? `${total} numbers from ${compact(least)} to ${compact(most)}` : `${total} times ${compact(least)}`;
}
