// Where photos come from: files, folders, this device's camera, a camera that the server watches.

import { frameOf, listCameras } from "../../../calls/cameras.js";
import { $, announce } from "../../../page.js";
import { Camera, obstacle } from "../../live/camera.js";
import { chosenFiles, filesOf, photosAmong } from "./dropped.js";

export class Sources {
  #call;
  #add;
  #dataset = null;
  #canWatch = false;
  #shots = 0;
  #camera = new Camera($("teach-video"), () => this.#stop("The camera was unplugged, or its permission withdrawn."));

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param add called with `{ file, query }` each, the query as in `NewPhotoOptions`.
   */
  constructor(call, add) {
    this.#call = call;
    this.#add = add;
    this.#wireFiles();
    this.#wireDrops();
    $("teach-camera").addEventListener("click", () => (this.#camera.isOn ? this.#stop() : this.#start(() => this.#camera.start())));
    $("teach-camera-stop").addEventListener("click", () => {
      this.#stop();
      $("teach-camera").focus(); // the button that was pressed disappears
    });
    $("teach-turn").addEventListener("click", () => this.#start(() => this.#camera.turn()));
    $("teach-shoot").addEventListener("click", () => this.#shoot());
    $("teach-frame").addEventListener("click", () => this.#takeFrame());
    document.addEventListener("visibilitychange", () => document.hidden && this.leave());
  }

  /** @param canWatch whether this account may see the cameras that the server watches. */
  set canWatch(canWatch) {
    this.#canWatch = canWatch;
  }

  show(dataset) {
    this.#dataset = dataset;
    const isSingle = dataset.kind === "single";
    $("teach-invitation").textContent = isSingle
      ? "Drop photos or folders here. A folder that is named as a class labels its photos."
      : "Drop photos or folders here.";
  }

  /** Lists the watched cameras. */
  async enter() {
    if (!this.#canWatch) return;
    try {
      const names = (await this.#call(listCameras)).map(({ name }) => name);
      const chosen = $("teach-watched-name").value;
      $("teach-watched-name").replaceChildren(...names.map((name) => new Option(name)));
      if (names.includes(chosen)) $("teach-watched-name").value = chosen;
      $("teach-watched").hidden = names.length === 0;
    } catch (problem) {
      this.#complain(problem.message);
    }
  }

  /** Lets go of the camera. */
  leave() {
    if (!$("teach-shots").hidden) this.#stop();
  }

  /** Takes files that were pasted. */
  paste(files) {
    this.#take(Array.from(files, (file) => ({ file, folder: "" })));
  }

  #take(files) {
    if (files.length === 0 || !this.#dataset) return;
    const classes = this.#dataset.kind === "single" ? this.#dataset.classes.map(({ name }) => name) : [];
    const photos = photosAmong(files, classes);
    this.#complain(photos.length === 0 ? "No photo is among these files: JPEG, PNG, WebP, GIF, BMP and TIFF are taken." : "");
    if (photos.length > 0) this.#add(photos);
  }

  async #start(begin) {
    this.#complain("");
    const reason = obstacle();
    if (reason !== null) {
      this.#stop(reason);
      return;
    }
    this.#open(true);
    try {
      if (!(await begin())) return;
    } catch (error) {
      this.#stop(error.message);
      return;
    }
    $("teach-shoot").disabled = false;
    $("teach-shoot").focus();
    $("teach-turn").hidden = !(await this.#camera.canTurn());
  }

  #open(isOpen) {
    $("teach-shots").hidden = !isOpen;
    $("teach-shoot").disabled = isOpen; // until there is a picture
    $("teach-camera").ariaExpanded = String(isOpen);
  }

  #stop(reason = "") {
    this.#camera.stop();
    this.#open(false);
    this.#complain(reason);
  }

  async #shoot() {
    const image = await this.#camera.grab();
    if (!image) return;
    this.#shots += 1;
    this.#add([fromCamera(image, `photo ${this.#shots}`)]);
    announce("Photo taken.");
  }

  async #takeFrame() {
    const name = $("teach-watched-name").value;
    $("teach-frame").disabled = true;
    try {
      this.#add([fromCamera(await this.#call((token) => frameOf(token, name)), name)]);
      this.#complain("");
      announce(`Frame of ${name} taken.`);
    } catch (problem) {
      this.#complain(`${name}: ${problem.message}`);
    } finally {
      $("teach-frame").disabled = false;
    }
  }

  #wireFiles() {
    $("teach-choose").addEventListener("click", () => $("teach-files").click());
    $("teach-folder").addEventListener("click", () => $("teach-folder-files").click());
    for (const input of [$("teach-files"), $("teach-folder-files")]) {
      input.addEventListener("change", () => {
        this.#take(chosenFiles(input));
        input.value = ""; // so that the same photo can be chosen again
      });
    }
  }

  #wireDrops() {
    const zone = $("teach-sources");
    addEventListener("dragover", (event) => zone.classList.toggle("eager", event.dataTransfer.types.includes("Files")));
    addEventListener("dragleave", (event) => event.relatedTarget === null && zone.classList.remove("eager"));
    addEventListener("drop", () => zone.classList.remove("eager"));
    $("teach").addEventListener("drop", async (event) => {
      if (event.dataTransfer.types.includes("Files")) this.#take(await filesOf(event.dataTransfer));
    });
  }

  #complain(text) {
    $("teach-sources-notice").textContent = text;
    $("teach-sources-notice").hidden = !text;
  }
}

/** Taken now: photos within seconds of one another are one group, which is never split. */
function fromCamera(image, name) {
  const file = new File([image], name, { type: image.type });
  return { file, query: { source: "camera", captured: new Date().toISOString() } };
}
