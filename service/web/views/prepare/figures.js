// Names with their values, as a list of definitions.

import { element } from "../../page.js";

/** Shows `[name, value]` pairs in a `<dl>`; pairs without a value are left out. */
export function showFigures(list, pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined);
  list.replaceChildren(...known.map(([name, value]) => element("div", "", element("dt", "", name), element("dd", "", value))));
}
