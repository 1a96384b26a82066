// Errors of a form, each beside its field, where screen readers find it too.

import { element } from "../page.js";

export class FieldErrors {
  #form;

  /** @param form has `novalidate`: what the browser finds is shown here as well. */
  constructor(form) {
    this.#form = form;
    form.addEventListener("input", ({ target }) => this.#say(target, ""));
  }

  /** Forgets the errors. */
  clear() {
    for (const field of this.#form.elements) this.#say(field, "");
  }

  /** Whether all fields hold what they ask for; else shows why not, and goes to the first. */
  check() {
    this.clear();
    const wrong = [...this.#form.elements].filter((field) => field.willValidate && !field.validity.valid);
    for (const field of wrong) this.#say(field, reason(field));
    this.#goTo(wrong);
    return wrong.length === 0;
  }

  /**
   * Shows what the server says of fields.
   *
   * @param problem a Problem.
   * @param owners names of fields by codes of problems that name no field.
   * @returns the words that belong to no field; empty if there are none.
   */
  show(problem, owners = {}) {
    const fieldOf = (name) => this.#form.elements.namedItem(name ?? "");
    const owner = fieldOf(owners[problem.code]);
    const places = problem.errors.map(({ pointer, detail }) => [fieldOf(pointer.split("/")[2]), detail]);
    const known = owner ? [[owner, problem.message]] : places.filter(([field]) => field);
    for (const [field, detail] of known) this.#say(field, sentence(detail));
    this.#goTo(known.map(([field]) => field));
    if (owner) return "";
    if (known.length === 0) return problem.message;
    return places.filter(([field]) => !field).map(([, detail]) => sentence(detail)).join(" ");
  }

  #goTo([first]) {
    const folded = first?.closest("details");
    if (folded) folded.open = true;
    first?.focus();
  }

  #say(field, text) {
    const id = `${this.#form.id}-${field.name}-error`;
    let line = document.getElementById(id);
    if (!text) {
      if (!line) return;
      line.remove();
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-describedby");
      return;
    }
    if (!line) {
      line = element("span", "field-error");
      line.id = id;
      field.after(line);
    }
    line.textContent = text;
    field.ariaInvalid = "true";
    field.setAttribute("aria-describedby", id);
  }
}

/** What the browser finds, in our words where its own are vague. */
function reason({ validity, title, min, max, validationMessage }) {
  if (validity.valueMissing) return "Fill this in.";
  if (validity.patternMismatch && title) return `${title}.`;
  if (validity.badInput) return "Give a number.";
  if (validity.rangeUnderflow) return `At least ${min}.`;
  if (validity.rangeOverflow) return `At most ${max}.`;
  if (validity.stepMismatch) return "Give a whole number.";
  return validationMessage;
}

function sentence(text) {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(whole) ? whole : `${whole}.`;
}
