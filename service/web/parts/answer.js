// Outcome of a result in a word, for the cards, the summary and the exported files.

/** Returns "answered", "not sure", or for multi-label models "none of its labels". */
export function outcome({ abstained, labels_present: present }) {
  if (!abstained) return "answered";
  return present ? "none of its labels" : "not sure";
}

/**
 * The summary as one text, and its score. Several labels of a multi-label model stand in one text,
 * and have no score together. Both are null where nothing is sure enough.
 */
export function summaryOf({ summary, labels_present: present }) {
  if (summary) return { summary: summary.label, summary_score: summary.score };
  return { summary: present?.length ? present.join("; ") : null, summary_score: null };
}
