// Photos whose label the others contradict: each is confirmed, or gets the other label.

import { getPhoto, labelPhoto } from "../../../calls/teach.js";
import { $, announce, copyOf } from "../../../page.js";
import { percent } from "../../../parts/percent.js";
import { SMALL } from "../photos/pictures.js";

const MOST = 8; // shown at once

export class Suspects {
  #call;
  #pictures;
  #onChanged;
  #dataset = "";
  #left = [];

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param pictures a Pictures.
   * @param onChanged called when a label was changed.
   */
  constructor(call, pictures, onChanged) {
    this.#call = call;
    this.#pictures = pictures;
    this.#onChanged = onChanged;
  }

  /** @param suspects as in `Verdict`, the most suspicious first. */
  show(dataset, suspects) {
    this.#dataset = dataset;
    this.#left = suspects.slice(MOST);
    $("teach-suspect-list").replaceChildren(...suspects.slice(0, MOST).map((one) => this.#row(one)));
    $("teach-suspects").hidden = suspects.length === 0;
  }

  #row(suspect) {
    const row = copyOf("suspect");
    const { photo, label, proposed, score } = suspect;
    const find = (selector) => row.querySelector(selector);
    find(".label").textContent = label;
    find(".proposed").textContent = proposed;
    find(".score").textContent = percent(score);
    find(".keep").textContent = `It is ${label}`;
    find(".change").textContent = `It is ${proposed}`;
    find("canvas").ariaLabel = `Photo labelled ${label}`;
    find(".keep").addEventListener("click", () => this.#settle(row, `Kept: ${label}.`));
    find(".change").addEventListener("click", () => this.#change(row, suspect));
    this.#pictures.draw(find("canvas"), { dataset: this.#dataset, id: photo }, SMALL).catch(() => {}); // the labels stand below
    return row;
  }

  async #change(row, { photo, label, proposed }) {
    const dataset = this.#dataset;
    const buttons = row.querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    try {
      const { labels } = await this.#call((token) => getPhoto(token, dataset, photo));
      await this.#call((token) => labelPhoto(token, dataset, photo, corrected(labels, label, proposed)));
      this.#settle(row, `Changed to ${proposed}.`);
      this.#onChanged();
    } catch (problem) {
      for (const button of buttons) button.disabled = false;
      row.querySelector(".score").textContent = problem.message;
      announce(problem.message);
    }
  }

  /** The next one takes its place. */
  #settle(row, said) {
    const next = this.#left.shift();
    const hadFocus = row.contains(document.activeElement);
    const after = next ? this.#row(next) : row.nextElementSibling ?? row.previousElementSibling;
    if (next) row.replaceWith(after);
    else row.remove();
    if (hadFocus) (after?.querySelector("button") ?? $("teach-verdict-title")).focus();
    $("teach-suspects").hidden = $("teach-suspect-list").children.length === 0;
    announce(said);
  }
}

/** The labels with the one that the others propose: instead, or if there may be several, added or taken away. */
function corrected(labels, label, proposed) {
  const now = labels ?? [];
  if (now.length <= 1 && now[0] === label) return [proposed];
  return now.includes(proposed) ? now.filter((name) => name !== proposed) : [...now, proposed];
}
