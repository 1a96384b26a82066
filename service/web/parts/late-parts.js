// Dialogues and templates that few accounts need: loaded when they are wanted first.

import { readFile } from "../calls/api.js";

export class LateParts {
  #address;
  #make;
  #made = null; // a Promise of what `make` returned

  /**
   * @param address of an HTML file whose templates and elements are added to the page.
   * @param make called once they are there; what it returns is what `load` resolves to.
   */
  constructor(address, make = () => {}) {
    this.#address = address;
    this.#make = make;
  }

  /** Throws a Problem if they cannot be loaded; the next call tries again. */
  load() {
    this.#made ??= readFile(this.#address).then(
      (text) => {
        const { head, body } = new DOMParser().parseFromString(text, "text/html");
        document.body.append(...head.querySelectorAll("template"), ...body.children);
        return this.#make();
      },
      (problem) => {
        this.#made = null;
        throw problem;
      },
    );
    return this.#made;
  }
}
