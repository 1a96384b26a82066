// Photos of a dataset on canvases: loaded with a token, a few kept, the next ones in advance.

import { imageOf } from "../../calls/teach.js";

const KEPT = 12; // bitmaps: at LONG_SIDE four megabytes each
const LONG_SIDE = 1280; // device pixels

export class Pictures {
  #call;
  #kept = new Map(); // promises of bitmaps, by dataset and id; the latest used last

  /** @param call (use) => Promise; gives an access token to `use`, throws a Problem. */
  constructor(call) {
    this.#call = call;
  }

  /** Loads a photo in advance. */
  expect(dataset, id) {
    this.#bitmap(dataset, id).catch(() => {}); // it is tried again when it is shown
  }

  /** Draws a photo on a canvas. Throws a Problem; an error of another kind if the browser cannot read it. */
  async draw(canvas, dataset, id, isCurrent = () => true) {
    const bitmap = await this.#bitmap(dataset, id);
    if (!isCurrent()) return;
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
  }

  forget() {
    this.#kept.clear();
  }

  #bitmap(dataset, id) {
    const key = `${dataset}/${id}`;
    const made = this.#kept.get(key) ?? this.#load(dataset, id);
    this.#kept.delete(key);
    this.#kept.set(key, made);
    made.catch(() => this.#kept.delete(key));
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT) this.#kept.delete(oldest);
    return made;
  }

  async #load(dataset, id) {
    const file = await this.#call((token) => imageOf(token, dataset, id));
    const photo = await createImageBitmap(file);
    const scale = LONG_SIDE / Math.max(photo.width, photo.height);
    if (scale >= 1) return photo;
    const [resizeWidth, resizeHeight] = [photo.width, photo.height].map((side) => Math.max(1, Math.round(side * scale)));
    try {
      return await createImageBitmap(photo, { resizeWidth, resizeHeight, resizeQuality: "medium" });
    } finally {
      photo.close();
    }
  }
}
