// The question whether something is really to be removed.

import { $, announce } from "../page.js";

export class Removal {
  #dialogue;
  #title;
  #keep;
  #remove;
  #on;
  #name = "";

  /**
   * @param prefix of the ids: `<prefix>-removal`, `-removal-title`, `remove-<prefix>`, `keep-<prefix>`.
   * @param remove (name) => Promise; removes it at the server.
   * @param on `{ removed(), failed(problem) }`.
   */
  constructor(prefix, remove, on) {
    this.#dialogue = $(`${prefix}-removal`);
    this.#remove = remove;
    this.#on = on;
    this.#keep = $(`keep-${prefix}`);
    this.#title = $(`${prefix}-removal-title`);
    this.#keep.addEventListener("click", () => this.#dialogue.close());
    $(`remove-${prefix}`).addEventListener("click", () => this.#confirm());
  }

  ask(name) {
    this.#name = name;
    this.#title.textContent = `Remove ${name}?`;
    this.#dialogue.showModal();
    this.#keep.focus();
  }

  async #confirm() {
    const name = this.#name;
    this.#dialogue.close();
    try {
      await this.#remove(name);
      announce(`Removed: ${name}.`);
      this.#on.removed();
    } catch (problem) {
      this.#on.failed(problem);
    }
  }
}
