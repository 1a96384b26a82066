// The labels of each class, and the runs that teach from them: one starts by itself after every ten labels.

import { pause } from "../../calls/pause.js";
import { cancelRun, getRun, isActive, listRuns, startRun } from "../../calls/teach.js";
import { $, announce, element } from "../../page.js";
import { percent } from "../../parts/percent.js";
import { curve } from "./curve.js";

const LABELS = 10; // after which a run starts by itself
const INTERVAL_MS = 400; // between two looks at a run
const PATIENCE_MS = 3000; // after a look that failed
const MOST_POINTS = 12; // runs that the curve shows
const PREFERRED = "imagenet";
const STEPS = {
  queued: "Waiting for its turn…",
  extracting: "Looking at the photos…",
  fitting: "Fitting…",
  judging: "Judging…",
  grafting: "Building the model…",
  publishing: "Checking the model…",
};

export class Learning {
  #call;
  #onRun;
  #dataset = null;
  #runs = []; // with verdicts, the oldest first
  #taughtFrom = 0; // labels at the last start
  #following = null; // an AbortController
  #isStarting = false;
  #running = null; // the run that is followed
  #form = $("teach-options");

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param onRun called with a run that has a verdict, and whether it was just made; with null if there is none.
   */
  constructor(call, onRun) {
    this.#call = call;
    this.#onRun = onRun;
    $("teach-start").addEventListener("click", () => this.#start());
    $("teach-cancel").addEventListener("click", () => this.#cancel());
    this.#form.addEventListener("submit", (event) => event.preventDefault());
  }

  /** @param models that take images, as in `GET /v1/models`. */
  showBases(models) {
    const { base } = this.#form.elements;
    const chosen = base.value;
    base.replaceChildren(...models.map(({ name }) => new Option(name)));
    const wanted = [chosen, PREFERRED, models.find((model) => model.default)?.name];
    base.value = wanted.find((name) => models.some((model) => model.name === name)) ?? models[0]?.name ?? "";
  }

  /** Shows another dataset with its runs, and follows the one that goes on. */
  async open(dataset) {
    this.close();
    const { signal } = (this.#following = new AbortController());
    this.#runs = [];
    this.#taughtFrom = 0;
    this.#form.elements.model.value = dataset.name;
    this.show(dataset);
    this.#say("");
    this.#complain("");
    this.#onRun(null, false);
    this.#drawCurve();
    try {
      const runs = await this.#call((token) => listRuns(token, dataset.name));
      if (signal.aborted) return;
      const [latest] = runs;
      if (latest) this.#form.elements.model.value = latest.model;
      if (latest?.base) this.#chooseBase(latest.base.name);
      this.#taughtFrom = latest ? dataset.labelled : 0; // a run that failed is not tried again at once
      const done = runs.filter(({ state }) => state === "done").slice(0, MOST_POINTS);
      for (const run of done) {
        const whole = await this.#call((token) => getRun(token, dataset.name, run.id));
        if (signal.aborted) return;
        this.#runs.unshift(whole);
        if (run === latest) this.#taughtFrom = labelsOf(whole);
        if (run === done[0]) this.#onRun(whole, false);
      }
      this.show(this.#dataset);
      this.#drawCurve();
      if (latest && isActive(latest)) await this.#follow(latest, signal);
      else if (latest?.error) this.#fail(latest);
    } catch (problem) {
      if (!signal.aborted) this.#complain(problem.message);
    }
  }

  /** Stops following. */
  close() {
    this.#following?.abort();
    this.#following = null;
    this.#showBusy(false);
  }

  /** Shows the counts of the dataset, which may have changed. */
  show(dataset) {
    this.#dataset = dataset;
    const { classes, photos, labelled } = dataset;
    const most = Math.max(1, ...classes.map((one) => one.photos));
    $("teach-counts").replaceChildren(...classes.map((one) => count(one, most)));
    $("teach-total").textContent = `${labelled} of ${photos === 1 ? "1 photo" : `${photos} photos`} labelled. ${this.#hint()}`;
    $("teach-start").disabled = !this.#isReady;
  }

  /** Starts a run if enough labels have come since the last one. */
  labelled() {
    const isDue = this.#dataset.labelled - this.#taughtFrom >= LABELS;
    const hasAll = this.#dataset.classes.every(({ photos }) => photos > 0);
    if (isDue && hasAll && this.#isReady && !this.#isStarting && !this.#isBusy) this.#start();
  }

  get #isBusy() {
    return !$("teach-cancel").hidden;
  }

  /** Whether there is something to tell apart. */
  get #isReady() {
    return this.#dataset.classes.filter(({ photos }) => photos > 0).length >= 2;
  }

  #hint() {
    const { classes, labelled } = this.#dataset;
    const missing = classes.filter(({ photos }) => photos === 0).map(({ name }) => name);
    if (classes.length < 2) return "A model needs two classes at least.";
    if (missing.length > 0) return `Still without a photo: ${missing.join(", ")}.`;
    const left = Math.max(0, LABELS - (labelled - this.#taughtFrom));
    return left === 0 ? "" : `${left === 1 ? "1 more label" : `${left} more labels`}, and it is taught ${this.#runs.length > 0 ? "again" : "by itself"}.`;
  }

  async #start() {
    const { model, base } = this.#form.elements;
    if (!model.checkValidity()) {
      model.closest("details").open = true;
      model.reportValidity();
      return;
    }
    const { name, labelled } = this.#dataset;
    const options = { model: model.value, ...(base.value && { base: base.value }) };
    this.#following ??= new AbortController();
    const { signal } = this.#following;
    this.#isStarting = true;
    this.#taughtFrom = labelled; // a run that fails is not tried again at every label
    this.#complain("");
    try {
      const run = await this.#call((token) => startRun(token, name, options));
      if (!signal.aborted) await this.#follow(run, signal);
    } catch (problem) {
      if (!signal.aborted) this.#complain(problem.message);
    } finally {
      this.#isStarting = false;
    }
    if (!signal.aborted) this.labelled(); // labels that came meanwhile
  }

  /** Shows how a run goes on, until it has ended. */
  async #follow(begun, signal) {
    let run = begun;
    this.#showBusy(true);
    while (isActive(run)) {
      this.#showRun(run);
      await pause(INTERVAL_MS, signal);
      if (signal.aborted) return;
      run = (await this.#look(run, signal)) ?? run;
      if (signal.aborted) return;
    }
    this.#showBusy(false);
    if (run.state === "done") this.#succeed(run);
    else if (run.state === "failed") this.#fail(run);
    else this.#say("Cancelled.");
  }

  /** The run as it is now; null if the server cannot be reached for the moment. */
  async #look({ dataset, id }, signal) {
    try {
      const run = await this.#call((token) => getRun(token, dataset, id));
      this.#complain("");
      return run;
    } catch (problem) {
      if (!problem.isTemporary) throw problem;
      this.#complain(`${problem.message} Trying again.`);
      await pause(Math.max(PATIENCE_MS, problem.retryAfter * 1000), signal);
      return null;
    }
  }

  async #cancel() {
    const { dataset, id } = this.#running;
    try {
      await this.#call((token) => cancelRun(token, dataset, id));
    } catch (problem) {
      this.#complain(problem.message);
    }
    $("teach-start").focus(); // the button that was pressed disappears
  }

  #showRun(run) {
    this.#running = run;
    const { state, progress } = run;
    const bar = $("teach-run-bar");
    if (progress?.total > 0 && state === "extracting") bar.value = progress.done / progress.total;
    else bar.removeAttribute("value");
    this.#say(STEPS[state]);
  }

