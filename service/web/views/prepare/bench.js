// A section of a page that prepares something: one call at a time, its result, or what is wrong.

import { $ } from "../../page.js";

export class Bench {
  section;
  result;

  #running = null; // an AbortController

  /** @param id of the section; it has a notice, a status and a result. */
  constructor(id) {
    this.section = $(id);
    this.result = this.section.querySelector(".result");
  }

  /**
   * Calls `work` with a signal, and then what that resolves to, a function that shows the result and
   * returns what to say of it. A later call takes the place of an earlier one.
   */
  async run(work) {
    this.#running?.abort();
    const { signal } = (this.#running = new AbortController());
    this.complain("");
    this.say("Preparing…");
    this.section.ariaBusy = "true";
    try {
      const show = await work(signal);
      if (signal.aborted) return;
      this.result.hidden = false;
      this.say(show());
    } catch (problem) {
      if (signal.aborted) return;
      this.result.hidden = true; // it would be of something else
      this.say("");
      this.complain(problem.message);
    } finally {
      if (this.#running?.signal === signal) this.section.ariaBusy = "false";
    }
  }

  /** Forgets the result, and what is running. */
  clear() {
    this.#running?.abort();
    this.#running = null;
    this.section.ariaBusy = "false";
    this.result.hidden = true;
    this.say("");
    this.complain("");
  }

  say(text) {
    this.section.querySelector(".status").textContent = text;
  }

  /** Shows a problem; an empty text hides it. */
  complain(text) {
    const notice = this.section.querySelector(".notice");
    notice.textContent = text;
    notice.hidden = !text;
  }
}
