// A tensor of an image, taken apart into its channels. Knows nothing of the page.

const NAMES = { RGB: ["Red", "Green", "Blue"], BGR: ["Blue", "Green", "Red"], GREY: ["Grey"] };

/**
 * The channels of the only image of a tensor: `{ name, width, height, values }`.
 *
 * @param tensor as `tensorOf` gives it, of shape [1, C, H, W] or [1, H, W, C] by its layout.
 */
export function channelsOf({ shape, layout, colour, values }) {
  const isPlanar = layout.toUpperCase() === "NCHW";
  const [count, height, width] = isPlanar ? shape.slice(1) : [shape[3], shape[1], shape[2]];
  const names = NAMES[colour.toUpperCase()] ?? [];
  const size = width * height;
  return Array.from({ length: count }, (_, channel) => ({
    name: names[channel] ?? `Channel ${channel + 1}`,
    width,
    height,
    values: isPlanar
      ? values.subarray(channel * size, (channel + 1) * size)
      : Float64Array.from({ length: size }, (_, place) => values[place * count + channel]),
  }));
}

/** Least, greatest and mean of numbers. */
export function statisticsOf(values) {
  let [least, most, sum] = [Infinity, -Infinity, 0];
  for (const value of values) {
    if (value < least) least = value;
    if (value > most) most = value;
    sum += value;
  }
  return { least, most, mean: sum / values.length };
}
