// The verdict of a run: how good the model is, by photos that were held out, and what to do next.

import { reportOf } from "../../../calls/teach.js";
import { $, element } from "../../../page.js";
import { percent } from "../../../parts/percent.js";
import { save } from "../../photos/exports.js";
import { confusionPicture, confusionTables } from "./confusion.js";

const UNKNOWN = {
  "no photos": "No photo could be held out.",
  "one group": "All photos belong to one group, such as a burst: none of them is independent of the others. Add photos of another time.",
  "one class": "Photos of a second class are missing.",
};

export class VerdictCard {
  #call;
  #suspects;
  #run = null;

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param suspects a Suspects.
   */
  constructor(call, suspects) {
    this.#call = call;
    this.#suspects = suspects;
    $("teach-report").addEventListener("click", () => this.#saveReport());
  }

  /** @param run with its verdict; null hides it. */
  show(run) {
    this.#run = run;
    $("teach-verdict").hidden = run === null;
    if (run === null) {
      this.#suspects.show("", []);
      return;
    }
    const { verdict } = run;
    showAccuracy(verdict.accuracy);
    $("teach-enough").textContent = verdict.enough ? "Enough labels" : "Not enough labels yet";
    $("teach-enough").dataset.enough = String(verdict.enough);
    const advice = [...verdict.advice, verdict.forecast?.sentence].filter(Boolean);
    $("teach-advice").replaceChildren(...[...new Set(advice)].map((sentence) => element("li", "", sentence)));
    this.#suspects.show(run.dataset, verdict.suspects);
    showConfusion(verdict);
    $("teach-figures").replaceChildren(...figures(verdict));
    $("teach-skipped").textContent = skippedWords(run.skipped);
  }

  /** A file and not a page: it opens without this server, and its pictures are in it. */
  async #saveReport() {
    const { dataset, id, model, version } = this.#run;
    $("teach-report").disabled = true;
    try {
      const report = await this.#call((token) => reportOf(token, dataset, id));
      save(`${model}-${version ?? "report"}.html`, report, "text/html");
    } catch (problem) {
      $("teach-serving-notice").textContent = `No report: ${problem.message}`;
      $("teach-serving-notice").hidden = false;
    } finally {
      $("teach-report").disabled = false;
    }
  }
}

function showAccuracy({ value, right, photos, groups, interval, unknown }) {
  $("teach-accuracy").textContent = value === null ? "It cannot be judged yet" : `Right on ${percent(value)} of the photos that were held out`;
  const judged = photos > 0 ? [`${right} of ${photos} photos in ${groups === 1 ? "1 group" : `${groups} groups`}, each judged by a model that saw no photo of its group.`] : [];
  if (unknown) judged.push(UNKNOWN[unknown] ?? "");
  $("teach-interval").hidden = interval === null;
  if (interval) {
    const { low, high, level } = interval;
    const [range, point] = $("teach-interval").children;
    range.style.left = `${low * 100}%`;
    range.style.width = `${(high - low) * 100}%`;
    point.style.left = `${value * 99.5}%`;
    const words = `between ${percent(low)} and ${percent(high)} on other photos like these, with a confidence of ${Math.round(level * 100)}%`;
    $("teach-interval").ariaLabel = `${percent(value)}, ${words}`;
    judged.unshift(`Likely ${words}.`);
  }
  $("teach-judged").textContent = judged.join(" ");
}

function showConfusion(verdict) {
  const pairs = verdict.inseparable.map(({ first, second, photos, right }) =>
    element("li", "", `${first} and ${second} cannot be told apart: ${right} of ${photos} right. Make them one class, or add photos that show the difference.`),
  );
  $("teach-pairs").replaceChildren(...pairs);
  $("teach-pairs").hidden = pairs.length === 0;
  const picture = confusionPicture(verdict);
  $("teach-confusion-picture").replaceChildren(...(picture ? [picture] : []));
  $("teach-confusion-picture").hidden = picture === null;
  $("teach-confusion-details").open = picture === null;
  $("teach-confusion-table").replaceChildren(...confusionTables(verdict));
}

/** What else was measured, as terms and values. */
function figures({ calibration, foreign }) {
  const found = [["Promised precision", percent(calibration.promised_precision)]];
  if (calibration.threshold !== null) {
    found.push(["Answers from a score of", percent(calibration.threshold)], ["Photos answered", orDash(calibration.coverage)], ["Right among these", orDash(calibration.precision)]);
  } else if (calibration.class_thresholds.length === 0) {
    found.push(["Answers from a score of", "no score keeps the promise"]);
  }
  if (calibration.error !== null) found.push(["Error of the scores", percent(calibration.error)]);
  if (foreign) {
    found.push([`Answered among ${foreign.photos} foreign photos`, percent(foreign.answered)]);
    if (foreign.own_refused !== null) found.push(["Own photos refused as foreign", percent(foreign.own_refused)]);
  }
  return found.map(([term, value]) => element("div", "", element("dt", "", term), element("dd", "", value)));
}

function skippedWords(skipped) {
  if (skipped.length === 0) return "";
  const reasons = [...new Set(skipped.map(({ reason }) => reason))].join("; ");
  return `${skipped.length === 1 ? "1 photo was" : `${skipped.length} photos were`} left out: ${reasons}`;
}

function orDash(share) {
  return share === null ? "–" : percent(share);
}
