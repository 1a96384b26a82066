// Formats probabilities as percentages, by the same rule as service/cli/percent.py.

/** A score of 0..1 with one decimal: "100.0%" from 0.9995 on, "<0.1%" for small scores above 0. */
export function percent(score) {
  const thousandths = Math.floor(score * 1000 + 0.5);
  if (thousandths === 0 && score > 0) return "<0.1%";
  return `${(thousandths / 10).toFixed(1)}%`;
}
