// Rows of numbers before and after they are scaled.

import { Problem } from "../../calls/api.js";
import { listScalers, scaleRows } from "../../calls/preprocess.js";
import { $ } from "../../page.js";
import { Bench } from "./bench.js";
import { showFigures } from "./figures.js";
import { histogram } from "./histogram.js";
import { compact } from "./numbers.js";

const MOST_BYTES = 5 * 2 ** 20; // more than a page can draw at once; the API takes more
const number = new Intl.NumberFormat("en");

export class NumberBench extends Bench {
  #call;
  #file = null; // instead of what is typed
  #before = null; // as in `PreparedNumeric`
  #after = null;
  #scalers = []; // as in `GET /v1/scalers`

  /** @param call as of the view. */
  constructor(call) {
    super("prepare-numbers");
    this.#call = call;
    $("prepare-numbers-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#scale();
    });
    $("prepare-choose-csv").addEventListener("click", () => $("prepare-csv").click());
    $("prepare-csv").addEventListener("change", ({ target }) => {
      const [file] = target.files;
      if (file) this.take(file);
      target.value = "";
    });
    $("prepare-rows").addEventListener("input", () => this.#name(null));
    $("prepare-scaling").addEventListener("change", () => this.#showImpute());
    $("prepare-column").addEventListener("change", () => this.#showColumn());
  }

  /** Brings the list of scalers up to date. Throws a Problem. */
  async refresh() {
    const scalers = await this.#call(listScalers);
    const { value } = $("prepare-scaling");
    this.#scalers = scalers;
    const choices = scalers.map(({ name, version }) => new Option(`${name} ${version}`, new URLSearchParams({ scaler: name })));
    $("prepare-scalers").replaceChildren(...choices);
    $("prepare-scalers").hidden = scalers.length === 0;
    $("prepare-scaling").value = value;
    if ($("prepare-scaling").selectedIndex === -1) $("prepare-scaling").selectedIndex = 0;
    this.#showImpute();
  }

  /** Takes the rows of a file. */
  take(file) {
    $("prepare-rows").value = "";
    this.#name(file);
    return this.#scale();
  }

  clear() {
    super.clear();
    this.#before = this.#after = null;
    $("prepare-numbers-form").reset();
    this.#name(null);
    this.#showImpute();
  }

  #name(file) {
    this.#file = file;
    $("prepare-csv-name").textContent = file ? `${file.name}, ${number.format(file.size)} bytes` : "";
    $("prepare-csv-name").hidden = !file;
  }

  get #how() {
    const how = Object.fromEntries(new URLSearchParams($("prepare-scaling").value));
    return how.method ? { ...how, impute: $("prepare-impute").value } : how;
  }

  /** A scaler has its own way with missing numbers. */
  #showImpute() {
    const impute = $("prepare-impute");
    impute.disabled = !new URLSearchParams($("prepare-scaling").value).has("method");
    if (impute.disabled) impute.value = "";
    else if (!impute.value) impute.value = "none";
  }

  /** What is subtracted from a column, what it is divided by, and what replaces NaN, as far as known. */
  #parameters(column) {
    const { scaler, offset, scale } = this.#after;
    if (!scaler) return { offset: offset?.[column], scale: scale?.[column] };
    const isIt = ({ name, version }) => name === scaler.name && version === scaler.version;
    return this.#scalers.find(isIt)?.columns[column] ?? {};
  }

  #scale() {
    return this.run(async (signal) => {
      const csv = this.#file ?? new Blob([$("prepare-rows").value]);
      if (csv.size === 0) throw new Problem(400, "Paste rows, or choose a CSV file.");
      if (csv.size > MOST_BYTES) throw new Problem(400, "The page takes up to 5 MB; the API takes more.");
      const how = this.#how;
      const after = await this.#call((token) => scaleRows(token, csv, how, signal));
      const before = await this.#call((token) => scaleRows(token, csv, {}, signal));
      return () => this.#show(before, after);
    });
  }

  #show(before, after) {
    this.#before = before;
    this.#after = after;
    const count = after.nan_counts.length;
    const names = Array.from({ length: count }, (_, place) => after.columns[place] || `Column ${place + 1}`);
    const choices = names.map((name, place) => new Option(name, place));
    const chosen = $("prepare-column").value;
    $("prepare-column").replaceChildren(...choices);
    if (Number(chosen) < count) $("prepare-column").value = chosen || "0";
    this.#showColumn();
    const sum = (counts) => number.format(counts.reduce((total, one) => total + one, 0));
    return [
      after.scaler ? `${after.scaler.name} ${after.scaler.version}` : after.method,
      `${number.format(after.rows.length)} rows`,
      `${count} ${count === 1 ? "column" : "columns"}`,
      `${sum(after.nan_counts)} NaN, ${sum(after.imputed_counts)} replaced`,
    ].join(" · ");
  }

  #showColumn() {
    const column = Number($("prepare-column").value);
    const valuesOf = ({ rows }) => rows.map((row) => row[column]);
    const after = this.#after;
    const { offset, scale, fill } = this.#parameters(column);
    const known = (value) => (value == null ? null : compact(value));
    showFigures($("prepare-column-figures"), [
      ["NaN", number.format(after.nan_counts[column])],
      ["Replaced", number.format(after.imputed_counts[column])],
      ["Replaced by", known(fill)],
      ["Subtracted", known(offset)],
      ["Divided by", known(scale)],
    ]);
    $("prepare-histograms").replaceChildren(
      histogram("Before", valuesOf(this.#before)),
      histogram("After", valuesOf(after)),
    );
  }
}
