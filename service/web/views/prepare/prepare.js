// What models are fed: images, numbers and texts, each in a section of its own.

import { $ } from "../../page.js";
import { LateParts } from "../../parts/late-parts.js";
import { takesImages, takesText } from "../../parts/model-choice.js";
import { ImageBench } from "./image-bench.js";
import { NumberBench } from "./number-bench.js";
import { TextBench } from "./text-bench.js";

const PARTS = "static/views/prepare/prepare.html"; // the sections: most accounts need none

export class Prepare {
  panel = $("prepare");

  #call;
  #openModel;
  #models = [];
  #benches = null; // once they are loaded
  #parts = new LateParts(PARTS, () => this.#make());

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param openModel shows what the model with a name knows.
   */
  constructor(call, openModel) {
    this.#call = call;
    this.#openModel = openModel;
    this.panel.addEventListener("drop", (event) => this.#take(event.dataTransfer.files));
    addEventListener("paste", (event) => !this.panel.hidden && this.#take(event.clipboardData.files));
  }

  /** @param models of every kind, as in `GET /v1/models`. */
  showModels(models) {
    this.#models = models;
    this.#spread();
  }

  async enter() {
    try {
      const { numbers } = await this.#parts.load();
      this.#complain("");
      await numbers.refresh();
    } catch (problem) {
      this.#complain(problem.message);
    }
  }

  /** Shows what a model sees of a photo. @param model `{ name, version }`. */
  async showPhoto(photo, model) {
    try {
      const { image } = await this.#parts.load();
      image.show(photo, model);
      image.focus();
    } catch (problem) {
      this.#complain(problem.message);
    }
  }

  /** Forgets what is shown. */
  clear() {
    for (const bench of Object.values(this.#benches ?? {})) bench.clear();
  }

  #make() {
    this.panel.append($("prepare-sections").content);
    this.#benches = {
      image: new ImageBench(this.#call, this.#openModel),
      numbers: new NumberBench(this.#call),
      text: new TextBench(this.#call, this.#openModel),
    };
    this.#spread();
    return this.#benches;
  }

  #spread() {
    this.#benches?.image.showModels(this.#models.filter(takesImages));
    this.#benches?.text.showModels(this.#models.filter(takesText));
  }

  /** A dropped or pasted file: a photo, or rows. */
  #take([file]) {
    if (!file || !this.#benches) return;
    const { image, numbers } = this.#benches;
    if (file.type.startsWith("image/")) image.show(file);
    else numbers.take(file);
  }

  #complain(text) {
    $("prepare-notice").textContent = text;
    $("prepare-notice").hidden = !text;
  }
}
