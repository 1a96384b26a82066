// The dialogue that adds or changes a sensor.

import { describeModel } from "../../calls/api.js";
import { addSensor, changeSensor } from "../../calls/sensors.js";
import { $ } from "../../page.js";
import { option } from "../../parts/model-choice.js";
import { FieldErrors } from "../../parts/field-errors.js";

const NUMBERS = [
  ...["channels", "rate", "window", "stride", "gap_samples", "late_after_seconds"],
  ...["agree", "of", "enter_score", "leave_score", "silent_after_seconds"],
];
const OWNERS = { conflict: "name", model_not_found: "model" }; // fields of problems that name none
const NO_MODEL = "This account sees no model that takes windows of samples.";
const number = new Intl.NumberFormat("en");

export class SensorForm {
  #call;
  #onDone;
  #form = $("sensor-form");
  #errors = new FieldErrors(this.#form);
  #sensor = null; // the one that is changed; null for a new one
  #guess = ""; // the channels that were filled in here

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param onDone called with the sensor that was added or changed.
   */
  constructor(call, onDone) {
    this.#call = call;
    this.#onDone = onDone;
    const { model, gap } = this.#form.elements;
    $("close-sensor").addEventListener("click", () => this.close());
    model.addEventListener("change", () => this.#describe());
    gap.addEventListener("change", () => this.#showGap());
    this.#form.addEventListener("submit", (event) => this.#save(event));
  }

  /**
   * @param sensor the one to change; null for a new one.
   * @param models that take windows, as in `GET /v1/models`.
   */
  open(sensor, models) {
    const fields = this.#form.elements;
    this.#sensor = sensor;
    this.#guess = "";
    this.#errors.clear();
    this.#form.reset();
    const choices = models.map((one) => option({ ...one, default: false }));
    const model = sensor?.spec.model;
    if (model && !models.some(({ name }) => name === model)) choices.unshift(new Option(model));
    fields.model.replaceChildren(...choices);
    $("sensor-title").textContent = sensor ? `Change ${sensor.name}` : "Add a sensor";
    $("sensor-name-field").hidden = fields.name.disabled = sensor !== null;
    $("sensor-more").open = false;
    if (sensor) for (const name of [...NUMBERS, "model", "gap"]) fields[name].value = sensor.spec[name] ?? "";
    this.#showGap();
    this.#complain("");
    $("sensor-dialogue").showModal();
    (sensor ? fields.rate : fields.name).focus();
    this.#describe();
  }

  close() {
    $("sensor-dialogue").close();
  }

  /** Says what the chosen model takes, and fills in its channels. */
  async #describe() {
    const { model, channels, window } = this.#form.elements;
    const chosen = model.value;
    $("sensor-takes").textContent = chosen ? "" : NO_MODEL;
    if (!chosen) return;
    try {
      const { input } = await this.#call((token) => describeModel(token, chosen));
      if (model.value !== chosen || input.kind !== "series") return;
      const { channels: count, length } = input;
      $("sensor-takes").textContent = `Takes ${number.format(length)} samples of ${count} ${count === 1 ? "channel" : "channels"}.`;
      window.placeholder = String(length);
      if (channels.value === this.#guess) channels.value = this.#guess = String(count);
    } catch {
      // the account may not see models, or the model is gone: the server says so on saving
    }
  }

  #showGap() {
    const { gap, gap_samples: most } = this.#form.elements;
    most.disabled = gap.value === "drop";
    if (most.disabled) most.value = "0";
  }

  /** What is in the fields, as a `SensorSpec`. */
  #spec() {
    const fields = this.#form.elements;
    const spec = { model: fields.model.value, gap: fields.gap.value };
    for (const name of NUMBERS) if (fields[name].value !== "") spec[name] = Number(fields[name].value);
    return spec;
  }

  async #save(event) {
    event.preventDefault();
    this.#complain("");
    const { agree, of } = this.#form.elements;
    agree.setCustomValidity(Number(agree.value) > Number(of.value) ? "At most as many as are looked at." : "");
    if (!this.#errors.check()) return;
    const name = this.#sensor?.name ?? this.#form.elements.name.value;
    $("save-sensor").disabled = true;
    try {
      const spec = this.#spec();
      const saved = await this.#call((token) =>
        this.#sensor ? changeSensor(token, name, spec) : addSensor(token, { name, ...spec }),
      );
      this.close();
      this.#onDone(saved);
    } catch (problem) {
      this.#complain(this.#errors.show(problem, this.#sensor ? {} : OWNERS));
    } finally {
      $("save-sensor").disabled = false;
    }
  }

  #complain(text) {
    $("sensor-problem").textContent = text;
    $("sensor-problem").hidden = !text;
    if (text) $("sensor-problem").scrollIntoView({ block: "nearest" });
  }
}
