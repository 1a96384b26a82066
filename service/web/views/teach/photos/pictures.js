// Photos of a dataset on canvases: loaded with a token, a few kept, the next ones in advance.

import { imageOf } from "../../../calls/teach.js";

const KEPT = 12; // bitmaps: a large one has four megabytes
export const [LARGE, SMALL] = [1280, 400]; // longest sides in device pixels

export class Pictures {
  #call;
  #kept = new Map(); // promises of bitmaps, by dataset, id and side; the latest used last

  /** @param call (use) => Promise; gives an access token to `use`, throws a Problem. */
  constructor(call) {
    this.#call = call;
  }

  /** Loads a photo in advance. */
  expect(dataset, id) {
    this.#bitmap(dataset, id, LARGE).catch(() => {}); // it is tried again when it is shown
  }

  /** Draws a photo on a canvas. Throws a Problem; an error of another kind if the browser cannot read it. */
  async draw(canvas, { dataset, id }, side, isCurrent = () => true) {
    const bitmap = await this.#bitmap(dataset, id, side);
    if (!isCurrent()) return;
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
  }

  forget() {
    this.#kept.clear();
  }

  #bitmap(dataset, id, side) {
    const key = `${dataset}/${id}/${side}`;
    const made = this.#kept.get(key) ?? this.#load(dataset, id, side);
    this.#kept.delete(key);
    this.#kept.set(key, made);
    made.catch(() => this.#kept.delete(key));
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > KEPT) this.#kept.delete(oldest);
    return made;
  }

  async #load(dataset, id, side) {
    return createImageBitmap(await this.#call((token) => imageOf(token, dataset, id, side)));
  }
}
