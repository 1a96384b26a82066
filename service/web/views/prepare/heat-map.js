// Numbers of a plane as colours, on a canvas, and the scale that explains them.

import { element } from "../../page.js";

// Dark for little, light for much, also without colours: five points of Viridis (CC0).
const STOPS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const STEPS = 256;
const PALETTE = Array.from({ length: STEPS }, (_, step) => colourAt(step / (STEPS - 1)));

/**
 * A canvas of `width` times `height` numbers in row-major order; `least` and `most` are the ends of
 * the scale.
 */
export function heatMap({ width, height, values }, { least, most }, words) {
  const canvas = element("canvas", "heat");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  const step = most > least ? (STEPS - 1) / (most - least) : 0;
  for (let place = 0; place < values.length; place++) {
    pixels.data.set(PALETTE[Math.round((values[place] - least) * step)], place * 4);
  }
  context.putImageData(pixels, 0, 0);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", words);
  return canvas;
}

/** A strip with the colours of the scale, the least to the left. */
export function scaleStrip() {
  const values = Float64Array.from({ length: STEPS }, (_, step) => step);
  const strip = heatMap({ width: STEPS, height: 1, values }, { least: 0, most: STEPS - 1 }, "");
  strip.className = "strip";
  strip.removeAttribute("role");
  strip.setAttribute("aria-hidden", "true");
  return strip;
}

function colourAt(share) {
  const place = Math.min(share * (STOPS.length - 1), STOPS.length - 1 - 1e-9);
  const [before, after] = [STOPS[Math.floor(place)], STOPS[Math.floor(place) + 1]];
  const part = place - Math.floor(place);
  return [...before.map((from, band) => Math.round(from + (after[band] - from) * part)), 255];
}
