// One sensor on the page: state, last windows, what is wrong, and the states of the day.
// Names, labels and messages are not trusted: they are only inserted as text.

import { copyOf } from "../../page.js";
import { bar, scored } from "../../parts/bars.js";
import { timeline } from "../../parts/timeline.js";
import { windowDrawings } from "./windows.js";

const DAY_MS = 86_400_000;
const WORDS = { waiting: "No samples yet", silent: "Silent", paused: "Paused" };
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const number = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 3 });

export class SensorTile {
  sensor = null;
  events = null; // null: not loaded yet
  known = ""; // what the events were loaded for
  askedAt = 0; // when, on the clock of `performance`
  isVisible = false; // on the screen; kept by the view
  element = copyOf("sensor-tile");

  /** @param on `{ edit, pause, remove }`, called with the tile. */
  constructor(on) {
    for (const action of ["edit", "pause", "remove"]) {
      this.#find(`.${action}`).addEventListener("click", () => on[action](this));
    }
  }

  get name() {
    return this.sensor.name;
  }

  /** Changes when there may be new events. */
  get headline() {
    return `${this.sensor.since} ${this.sensor.status}`;
  }

  get isPaused() {
    return this.sensor.status === "paused";
  }

  /** @param sensor as in `GET /v1/sensors`. */
  show(sensor) {
    this.sensor = sensor;
    const { name, status, state, since, answer, fault } = sensor;
    const isReceiving = status === "receiving";
    this.element.dataset.status = status;
    this.#find(".file-name bdi").textContent = name;
    this.#find(".verdict").replaceChildren(WORDS[status] ?? verdict(state));
    this.#find(".since").textContent = since && isReceiving ? `since ${clock.format(new Date(since))}` : "";
    this.#find(".remark").textContent = fault ? FAULTS[fault] ?? fault : "";
    this.#find(".remark").hidden = !fault;
    this.#find(".bars").replaceChildren(...(answer?.label && isReceiving ? [bar(answer, answer.label === state)] : []));
    this.#find(".facts").textContent = facts(sensor);
    const isFixed = sensor.is_configured;
    this.#find(".edit").hidden = this.#find(".remove").hidden = isFixed;
    this.#find(".fixed").hidden = !isFixed;
    this.#find(".pause").textContent = this.isPaused ? "Receive again" : "Pause";
    for (const [button, verb] of [["edit", "Change"], ["pause", this.#find(".pause").textContent], ["remove", "Remove"]]) {
      this.#find(`.${button}`).setAttribute("aria-label", `${verb}: ${name}`);
    }
  }

  /** @param windows `{ windows, gaps }` as in `GET /v1/sensors/{name}/windows`. */
  showWindows(windows) {
    this.#find(".windows").replaceChildren(...windowDrawings(windows));
  }

  /** @param events new ones, oldest first; those of the last 24 hours are kept, and the one before. */
  showEvents(events) {
    const all = [...(this.events ?? []), ...events];
    const first = all.findIndex((event) => Date.now() - Date.parse(event.at) < DAY_MS);
    this.events = first === -1 ? all.slice(-1) : all.slice(Math.max(first - 1, 0));
    this.#find(".day").replaceChildren(timeline(this.events));
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }
}

const FAULTS = {
  not_finite: "A window has NaN or infinite samples.",
  gap: "Samples are missing.",
  late: "A window came too late.",
  wrong_channels: "The samples have another number of channels.",
  bad_data: "A message cannot be read.",
  too_large: "A message is too large.",
  stale_epoch: "A device sends an old epoch.",
  in_use: "Another device sends under this name.",
  overloaded: "The server is overloaded.",
  model: "The model did not answer.",
};

function verdict(state) {
  if (state === null) return "No answer yet";
  if (state === "unknown") return "Not sure";
  return scored({ label: state })[0];
}

function facts({ spec, answer, measured_rate: rate, lag_seconds: lag, door, counts }) {
  const model = answer ? `${answer.model} ${answer.version}` : spec.model;
  const measured = rate === null ? null : `${number.format(rate)} of ${number.format(spec.rate)} samples a second`;
  const late = lag === null ? null : `answered after ${number.format(lag * 1000)} ms`;
  const missing = counts.gaps ? `${counts.gaps} ${counts.gaps === 1 ? "gap" : "gaps"}, ${counts.missing} samples missing` : null;
  return [model, measured, late, door?.replace("_", " "), missing].filter(Boolean).join(" · ");
}
