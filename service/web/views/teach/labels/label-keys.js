// Single keys for labelling. They can be switched off (WCAG 2.2, success criterion 2.1.4).

import { $ } from "../../../page.js";

export class LabelKeys {
  #isOn = true;

  /** @param onKey (event, isOnControl) => boolean: does what a key says; false if it says nothing. */
  constructor(onKey) {
    $("teach-keys").addEventListener("click", () => {
      this.#isOn = !this.#isOn;
      $("teach-keys").ariaPressed = String(this.#isOn);
      $("teach-labelling").classList.toggle("keyless", !this.#isOn);
    });
    document.addEventListener("keydown", (event) => {
      if (!this.#isOn || !isForView(event)) return;
      // Space and Enter press the control that has the focus.
      const isOnControl = event.target.matches("button, summary, a, [role=tab]");
      if (onKey(event, isOnControl)) event.preventDefault();
    });
  }
}

/** Whether nothing is written, no dialogue is open, and the focus is in the view, on its tab, or nowhere. */
function isForView({ ctrlKey, altKey, metaKey, repeat, target }) {
  if (ctrlKey || altKey || metaKey || repeat || $("teach").hidden) return false;
  if (target.matches("input, select, textarea") || document.querySelector("dialog[open]")) return false;
  return target === document.body || target === $("tab-teach") || $("teach").contains(target);
}
