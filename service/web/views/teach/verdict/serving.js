// Whether a taught version is in use: promote it, roll back, and how its trial beside the other goes.

import { describeModel } from "../../../calls/api.js";
import { promote, rollBack, rolloutOf } from "../../../calls/teach.js";
import { $, announce } from "../../../page.js";
import { percent } from "../../../parts/percent.js";

const INTERVAL_MS = 5000;

export class Serving {
  #call;
  #on;
  #run = null;
  #canChange = false;
  #round = 0;

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param on `{ changed(), use(model) }`: the first when another version serves, the second to classify with it.
   */
  constructor(call, on) {
    this.#call = call;
    this.#on = on;
    $("teach-promote").addEventListener("click", () => {
      const { model, version } = this.#run;
      this.#change((token) => promote(token, model, version), `Version ${version} is in use.`);
    });
    $("teach-roll-back").addEventListener("click", () => {
      const { model } = this.#run;
      this.#change((token) => rollBack(token, model), "Rolled back.");
    });
    $("teach-try").addEventListener("click", () => on.use(this.#run.model));
  }

  /** @param canChange whether this account may change what is served. */
  set canChange(canChange) {
    this.#canChange = canChange;
  }

  /** Shows how the model of a run is served, and follows it until `leave`; null: no run. */
  show(run) {
    this.leave();
    this.#run = run;
    if (run) this.#follow();
  }

  /** Goes on following. */
  enter() {
    if (this.#run) this.#follow();
  }

  leave() {
    this.#round += 1;
  }

  /** Asks until nothing is on its way: no version is being loaded, and none is tried. */
  async #follow() {
    const round = ++this.#round;
    const isCurrent = () => round === this.#round;
    while (isCurrent() && (await this.#refresh(isCurrent))) {
      await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
    }
  }

  /** Resolves to whether something is on its way. */
  async #refresh(isCurrent) {
    const { model } = this.#run;
    try {
      const { versions } = await this.#call((token) => describeModel(token, model));
      const rollout = await this.#call((token) => rolloutOf(token, model)).catch(() => null); // an addition
      if (!isCurrent()) return false;
      this.#showVersions(versions);
      this.#showRollout(rollout);
      return rollout !== null || versions.some(({ state }) => state.endsWith("ING"));
    } catch (problem) {
      if (isCurrent()) this.#say(problem.status === 404 ? `${model} is not served yet.` : problem.message);
      return problem.isTemporary || problem.status === 404;
    }
  }

  #showVersions(versions) {
    const { model, version } = this.#run;
    const current = versions.find((one) => one.default)?.version ?? null;
    const own = versions.find((one) => one.version === version);
    const isUsed = current === version;
    const serving = current === null ? `No version of ${model} is in use.` : `Version ${current} of ${model} is in use.`;
    const candidate = isUsed ? "It is the one that this verdict is of." : `The verdict is of version ${version}, a candidate.`;
    const failed = own?.state === "FAILED" ? ` It could not be loaded${own.reason ? `: ${own.reason}` : "."}` : "";
    const may = this.#canChange ? "" : " This account may not change that: it has not the scope models:write.";
    this.#say(`${serving} ${candidate}${failed}${may}`);
    $("teach-promote").hidden = !this.#canChange || isUsed;
    $("teach-promote").textContent = `Promote version ${version}`;
    $("teach-roll-back").hidden = !this.#canChange || versions.length < 2;
    $("teach-try").hidden = current === null;
  }

  #showRollout(rollout) {
    $("teach-rollout").hidden = rollout === null;
    if (rollout === null) return;
    const { version, mode, share, tried, agreement, compared, missing } = rollout;
    const what =
      mode === "canary"
        ? `answers ${percent(share)} of the callers, ${tried.answers} calls so far`
        : `answers copies of calls that nobody sees, ${compared} so far`;
    const same = agreement === null ? "" : ` ${percent(agreement)} of its answers are those of the version in use.`;
    $("teach-rollout").textContent = `Trial (${mode}): version ${version} ${what}.${same} It waits for ${missing}.`;
  }

  async #change(send, said) {
    $("teach-promote").disabled = $("teach-roll-back").disabled = true;
    this.#complain("");
    try {
      const { versions } = await this.#call(send);
      this.#showVersions(versions);
      this.#follow();
      announce(said);
      if ($("teach-promote").hidden) $("teach-try").focus(); // the button that was pressed disappears
      this.#on.changed();
    } catch (problem) {
      this.#complain(problem.message);
    } finally {
      $("teach-promote").disabled = $("teach-roll-back").disabled = false;
    }
  }

  #say(text) {
    if ($("teach-serving").textContent !== text) $("teach-serving").textContent = text;
  }

  #complain(text) {
    $("teach-serving-notice").textContent = text;
    $("teach-serving-notice").hidden = !text;
  }
}
