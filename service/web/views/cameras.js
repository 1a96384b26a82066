// The cameras that the server watches: a tile for each.

import { readFile } from "../calls/api.js";
import { eventsOf, frameOf, listCameras, pauseCamera, removeCamera } from "../calls/cameras.js";
import { $, announce } from "../page.js";
import { CameraTile } from "../parts/camera-tile.js";
import { CameraForm } from "./camera-form.js";

const INTERVAL_MS = 1000;
const EVENTS_MS = 15_000; // after which the day is drawn again, without a change too
const PARTS = "static/views/cameras.html"; // dialogues and tile: most accounts need none

export class Cameras {
  panel = $("cameras");

  #call;
  #tiles = new Map(); // by name
  #form = null; // a Promise of it
  #models = [];
  #round = 0; // of asking; grows when the view is left
  #doomed = null; // the tile whose removal is to be confirmed
  #seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      for (const tile of this.#tiles.values()) if (tile.element === target) tile.isVisible = isIntersecting;
    }
  });

  /** @param call (use) => Promise; gives an access token to `use`, throws a Problem. */
  constructor(call) {
    this.#call = call;
    $("add-camera").addEventListener("click", () => this.#edit(null));
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.leave();
      else if (!this.panel.hidden) this.enter();
    });
  }

  showModels(models) {
    this.#models = models;
  }

  /** Shows what the server sees, until the view is left. */
  async enter() {
    const round = ++this.#round;
    while (round === this.#round) {
      const begun = performance.now();
      const pause = (await this.#refresh(round)) * 1000;
      const left = INTERVAL_MS - (performance.now() - begun);
      await new Promise((resolve) => setTimeout(resolve, Math.max(left, INTERVAL_MS / 4, pause)));
    }
  }

  leave() {
    this.#round += 1;
  }

  /** Forgets the cameras, and closes what is open. */
  clear() {
    this.leave();
    for (const dialogue of [$("camera-dialogue"), $("camera-removal")]) dialogue?.close();
    for (const name of this.#tiles.keys()) this.#drop(name);
  }

  /** The form; loads it, the other dialogue and the tile first. Throws a Problem. */
  #load() {
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
      (await this.#load()).open(camera, this.#models);
    } catch (problem) {
      this.#complain(problem.message);
    }
  }

  /** Resolves to the seconds that the server would like to be left alone. */
  async #refresh(round) {
    try {
      await this.#load();
      const cameras = await this.#call(listCameras);
      if (round !== this.#round) return 0;
      this.#show(cameras);
      this.#complain("");
      await Promise.all([...this.#tiles.values()].map((tile) => this.#bring(tile, round)));
      return 0;
    } catch (problem) {
      if (round === this.#round) this.#complain(problem.message);
      return problem.retryAfter ?? 0;
    }
  }

  #show(cameras) {
    const names = new Set(cameras.map((camera) => camera.name));
    for (const name of this.#tiles.keys()) if (!names.has(name)) this.#drop(name);
    cameras.forEach((camera, place) => {
      const tile = this.#tiles.get(camera.name) ?? this.#add(camera.name);
      tile.show(camera);
      const list = $("camera-list");
      if (list.children[place] !== tile.element) list.insertBefore(tile.element, list.children[place] ?? null);
    });
    $("cameras-empty").hidden = cameras.length > 0;
  }

  #add(name) {
    const tile = new CameraTile({
      edit: ({ camera }) => this.#edit(camera),
      pause: (one) => this.#pause(one),
      remove: (one) => this.#confirm(one),
    });
    this.#tiles.set(name, tile);
    this.#seen.observe(tile.element);
    return tile;
  }

  #drop(name) {
    const { element } = this.#tiles.get(name);
    this.#seen.unobserve(element);
    element.remove();
    this.#tiles.delete(name);
  }

  /** Brings a tile's events and, if it is on the screen, its picture up to date. */
  async #bring(tile, round) {
    const { name, last_frame_at: at, since, status } = tile.camera;
    const [known, now] = [`${since} ${status}`, performance.now()];
    try {
      if (tile.known !== known || now - tile.askedAt > EVENTS_MS) {
        [tile.known, tile.askedAt] = [known, now];
        const after = tile.events?.at(-1)?.id;
        tile.showEvents(await this.#call((token) => eventsOf(token, name, after)));
      }
      if (!tile.isVisible || tile.isPaused || at === null || at === tile.shownAt) return;
      const picture = await createImageBitmap(await this.#call((token) => frameOf(token, name)));
      if (round !== this.#round) return;
      tile.shownAt = at;
      tile.showFrame(picture);
    } catch (problem) {
      if (problem.status === 401 || problem.status === 429) throw problem;
      // no frame yet, or removed meanwhile: the next list says so
    }
  }

  #onSaved(camera) {
    this.#tiles.get(camera.name)?.show(camera);
    this.enter();
    announce(`Saved: ${camera.name}.`);
    $("add-camera").focus();
  }

  async #pause(tile) {
    const { name } = tile.camera;
    try {
      tile.show(await this.#call((token) => pauseCamera(token, name, !tile.isPaused)));
      announce(tile.isPaused ? `Paused: ${name}.` : `Watched again: ${name}.`);
    } catch (problem) {
      this.#complain(problem.message);
    }
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
      this.#complain(problem.message);
    }
  }

  #complain(text) {
    if ($("cameras-notice").textContent === text) return;
    $("cameras-notice").textContent = text;
    $("cameras-notice").hidden = !text;
  }
}
