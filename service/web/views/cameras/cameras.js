// The cameras that the server watches: a tile for each.

import { eventsOf, frameOf, listCameras, pauseCamera, removeCamera } from "../../calls/cameras.js";
import { $, announce } from "../../page.js";
import { LateParts } from "../../parts/late-parts.js";
import { Removal } from "../../parts/removal.js";
import { TileView } from "../../parts/tile-view.js";
import { CameraForm } from "./camera-form.js";
import { CameraTile } from "./camera-tile.js";

const PARTS = "static/views/cameras/cameras.html"; // dialogues and tile: most accounts need none

export class Cameras extends TileView {
  #call;
  #models = [];
  #parts = new LateParts(PARTS, () => ({ form: this.#makeForm(), removal: this.#makeRemoval() }));

  /** @param call (use) => Promise; gives an access token to `use`, throws a Problem. */
  constructor(call) {
    super("cameras", "camera-list");
    this.#call = call;
    $("add-camera").addEventListener("click", () => this.#edit(null));
  }

  showModels(models) {
    this.#models = models;
  }

  /** Forgets the cameras, and closes what is open. */
  clear() {
    super.clear();
    for (const dialogue of [$("camera-dialogue"), $("camera-removal")]) dialogue?.close();
  }

  /** The dialogues; loads them and the tile first. Throws a Problem. */
  load() {
    return this.#parts.load();
  }

  /** @param camera null for a new one. */
  async #edit(camera) {
    try {
      (await this.load()).form.open(camera, this.#models);
    } catch (problem) {
      this.complain(problem.message);
    }
  }

  fetch() {
    return this.#call(listCameras);
  }

  makeTile() {
    const pause = (name, isPaused) => this.#call((token) => pauseCamera(token, name, isPaused));
    return new CameraTile({
      edit: ({ camera }) => this.#edit(camera),
      pause: (tile) => this.pause(tile, pause, "Watched again"),
      remove: async ({ name }) => (await this.load()).removal.ask(name),
    });
  }

  eventsOf(name, after) {
    return this.#call((token) => eventsOf(token, name, after));
  }

  /** Brings the picture of a tile up to date. */
  async bring(tile, isCurrent) {
    const { name, last_frame_at: at } = tile.camera;
    if (tile.isPaused || at === null || at === tile.shownAt) return;
    const picture = await createImageBitmap(await this.#call((token) => frameOf(token, name)));
    if (!isCurrent()) return;
    tile.shownAt = at;
    tile.showFrame(picture);
  }

  #onSaved(camera) {
    this.tiles.get(camera.name)?.show(camera);
    this.enter();
    announce(`Saved: ${camera.name}.`);
    $("add-camera").focus();
  }

  #makeForm() {
    return new CameraForm(this.#call, (camera) => this.#onSaved(camera));
  }

  #makeRemoval() {
    return new Removal("camera", (name) => this.#call((token) => removeCamera(token, name)), {
      removed: () => {
        $("add-camera").focus(); // the button that was pressed disappears
        if (!this.panel.hidden) this.enter();
      },
      failed: (problem) => this.complain(problem.message),
    });
  }
}
