// One camera on the page: picture, state, what is wrong, and the states of the day.
// Names, labels and messages are not trusted: they are only inserted as text.

import { MOST_EVENTS } from "../../calls/cameras.js";
import { copyOf } from "../../page.js";
import { bar, scored } from "../../parts/bars.js";
import { timeline } from "../../parts/timeline.js";

const DAY_MS = 86_400_000;
const WORDS = { starting: "Starting…", silent: "Silent", paused: "Paused" };
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export class CameraTile {
  camera = null;
  shownAt = null; // `last_frame_at` of the frame that is shown
  events = null; // null: not loaded yet
  known = ""; // what the events were loaded for
  askedAt = 0; // when, on the clock of `performance`
  isVisible = false; // on the screen; kept by the view
  element = copyOf("camera-tile");

  /** @param on `{ edit, pause, remove }`, called with the tile. */
  constructor(on) {
    this.#find(".edit").addEventListener("click", () => on.edit(this));
    this.#find(".pause").addEventListener("click", () => on.pause(this));
    this.#find(".remove").addEventListener("click", () => on.remove(this));
  }

  get name() {
    return this.camera.name;
  }

  /** Changes when there may be new events. */
  get headline() {
    return `${this.camera.since} ${this.camera.status}`;
  }

  get isPaused() {
    return this.camera.status === "paused";
  }

  /** @param camera as in `GET /v1/cameras`. */
  show(camera) {
    this.camera = camera;
    const { name, status, state, since, answer, problem } = camera;
    this.element.dataset.status = status;
    this.#find(".file-name bdi").textContent = name;
    this.#find(".verdict").replaceChildren(WORDS[status] ?? this.#state());
    this.#find(".since").textContent = since && status === "watching" ? `since ${when(since)}` : lastState(camera);
    this.#find(".remark").textContent = problem ? explain(problem) : "";
    this.#find(".remark").hidden = !problem;
    const isAnswered = answer?.label && status === "watching";
    this.#find(".bars").replaceChildren(...(isAnswered ? [bar(answer, answer.label === state)] : []));
    this.#find(".facts").textContent = facts(camera);
    this.#find(".pause").textContent = this.isPaused ? "Watch again" : "Pause";
    for (const [button, verb] of [["edit", "Change"], ["pause", this.#find(".pause").textContent], ["remove", "Remove"]]) {
      this.#find(`.${button}`).setAttribute("aria-label", `${verb}: ${name}`);
    }
  }

  /** @param events new ones, oldest first; those of the last 24 hours are kept, and the one before. */
  showEvents(events) {
    const isCut = this.events === null && events.length === MOST_EVENTS;
    if (isCut) events[0].previous = null; // nobody knows since when
    const all = [...(this.events ?? []), ...events];
    const first = all.findIndex((event) => Date.now() - Date.parse(event.at) < DAY_MS);
    this.events = first === -1 ? all.slice(-1) : all.slice(Math.max(first - 1, 0));
    this.#find(".day").replaceChildren(timeline(this.events));
  }

  /** @param picture an ImageBitmap, which is closed here. */
  showFrame(picture) {
    const canvas = this.#find("canvas");
    [canvas.width, canvas.height] = [picture.width, picture.height];
    const context = canvas.getContext("2d");
    context.drawImage(picture, 0, 0);
    picture.close();
    canvas.hidden = false;
    this.#find(".tile")?.remove();
    canvas.setAttribute("aria-label", `Picture of ${this.camera.name}`);
    const { crop } = this.camera.spec;
    if (!crop) return;
    context.strokeStyle = "#ffc83a";
    context.lineWidth = Math.max(2, canvas.width / 200);
    context.strokeRect(crop.x * canvas.width, crop.y * canvas.height, crop.width * canvas.width, crop.height * canvas.height);
  }

  #state() {
    const { state } = this.camera;
    if (state === null) return "No answer yet";
    if (state === "unknown") return "Not sure";
    return scored({ label: state })[0];
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }
}

function lastState({ state, since }) {
  return state && state !== "unknown" ? `last: ${state}, since ${when(since)}` : "";
}

function explain({ detail, at, attempts }) {
  const words = /[.!?]$/.test(detail) ? detail : `${detail}.`;
  return attempts > 1 ? `${words} ${attempts} attempts, the last at ${when(at)}.` : words;
}

function facts({ kind, spec, answer, motion }) {
  const model = answer ? `${answer.model} ${answer.version}` : (spec.model ?? "default model");
  const moved = spec.motion_threshold === null ? null : `motion ${motion === null ? "–" : motion.toFixed(1)} of ${spec.motion_threshold}`;
  return [kind, `every ${spec.every_seconds} s`, model, moved].filter(Boolean).join(" · ");
}

/** "14:05", and with the date if it is not of today. */
function when(text) {
  const time = new Date(text);
  return time.toDateString() === new Date().toDateString() ? clock.format(time) : day.format(time);
}
