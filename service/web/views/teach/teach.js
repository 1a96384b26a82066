// Teaching: photos of a dataset get their labels, a model is taught from them, judged, and put to use.

import { getDataset, listDatasets, removeDataset } from "../../calls/teach.js";
import { $ } from "../../page.js";
import { LateParts } from "../../parts/late-parts.js";
import { Removal } from "../../parts/removal.js";
import { Correction } from "./correction.js";
import { DatasetForm } from "./dataset-form.js";
import { Intake } from "./photos/intake.js";
import { Labelling } from "./labels/labelling.js";
import { Learning } from "./learning.js";
import { Pictures } from "./photos/pictures.js";
import { Serving } from "./verdict/serving.js";
import { Sources } from "./photos/sources.js";
import { Suspects } from "./verdict/suspects.js";
import { VerdictCard } from "./verdict/verdict-card.js";

const PARTS = "static/views/teach/teach.html"; // sections and dialogues: most accounts need none

export class Teach {
  panel = $("teach");

  #call;
  #on;
  #models = [];
  #scopes = new Set();
  #names = []; // of the datasets
  #dataset = null; // the one that is shown
  #changes = 0; // of its counts that were made here
  #parts = null; // once they are loaded
  #pictures;
  #late = new LateParts(PARTS, () => this.#make());

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param on `{ served(), use(model), open() }`: another version serves; classify with a model; show this view.
   */
  constructor(call, on) {
    this.#call = call;
    this.#on = on;
    this.#pictures = new Pictures(call);
    addEventListener("paste", (event) => !this.panel.hidden && this.#parts?.sources.paste(event.clipboardData.files));
  }

  /** @param models that take images, as in `GET /v1/models`. */
  showModels(models, { scopes }) {
    this.#models = models;
    this.#scopes = scopes;
    this.#spread();
  }

  async enter() {
    $("teach-waiting").textContent = this.#dataset ? "" : "Loading the datasets…";
    try {
      const parts = await this.#late.load();
      parts.intake.open();
      parts.serving.enter();
      await Promise.all([this.#refresh(), parts.sources.enter()]);
      this.#complain("");
    } catch (problem) {
      this.#complain(problem.message);
    } finally {
      $("teach-waiting").textContent = "";
    }
  }

  leave() {
    this.#parts?.labelling.leave();
    this.#parts?.sources.leave();
    this.#parts?.serving.leave();
  }

  /** Asks for the right label of a photo. @param onSent called with words for its card. */
  async correct(file, result, onSent) {
    try {
      (await this.#late.load()).correction.open(file, result, onSent);
    } catch (problem) {
      onSent(problem.message);
    }
  }

  /** Photos that wait go on after the next sign-in. */
  clear() {
    this.leave();
    for (const id of ["dataset-dialogue", "dataset-removal", "correction"]) $(id)?.close();
    this.#parts?.learning.close();
    this.#parts?.labelling.clear();
    this.#parts?.intake.close();
    this.#pictures.forget();
    this.#dataset = null;
  }

  /** Forgets the photos that wait, too: another person may sign in. */
  forget() {
    this.#parts?.intake.clear();
  }

  #make() {
    this.panel.append($("teach-sections").content);
    const [call, pictures] = [this.#call, this.#pictures];
    const changed = () => this.#recount();
    const suspects = new Suspects(call, pictures, changed);
    const verdict = new VerdictCard(call, suspects);
    const serving = new Serving(call, { changed: this.#on.served, use: this.#on.use });
    this.#parts = {
      form: new DatasetForm(call, (dataset) => this.#onSaved(dataset)),
      intake: new Intake(call, { added: (photo) => this.#onAdded(photo), done: () => this.#onDone() }),
      labelling: new Labelling(call, pictures, { labelled: (labels, step) => this.#onLabelled(labels, step), removed: changed }),
      learning: new Learning(call, (run, isNew) => {
        verdict.show(run);
        serving.show(run);
        if (run) this.#parts.labelling.rank();
        if (isNew) this.#on.served();
      }),
      serving,
      correction: new Correction(call, { sent: changed, teach: () => this.#nameOne() }),
    };
    const { intake, labelling } = this.#parts;
    this.#parts.sources = new Sources(call, (photos) => {
      intake.add(this.#dataset.name, photos);
      labelling.focus();
    });
    const removal = new Removal("dataset", (name) => call((token) => removeDataset(token, name)), {
      removed: () => this.#onRemoved(),
      failed: (problem) => this.#complain(problem.message),
    });
    for (const id of ["teach-first", "teach-new"]) $(id).addEventListener("click", () => this.#parts.form.open(null));
    $("teach-change").addEventListener("click", () => this.#parts.form.open(this.#dataset));
    $("teach-remove").addEventListener("click", () => removal.ask(this.#dataset.name));
    $("teach-dataset").addEventListener("change", () => this.#choose($("teach-dataset").value));
    this.#spread();
    return this.#parts;
  }

  #spread() {
    if (!this.#parts) return;
    this.#parts.learning.showBases(this.#models);
    this.#parts.sources.canWatch = this.#scopes.has("cameras");
    this.#parts.serving.canChange = this.#scopes.has("models:write");
  }

  /** Brings the datasets up to date; the one that was shown stays. */
  async #refresh() {
    const datasets = await this.#call(listDatasets);
    this.#names = datasets.map(({ name }) => name);
    $("teach-empty").hidden = datasets.length > 0;
    $("teach-toolbar").hidden = $("teach-work").hidden = datasets.length === 0;
    $("teach-dataset").replaceChildren(...this.#names.map((name) => new Option(name)));
    const shown = datasets.find(({ name }) => name === this.#dataset?.name) ?? datasets[0];
    if (shown) this.#show(shown);
    else this.#dataset = null;
  }

  async #choose(name) {
    try {
      this.#show(await this.#call((token) => getDataset(token, name)));
      this.#complain("");
    } catch (problem) {
      this.#complain(problem.message);
    }
  }

  #show(dataset) {
    const { sources, labelling, learning } = this.#parts;
    const isOther = dataset.name !== this.#dataset?.name;
    this.#dataset = dataset;
    $("teach-dataset").value = dataset.name;
    $("teach-lessons").hidden = dataset.photos === 0;
    sources.show(dataset);
    labelling.show(dataset);
    if (isOther) learning.open(dataset);
    else learning.show(dataset);
  }

  /** Asks for the counts anew, once the labels are saved that are counted here already. */
  async #recount() {
    const name = this.#dataset?.name;
    if (!name) return;
    try {
      let [changes, dataset] = [];
      do {
        changes = this.#changes;
        await this.#parts.labelling.saved();
        dataset = await this.#call((token) => getDataset(token, name));
        if (name !== this.#dataset?.name) return;
      } while (changes !== this.#changes); // else the answer is older than what was labelled meanwhile
      this.#show(dataset);
      this.#parts.learning.labelled();
    } catch (problem) {
      this.#complain(problem.message);
    }
  }

  #onAdded(photo) {
    if (photo.dataset !== this.#dataset?.name) return;
    $("teach-lessons").hidden = false;
    this.#parts.labelling.offer(photo);
    this.#parts.labelling.focus();
  }

  #onDone() {
    this.#parts.labelling.refill();
    this.#recount();
  }

  /** Counts here, until the server is asked again: the next photo does not wait for it. */
  #onLabelled(labels, step) {
    const dataset = this.#dataset;
    this.#changes += 1;
    dataset.labelled += step;
    for (const one of dataset.classes) if (labels.includes(one.name)) one.photos += step;
    this.#parts.learning.show(dataset);
    if (step > 0) this.#parts.learning.labelled();
  }

  async #onSaved(dataset) {
    const isNew = dataset.name !== this.#dataset?.name;
    if (!this.#names.includes(dataset.name)) $("teach-dataset").append(new Option(dataset.name));
    $("teach-empty").hidden = true;
    $("teach-toolbar").hidden = $("teach-work").hidden = false;
    this.#show(dataset);
    (isNew ? $("teach-choose") : $("teach-change")).focus();
    await this.enter();
  }

  async #onRemoved() {
    this.#dataset = null;
    await this.enter();
    ($("teach-empty").hidden ? $("teach-new") : $("teach-first")).focus(); // the button that was pressed may disappear
  }

  #nameOne() {
    this.#on.open();
    this.#parts.form.open(null);
  }

  #complain(text) {
    $("teach-notice").textContent = text;
    $("teach-notice").hidden = !text;
  }
}
