// "That was wrong": sends a photo whose answer was wrong to a dataset, with the right label.

import { shrink } from "../../calls/shrink.js";
import { addPhoto, listDatasets } from "../../calls/teach.js";
import { $, announce } from "../../page.js";
import { summaryOf } from "../../parts/answer.js";
import { captureTime } from "./photos/capture-time.js";
import { classButtons, classOfKey } from "./labels/class-buttons.js";

export class Correction {
  #call;
  #on;
  #datasets = [];
  #wrong = null; // `{ file, result, onSent }`
  #chosen = ""; // the dataset of the last correction

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param on `{ sent(photo), teach() }`: the second opens the view Teach.
   */
  constructor(call, on) {
    this.#call = call;
    this.#on = on;
    $("close-correction").addEventListener("click", () => $("correction").close());
    $("correction-dataset").addEventListener("change", () => this.#showClasses());
    $("correction-teach").addEventListener("click", () => {
      $("correction").close();
      on.teach();
    });
    $("correction").addEventListener("keydown", (event) => this.#onKey(event));
  }

  /**
   * @param result the wrong answer, a ClassifyResponse.
   * @param onSent called with words for the photo's card.
   */
  async open(file, result, onSent) {
    this.#wrong = { file, result, onSent };
    const said = summaryOf(result).summary ?? "not sure";
    $("correction-photo").textContent = `${file.name} was answered as "${said}". It goes into the dataset with the right label.`;
    $("correction-none").hidden = $("correction-choice").hidden = true;
    this.#complain("");
    $("correction").showModal();
    try {
      this.#datasets = await this.#call(listDatasets);
    } catch (problem) {
      this.#complain(problem.message);
      return;
    }
    const names = this.#datasets.map(({ name }) => name);
    $("correction-dataset").replaceChildren(...names.map((name) => new Option(name)));
    $("correction-dataset").value = [this.#chosen, result.model.name].find((name) => names.includes(name)) ?? names[0] ?? "";
    $("correction-none").hidden = names.length > 0;
    $("correction-choice").hidden = names.length === 0;
    if (names.length > 0) this.#showClasses();
    $("correction-classes").querySelector("button")?.focus();
  }

  #showClasses() {
    const dataset = this.#dataset;
    const buttons = classButtons(dataset.classes, (name) => this.#send(dataset.name, name));
    $("correction-classes").replaceChildren(...buttons);
    this.#complain(buttons.length === 0 ? `${dataset.name} has no classes yet: name them in the view Teach.` : "");
  }

  get #dataset() {
    return this.#datasets.find(({ name }) => name === $("correction-dataset").value);
  }

  #onKey(event) {
    const isForClasses = this.#dataset && !event.target.matches("select") && !(event.ctrlKey || event.altKey || event.metaKey);
    const label = isForClasses ? classOfKey(event, this.#dataset.classes) : undefined;
    if (!label || $("correction-classes").querySelector("button:disabled")) return;
    event.preventDefault();
    this.#send(this.#dataset.name, label);
  }

  async #send(dataset, label) {
    const { file, result, onSent } = this.#wrong;
    const buttons = $("correction-classes").querySelectorAll("button");
    for (const button of buttons) button.disabled = true;
    this.#complain("");
    try {
      const { body, original } = await shrink(file, new AbortController().signal);
      const captured = original && (await captureTime(file));
      const query = { ...answerOf(result), label, ...(captured && { captured }) };
      const photo = await this.#call((token) => addPhoto(token, dataset, body, query));
      this.#chosen = dataset;
      $("correction").close();
      onSent(`${label}, in ${dataset}`);
      announce(`Added to ${dataset} as ${label}.`);
      this.#on.sent(photo);
    } catch (problem) {
      this.#complain(problem.message);
    } finally {
      for (const button of buttons) button.disabled = false;
    }
  }

  #complain(text) {
    $("correction-notice").textContent = text;
    $("correction-notice").hidden = !text;
  }
}

/** What was answered, as in `NewPhotoOptions`; no answer and score where the model was not sure. */
function answerOf(result) {
  const { name: model, version } = result.model;
  const { summary, summary_score: score } = summaryOf(result);
  return { source: "answer", model, version, ...(summary && { answer: summary }), ...(score !== null && { score }) };
}
