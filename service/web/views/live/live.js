// The camera of this device, with the answer over its picture.

import { FrameStream } from "../../calls/stream.js";
import { $, announce, element } from "../../page.js";
import { outcome } from "../../parts/answer.js";
import { bar, namesOf, scored } from "../../parts/bars.js";
import { ModelChoice } from "../../parts/model-choice.js";
import { Camera, obstacle } from "./camera.js";

const MOST_A_SECOND = 15; // frames; people see no difference, and each one counts for the rate limits
const OPTIONS = { mode: "latest", smooth: 5, top_k: 3 };
const RATE_MS = 2000; // over which the frames a second are measured
const REFRESH_MS = 250; // of the figures
const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });

export class Live {
  panel = $("live");

  #models;
  #scopes = new Set();
  #name = "";
  #isWanted = false; // started, and not stopped by a person
  #isPaused = false;
  #isGrabbing = false;
  #nextAt = 0;
  #answers = []; // when the last ones came
  #takenAt = 0; // the frame of the last answer
  #timer = null;
  #camera = new Camera($("live-video"), () => this.#fail("The camera was unplugged, or its permission withdrawn."));
  #stream;

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param openModel shows what the model with a name knows.
   */
  constructor(call, openModel) {
    this.#models = new ModelChoice("live-", openModel, () => this.#changeModel());
    this.#stream = new FrameStream(call, {
      state: (isOpen) => this.#onState(isOpen),
      result: (message, takenAt) => this.#show(message, takenAt),
      event: ({ summary }) => announce(summary ? summary.label : "Not sure"),
      problem: (problem, isFinal) => this.#onProblem(problem, isFinal),
    });
    $("live-start").addEventListener("click", () => this.#start());
    $("live-pause").addEventListener("click", () => this.#pause(!this.#isPaused));
    $("live-turn").addEventListener("click", () => {
      this.#pause(false);
      this.#open(() => this.#camera.turn());
    });
    $("live-stop").addEventListener("click", () => {
      this.stop();
      $("live-start").focus(); // the button that was pressed disappears
    });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.#suspend();
      else if (!this.panel.hidden) this.enter();
    });
  }

  /** @param session of the person who has signed in. */
  show(models, { name, scopes }) {
    this.#models.show(models);
    if (name !== this.#name) this.#isWanted = false; // another person starts it anew
    this.#name = name;
    this.#scopes = scopes;
  }

  /** Goes on where it was left. */
  enter() {
    const reason = this.#reason();
    $("live-start").hidden = reason !== null;
    if (reason !== null) this.#fail(reason);
    else if (this.#isWanted && !this.#camera.isOn) this.#start();
  }

  /** Lets go of the camera until the view is shown again. */
  leave() {
    this.#suspend();
  }

  /** Lets go of the camera. */
  stop() {
    this.#isWanted = false;
    this.#say("");
    this.#suspend();
  }

  /** Why there can be no frames, in words; null if they are possible. */
  #reason() {
    if (this.#scopes.has("stream")) return obstacle();
    const scopes = [...this.#scopes, "stream"].map((scope) => `--scope ${scope}`).join(" ");
    return (
      `This session may not send frames: it lacks the scope "stream". An operator gives it, naming all ` +
      `scopes that the account is to have, and then you sign in again: potoo users change ${this.#name} ${scopes}`
    );
  }

  #start() {
    this.#isWanted = true;
    this.#pause(false);
    this.#open(() => this.#camera.start());
  }

  /** @param begin starts a camera. */
  async #open(begin) {
    this.#say("");
    this.#stage("starting");
    try {
      if (!(await begin())) return;
    } catch (error) {
      this.#fail(error.message);
      return;
    }
    this.#stage("on");
    this.#camera.watch(() => this.#send());
    if (!this.#stream.isOpen) this.#connect();
    this.#timer ??= setInterval(() => this.#count(), REFRESH_MS);
    $("live-turn").hidden = !(await this.#camera.canTurn());
  }

  #connect() {
    const model = this.#models.chosen || undefined;
    this.#stream.open({ ...OPTIONS, model });
  }

  #changeModel() {
    const model = this.#models.chosen;
    if (this.#stream.isOpen) this.#stream.change({ model });
    else if (this.#camera.isOn && !this.#isPaused) this.#connect(); // the last one was refused
  }

  /** A pause keeps the picture and its answer; nothing is sent. */
  #pause(isPaused) {
    this.#isPaused = isPaused;
    $("live-pause").ariaPressed = String(isPaused);
    $("live-pause").textContent = isPaused ? "Go on" : "Pause";
    if (!this.#camera.isOn) return;
    if (isPaused) {
      $("live-video").pause();
      this.#stream.close();
      this.#onState(false);
    } else {
      $("live-video").play().catch(() => {}); // stopped meanwhile
      this.#connect();
    }
  }

  #suspend() {
    this.#camera.stop();
    this.#stream.close();
    clearInterval(this.#timer);
    this.#timer = null;
    this.#answers = [];
    this.#stage("off");
  }

  async #send() {
    const now = performance.now();
    if (this.#isGrabbing || this.#isPaused || now < this.#nextAt || !this.#stream.canSend) return;
    this.#isGrabbing = true;
    this.#nextAt = now + 1000 / MOST_A_SECOND;
    try {
      const image = await this.#camera.grab();
      if (image && this.#stream.canSend) this.#stream.send(image, now);
    } finally {
      this.#isGrabbing = false;
    }
  }

  #show(result, takenAt) {
    if (this.#isPaused || !this.#camera.isOn) return;
    this.#say("");
    this.#answers.push(performance.now());
    this.#takenAt = takenAt;
    const { smoothed, labels_present: present, predictions } = result;
    const unsure = outcome(result) === "answered" ? "…" : outcome(result);
    const words = smoothed ? scored(smoothed) : [present?.length ? element("span", "name", present.join(", ")) : unsure];
    $("live-verdict").replaceChildren(...words);
    const said = namesOf(result);
    $("live-bars").replaceChildren(...predictions.map((one) => bar(one, said.has(one.label))));
    $("live-over").hidden = false;
  }

  /** Frames a second, and the age of the answer that is shown: it grows while no other one comes. */
  #count() {
    if (this.#isPaused) return;
    const now = performance.now();
    this.#answers = this.#answers.filter((at) => now - at < RATE_MS);
    $("live-rate").textContent = number.format(this.#answers.length / (RATE_MS / 1000));
    const age = now - this.#takenAt;
    $("live-age").textContent = age < 1000 ? `${age.toFixed(0)} ms` : `${number.format(age / 1000)} s`;
    $("live-facts").hidden = $("live-over").hidden;
  }

  #onState(isOpen) {
    $("live-state").textContent = this.#isPaused ? "paused" : isOpen ? "" : "connecting…";
  }

  #onProblem(problem, isFinal) {
    if (!this.#camera.isOn) return;
    this.#say(isFinal || problem.status === 429 ? problem.message : `${problem.message} Trying again.`);
  }

  #fail(message) {
    this.#isWanted = false;
    this.#suspend();
    this.#say(message);
  }

  #stage(state) {
    $("live-stage").dataset.state = state;
    $("live-start").disabled = state === "starting";
    $("live-actions").hidden = state !== "on";
    if (state !== "on") $("live-over").hidden = $("live-facts").hidden = true;
  }

  #say(text) {
    if ($("live-notice").textContent === text) return;
    $("live-notice").textContent = text;
    $("live-notice").hidden = !text;
  }
}
