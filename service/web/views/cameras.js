// The cameras that the server watches: a tile for each.

import { readFile } from "../calls/api.js";
import { eventsOf, frameOf, listCameras, pauseCamera, removeCamera } from "../calls/cameras.js";
import { $, announce } from "../page.js";
import { CameraTile } from "../parts/camera-tile.js";
import { TileView } from "../parts/tile-view.js";
import { CameraForm } from "./camera-form.js";

const PARTS = "static/views/cameras.html"; // dialogues and tile: most accounts need none

export class Cameras extends TileView {
  #call;
  #form = null; // a Promise of it
  #models = [];
  #doomed = null; // the tile whose removal is to be confirmed

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

  /** The form; loads it, the other dialogue and the tile first. Throws a Problem. */
  load() {
    this.#form ??= readFile(PARTS).then(
      (text) => {
        document.body.append(...new DOMParser().parseFromString(text, "text/html").body.children);
        $("remove-camera").addEventListener("click", () => this.#remove());
        $("keep-camera").addEventListener("click", () => $("camera-removal").close());
        return new CameraForm(this.#call, (camera) => this.#onSaved(camera));
      },
      (problem) => {
        this.#form = null; // the next attempt loads it again
        throw problem;
      },
    );
    return this.#form;
  }

  /** @param camera null for a new one. */
  async #edit(camera) {
    try {
      (await this.load()).open(camera, this.#models);
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
      remove: (tile) => this.#confirm(tile),
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

  #confirm(tile) {
    this.#doomed = tile;
    $("removal-title").textContent = `Remove ${tile.camera.name}?`;
    $("camera-removal").showModal();
    $("keep-camera").focus();
  }

  async #remove() {
    const { name } = this.#doomed.camera;
    $("camera-removal").close();
    try {
      await this.#call((token) => removeCamera(token, name));
      announce(`Removed: ${name}.`);
      $("add-camera").focus(); // the button that was pressed disappears
      if (!this.panel.hidden) this.enter();
    } catch (problem) {
      this.complain(problem.message);
    }
  }
}
