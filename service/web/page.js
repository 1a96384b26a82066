// What every view needs of the document: an element by its id, and words for screen readers.

export const $ = (id) => document.getElementById(id);

/** Has screen readers read `text` aloud; nothing is shown. */
export function announce(text) {
  $("announcer").textContent = text;
}
