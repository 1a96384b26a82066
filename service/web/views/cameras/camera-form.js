// The dialogue that adds or changes a camera: live preview, the part that is classified, motion.

import { addCamera, changeCamera, previewOf } from "../../calls/cameras.js";
import { pause } from "../../calls/pause.js";
import { $ } from "../../page.js";
import { option } from "../../parts/model-choice.js";
import { CropBox } from "./crop-box.js";
import { Motion } from "./motion.js";

const PAUSE_MS = 1000; // between two previews
const VIDEO_PAUSE_MS = 5000; // each one opens the video anew, which takes the server a second
const NUMBERS = ["every_seconds", "agree", "of", "enter_score", "leave_score", "still_seconds", "silent_after_seconds"];
const TEXTS = ["username", "password", "secret"];
const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1, minimumFractionDigits: 1 });

export class CameraForm {
  #call;
  #onDone;
  #form = $("camera-form");
  #camera = null; // the one that is changed; null for a new one
  #preview = null; // an AbortController while pictures are fetched
  #motion = new Motion();
  #box = new CropBox($("camera-picture"), $("crop-box"), (words) => this.#onCrop(words));

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param onDone called with the camera that was added or changed.
   */
  constructor(call, onDone) {
    this.#call = call;
    this.#onDone = onDone;
    $("close-camera").addEventListener("click", () => this.close());
    $("camera-dialogue").addEventListener("close", () => this.#preview?.abort());
    $("whole-picture").addEventListener("click", () => {
      this.#box.show(null);
      this.#onCrop("the whole picture");
    });
    $("try-camera").addEventListener("click", () => this.#look());
    this.#form.elements.url.addEventListener("change", () => this.#look());
    this.#form.addEventListener("submit", (event) => this.#save(event));
  }

  /**
   * @param camera the one to change; null for a new one.
   * @param models as in `GET /v1/models`.
   */
  open(camera, models) {
    this.#camera = camera;
    this.#form.reset();
    const others = models.map((one) => option({ ...one, default: false }));
    this.#form.elements.model.replaceChildren(new Option("default model", ""), ...others);
    $("camera-title").textContent = camera ? `Change ${camera.name}` : "Add a camera";
    $("camera-name").hidden = camera !== null;
    this.#form.elements.name.required = camera === null;
    $("camera-login").textContent = camera?.has_credentials ? "A login is stored; it is never shown. Leave this empty to keep it." : "";
    $("camera-more").open = $("camera-access").open = false;
    if (camera) this.#fill(camera.spec);
    this.#box.show(camera?.spec.crop ?? null);
    this.#complain("");
    $("camera-picture").hidden = true;
    $("crop-status").textContent = $("camera-motion").textContent = "";
    $("camera-dialogue").showModal();
    (camera ? $("try-camera") : this.#form.elements.name).focus();
    if (camera) this.#look();
  }

  close() {
    $("camera-dialogue").close();
  }

  #fill(spec) {
    const fields = this.#form.elements;
    for (const name of ["url", "model", "secret", "motion_threshold", ...NUMBERS]) fields[name].value = spec[name] ?? "";
  }

  /** What is in the fields, as a `CameraSpec`. */
  #spec() {
    const fields = this.#form.elements;
    const spec = { url: fields.url.value.trim() };
    for (const name of NUMBERS) spec[name] = Number(fields[name].value);
    for (const name of [...TEXTS, "model"]) if (fields[name].value) spec[name] = fields[name].value;
    if (fields.motion_threshold.value !== "") spec.motion_threshold = Number(fields.motion_threshold.value);
    if (!this.#box.isWhole) spec.crop = this.#box.crop;
    return spec;
  }

  async #save(event) {
    event.preventDefault();
    const name = this.#camera?.name ?? this.#form.elements.name.value;
    $("save-camera").disabled = true;
    try {
      const spec = this.#spec();
      const saved = await this.#call((token) =>
        this.#camera ? changeCamera(token, name, spec) : addCamera(token, { name, ...spec }),
      );
      this.close();
      this.#onDone(saved);
    } catch (problem) {
      this.#complain(problem.message);
    } finally {
      $("save-camera").disabled = false;
    }
  }

  /** Shows the camera's picture, again and again, until the dialogue is closed or it fails. */
  async #look() {
    this.#preview?.abort();
    if (!this.#form.elements.url.value.trim()) return;
    const { signal } = (this.#preview = new AbortController());
    this.#motion.reset();
    this.#complain("");
    $("camera-looking").hidden = false;
    try {
      while (!signal.aborted) {
        const blob = await this.#call((token) => previewOf(token, this.#spec(), this.#camera?.name ?? null, signal));
        const picture = await createImageBitmap(blob);
        if (!signal.aborted) this.#draw(picture);
        picture.close();
        const isVideo = !this.#form.elements.url.value.startsWith("http");
        do await pause(isVideo ? VIDEO_PAUSE_MS : PAUSE_MS, signal);
        while (document.hidden && !signal.aborted);
      }
    } catch (problem) {
      if (!signal.aborted) this.#complain(problem.message);
    } finally {
      if (signal === this.#preview?.signal) $("camera-looking").hidden = true;
    }
  }

  #draw(picture) {
    const canvas = $("camera-canvas");
    [canvas.width, canvas.height] = [picture.width, picture.height];
    canvas.getContext("2d").drawImage(picture, 0, 0);
    $("camera-picture").hidden = false;
    $("camera-looking").hidden = true;
    const motion = this.#motion.next(picture, this.#box.crop);
    if (motion !== null) $("camera-motion").textContent = `now ${number.format(motion)}`;
  }

  #onCrop(words) {
    $("crop-status").textContent = `Classified: ${words}.`;
    this.#motion.reset(); // of another part
  }

  #complain(text) {
    $("camera-problem").textContent = text;
    $("camera-problem").hidden = !text;
    if (text) $("camera-problem").scrollIntoView({ block: "nearest" });
  }
}
