// A probability as people read it. The command line has the same rule in service/cli/percent.py.

/** A score of 0..1 with one decimal: "100.0%" begins at 0.9995, and "<0.1%" is more than nothing. */
export function percent(score) {
  const thousandths = Math.floor(score * 1000 + 0.5);
  if (thousandths === 0 && score > 0) return "<0.1%";
  return `${(thousandths / 10).toFixed(1)}%`;
}
