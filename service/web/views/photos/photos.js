// The workspace: photos are added, asked about a few at a time, and their answers shown and saved.

import { Problem, classify } from "../../calls/api.js";
import { Queue } from "../../calls/queue.js";
import { shrink } from "../../calls/shrink.js";
import { $, announce } from "../../page.js";
import { outcome } from "../../parts/answer.js";
import { ModelChoice } from "../../parts/model-choice.js";
import { Card } from "./card.js";
import { exampleFiles } from "./examples.js";
import { save, toCsv, toJson } from "./exports.js";

export class Photos {
  #call;
  #cards = [];
  #queue = new Queue((card, signal) => this.#send(card, signal), () => this.#showProgress());
  #isBusy = false;
  #isUnsaved = false;

  #openModel;
  #after;
  #models;

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param openModel shows what the model with a name knows.
   * @param after what can be done with an answer, as in `Card`: `{ see, wrong }`.
   */
  constructor(call, openModel, after) {
    this.#call = call;
    this.#openModel = openModel;
    this.#after = after;
    this.#models = new ModelChoice("", openModel, () => this.#showProgress());
    this.#wireButtons();
    this.#wireWindow();
  }

  get isEmpty() {
    return this.#cards.length === 0;
  }

  /** The name of the model that is chosen. */
  get model() {
    return this.#models.chosen;
  }

  /** Whether this account may see what models see. */
  set canPrepare(can) {
    $("cards").classList.toggle("unprepared", !can);
  }

  /** Whether this account may send a photo to a dataset, with the right label. */
  set canTeach(can) {
    $("cards").classList.toggle("unteachable", !can);
  }

  /** Chooses a model, for photos that are added from now on. */
  choose(model) {
    this.#models.choose(model);
    this.#showProgress();
    $("choose").focus();
  }

  open() {
    this.#queue.open();
  }

  /** Stops asking. Cards stay, and waiting ones go on when the view is opened again. */
  close() {
    this.#queue.close();
    $("workspace").hidden = this.isEmpty;
  }

  clear() {
    this.#queue.clear();
    this.#cards = [];
    this.#isUnsaved = false;
    $("cards").replaceChildren();
    this.#showProgress();
  }

  showModels(models) {
    this.#models.show(models);
  }

  #add(files) {
    if (files.length === 0) return;
    const added = Array.from(files, (file) => this.#card(file));
    this.#cards.push(...added);
    $("cards").prepend(...added.map((card) => card.element));
    announce(added.length === 1 ? "One photo added." : `${added.length} photos added.`);
    this.#queue.put(added);
  }

