// The dialogue that names a dataset and its classes, or changes the classes.

import { addDataset, changeDataset } from "../../calls/teach.js";
import { $, copyOf } from "../../page.js";
import { FieldErrors } from "../../parts/field-errors.js";

const OWNERS = { conflict: "name" }; // fields of problems that name none
const [FEWEST, KEYS] = [2, 9];
const HELP = "What a photo may show, such as open and closed. The first nine have the keys 1 to 9.";
const CHANGE_HELP = "A class that is written anew is renamed in all labels; one that has the name of another becomes one with it. An empty line goes, if no photo has it.";

export class DatasetForm {
  #call;
  #onDone;
  #form = $("dataset-form");
  #list = $("dataset-classes");
  #errors = new FieldErrors(this.#form);
  #dataset = null; // the one that is changed; null for a new one

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param onDone called with the dataset that was added or changed.
   */
  constructor(call, onDone) {
    this.#call = call;
    this.#onDone = onDone;
    $("close-dataset").addEventListener("click", () => $("dataset-dialogue").close());
    $("add-class").addEventListener("click", () => this.#addClass("").focus());
    this.#list.addEventListener("keydown", (event) => this.#onKey(event));
    this.#form.addEventListener("submit", (event) => this.#save(event));
  }

  /** @param dataset the one to change; null for a new one. */
  open(dataset) {
    const { name, kind } = this.#form.elements;
    this.#dataset = dataset;
    this.#errors.clear();
    this.#form.reset();
    this.#list.replaceChildren();
    for (const one of dataset?.classes ?? []) this.#addClass(one.name);
    while (this.#list.children.length < FEWEST) this.#addClass("");
    $("dataset-title").textContent = dataset ? `Classes of ${dataset.name}` : "Name a dataset";
    $("dataset-classes-help").textContent = dataset ? CHANGE_HELP : HELP;
    $("dataset-naming").hidden = name.disabled = kind.disabled = dataset !== null;
    this.#complain("");
    $("dataset-dialogue").showModal();
    (dataset ? this.#list.querySelector("input") : name).focus();
  }

  #addClass(known) {
    const row = copyOf("class-field");
    const field = row.firstElementChild;
    const place = this.#list.children.length + 1;
    field.name = `class-${place}`;
    field.value = field.dataset.known = known;
    field.ariaLabel = place <= KEYS ? `Class ${place}, key ${place}` : `Class ${place}`;
    this.#list.append(row);
    return field;
  }

  /** Enter goes to the next class, as in a list, and to the button after an empty one. */
  #onKey(event) {
    if (event.key !== "Enter" || event.isComposing || event.target.value === "") return;
    event.preventDefault();
    const next = event.target.parentElement.nextElementSibling?.firstElementChild ?? this.#addClass("");
    next.focus();
  }

  /** The body of the request. */
  #body() {
    const { name, kind } = this.#form.elements;
    const fields = [...this.#list.querySelectorAll("input")].map((field) => [field.dataset.known, field.value.trim()]);
    const classes = [...new Set(fields.map(([, now]) => now).filter(Boolean))];
    if (!this.#dataset) return { name: name.value, kind: kind.value, classes };
    const renamed = fields.filter(([known, now]) => known && now && known !== now);
    return { classes, ...(renamed.length > 0 && { rename: Object.fromEntries(renamed) }) };
  }

  async #save(event) {
    event.preventDefault();
    this.#complain("");
    if (!this.#errors.check()) return;
    const body = this.#body();
    if (body.classes.length < FEWEST) {
      this.#complain("Name two classes at least: a model answers with one of them.");
      return;
    }
    $("save-dataset").disabled = true;
    try {
      const saved = await this.#call((token) => (this.#dataset ? changeDataset(token, this.#dataset.name, body) : addDataset(token, body)));
      $("dataset-dialogue").close();
      this.#onDone(saved);
    } catch (problem) {
      this.#complain(this.#errors.show(problem, this.#dataset ? {} : OWNERS));
    } finally {
      $("save-dataset").disabled = false;
    }
  }

  #complain(text) {
    $("dataset-problem").textContent = text;
    $("dataset-problem").hidden = !text;
    if (text) $("dataset-problem").scrollIntoView({ block: "nearest" });
  }
}
