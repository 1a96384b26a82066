// What every view needs of the document: elements, and words for screen readers.

const SVG = "http://www.w3.org/2000/svg";

export const $ = (id) => document.getElementById(id);

/** Has screen readers read `text` aloud; nothing is shown. */
export function announce(text) {
  $("announcer").textContent = text;
}

/** A new element; `content` are texts and elements. */
export function element(kind, className, ...content) {
  const made = document.createElement(kind);
  if (className) made.className = className;
  made.append(...content);
  return made;
}

/** The copy of a template's only element. */
export function copyOf(template) {
  return $(template).content.cloneNode(true).firstElementChild;
}

/** A new element of a drawing. */
export function svg(kind, attributes) {
  const made = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