  #showBusy(isBusy) {
    $("teach-run-progress").hidden = $("teach-cancel").hidden = !isBusy;
    $("teach-start").hidden = isBusy;
  }

  #succeed(run) {
    this.#runs.push(run);
    const { value } = run.verdict.accuracy;
    const said = value === null ? "It cannot be judged yet." : `It is right on ${percent(value)} of the photos that were held out.`;
    this.#say(`Taught from ${run.verdict.photos} photos. ${said}`);
    this.#drawCurve();
    this.#onRun(run, true);
    this.show(this.#dataset);
  }

  #fail({ error }) {
    this.#say("");
    this.#complain(`Not taught: ${error.detail}`);
    announce("Not taught.");
  }

  #drawCurve() {
    const points = this.#runs.slice(-MOST_POINTS).filter(({ verdict }) => verdict.accuracy.value !== null);
    const drawn = points.map(({ verdict: { photos, accuracy, forecast } }) => ({ photos, ...accuracy, forecast }));
    $("teach-curve").hidden = drawn.length === 0;
    $("teach-curve").querySelector("svg")?.remove();
    if (drawn.length > 0) $("teach-curve").prepend(curve(drawn));
  }

  #chooseBase(name) {
    const { base } = this.#form.elements;
    if ([...base.options].some(({ value }) => value === name)) base.value = name;
  }

  #say(text) {
    if ($("teach-run").textContent !== text) $("teach-run").textContent = text;
  }

  #complain(text) {
    $("teach-learning-notice").textContent = text;
    $("teach-learning-notice").hidden = !text;
  }
}

/** The labelled photos that a run saw, with those that it left out. */
function labelsOf({ verdict, skipped }) {
  return (verdict?.photos ?? 0) + skipped.length;
}

function count({ name, photos }, most) {
  const [bar, filled] = [element("span", "bar"), element("span")];
  bar.ariaHidden = "true";
  filled.style.width = `${(photos / most) * 100}%`;
  bar.append(filled);
  const row = element("li", photos === 0 ? "missing" : "named", element("span", "label", name), " ", element("span", "score", String(photos)), bar);
  return row;
}
