// The choice of a model: a list, or the name where there is only one, and what it knows.

import { $ } from "../page.js";

export class ModelChoice {
  #select;
  #only;
  #label;
  #knows;

  /**
   * @param prefix of the ids of its elements.
   * @param openModel shows what the model with a name knows.
   * @param onChange called when another model was chosen.
   */
  constructor(prefix, openModel, onChange) {
    this.#select = $(`${prefix}model`);
    this.#only = $(`${prefix}only-model`);
    this.#label = $(`${prefix}model-label`);
    this.#knows = $(`${prefix}what-it-knows`);
    this.#select.addEventListener("change", onChange);
    this.#only.addEventListener("click", () => openModel(this.chosen));
    this.#knows.addEventListener("click", () => openModel(this.chosen));
  }

  /** The name of the model that is chosen; empty if this account may not see models. */
  get chosen() {
    return this.#select.value;
  }

  /** Chooses the model with a name, if it is in the list. */
  choose(name) {
    if ([...this.#select.options].some(({ value }) => value === name)) this.#select.value = name;
  }

  show(models) {
    const { chosen } = this;
    this.#select.replaceChildren(...models.map(option));
    if (models.some((model) => model.name === chosen)) this.#select.value = chosen;
    this.#select.hidden = models.length < 2;
    this.#only.hidden = models.length !== 1;
    this.#only.textContent = models[0]?.name ?? "";
    this.#label.hidden = this.#knows.hidden = models.length === 0;
  }
}

/** A model in a list, as in `GET /v1/models`. */
export function option({ name, description, ready, default: isDefault }) {
  const made = new Option(ready ? name : `${name} (not ready)`, name, isDefault, isDefault);
  made.title = description;
  return made;
}

export function takesImages({ input_kind: kind = "image" }) {
  return kind === "image";
}

/** Whether a model takes windows of sensor samples. */
export function takesSeries({ input_kind: kind }) {
  return kind === "series";
}

export function takesText({ input_kind: kind }) {
  return kind === "text";
}