  async #tryExamples() {
    $("choose").focus(); // the button that was pressed disappears
    try {
      this.#add(await exampleFiles());
    } catch {
      announce("The examples cannot be loaded.");
    }
  }

  #card(file) {
    const onModel = this.model ? this.#openModel : null; // else this account may not see models
    return new Card(file, (card) => this.#retry(card), onModel, this.#after);
  }

  /** The cards whose answer another model gave than the one that is chosen. */
  get #others() {
    const isOther = ({ state, result }) => state === "done" && result.model.name !== this.model;
    return this.model ? this.#cards.filter(isOther) : [];
  }

  /** Asks the server about one photo; called by the queue. */
  async #send(card, signal) {
    try {
      const { model } = this;
      const { body, original } = await shrink(card.file, signal);
      const result = await this.#call((token) => classify(token, body, { model, signal }));
      this.#isUnsaved = true;
      return original ? { ...result, original } : result;
    } catch (problem) {
      if (problem.status === 0 && !(await isReadable(card.file))) {
        throw new Problem(400, "The file cannot be read: it is a folder, or it was moved or changed.");
      }
      throw problem;
    }
  }

  #retry(...failed) {
    $("choose").focus(); // the button that was pressed disappears
    this.#queue.put(failed);
  }

  #showProgress() {
    const cards = this.#cards;
    const [total, left] = [cards.length, this.#queue.size];
    const failed = cards.filter((card) => card.state === "failed").length;
    const outcomes = cards.filter((card) => card.state === "done").map((card) => outcome(card.result));
    const count = (wanted) => outcomes.filter((found) => found === wanted).length;
    const [unsure, unlabelled] = [count("not sure"), count("none of its labels")];
    const retryable = cards.filter((card) => card.canBeRetried).length;
    $("progress").hidden = left === 0;
    $("progress-bar").max = Math.max(total, 1);
    $("progress-bar").value = total - left;
    $("progress-text").textContent = `${total - left} of ${total}`;
    document.title = left > 0 ? `${total - left} of ${total} · Potoo` : "Potoo";
    $("summary").hidden = total === 0 || left > 0;
    $("summary").textContent = [
      total === 1 ? "1 photo" : `${total} photos`,
      unsure && `${unsure} not sure`,
      unlabelled && `${unlabelled} with none of the labels`,
      failed && `${failed} without an answer`,
    ].filter(Boolean).join(" · ");
    $("drop-zone").classList.toggle("compact", total > 0);
    $("drop-zone").classList.toggle("looking", left > 0);
    $("actions").hidden = total === 0;
    $("examples").hidden = total > 0;
    $("retry-all").hidden = retryable < 2 || left > 0;
    $("retry-all").textContent = `Try ${retryable} again`;
    $("ask-again").hidden = this.#others.length === 0 || left > 0;
    $("ask-again").textContent = `Ask ${this.model} instead`;
    if (this.#isBusy && left === 0 && total > 0) announce(`Done: ${$("summary").textContent}.`);
    this.#isBusy = left > 0;
  }

  #wireButtons() {
    $("choose").addEventListener("click", () => $("files").click());
    $("take").addEventListener("click", () => $("camera").click());
    $("examples").addEventListener("click", () => this.#tryExamples());
    for (const input of [$("files"), $("camera")]) {
      input.addEventListener("change", () => {
        this.#add(input.files);
        input.value = ""; // so that the same photo can be chosen again
      });
    }
    $("drop-zone").addEventListener("click", (event) => {
      if (event.target.closest("button, input") === null) $("files").click();
    });
    $("retry-all").addEventListener("click", () => {
      this.#retry(...this.#cards.filter((card) => card.canBeRetried));
    });
    $("ask-again").addEventListener("click", () => this.#retry(...this.#others));
    $("clear").addEventListener("click", () => {
      this.clear();
      $("choose").focus();
      announce("Cleared.");
    });
    $("save-csv").addEventListener("click", () => {
      save("potoo.csv", toCsv(this.#cards), "text/csv");
      this.#isUnsaved = false;
    });
    $("save-json").addEventListener("click", () => {
      save("potoo.json", toJson(this.#cards), "application/json");
      this.#isUnsaved = false;
    });
  }

  /** The whole window takes drops: a photo that misses the zone must not replace the page. */
  #wireWindow() {
    const hasFiles = (event) => event.dataTransfer.types.includes("Files");
    addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      $("drop-zone").classList.add("eager");
    });
    addEventListener("dragleave", (event) => {
      if (event.relatedTarget === null) $("drop-zone").classList.remove("eager");
    });
    addEventListener("drop", (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      $("drop-zone").classList.remove("eager");
      if (!$("workspace").hidden) this.#add(event.dataTransfer.files);
    });
    // A reload keeps the session, but not what is on the page.
    addEventListener("beforeunload", (event) => {
      if (this.#isUnsaved || this.#queue.size > 0) event.preventDefault();
    });
    addEventListener("paste", (event) => {
      if (!$("workspace").hidden) this.#add(event.clipboardData.files);
    });
  }
}

/** Reads the beginning alone: a photo may be large. */
async function isReadable(file) {
  const reader = file.stream().getReader();
  try {
    await reader.read();
    return true;
  } catch {
    return false;
  } finally {
    reader.cancel().catch(() => {});
  }
}
