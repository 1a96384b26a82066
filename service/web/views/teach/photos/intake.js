// Photos on their way into a dataset: a few at a time, with what was refused and why.

import { Problem } from "../../../calls/api.js";
import { Queue } from "../../../calls/queue.js";
import { shrink } from "../../../calls/shrink.js";
import { addPhoto } from "../../../calls/teach.js";
import { $, announce, element } from "../../../page.js";
import { captureTime } from "./capture-time.js";

const MOST_SHOWN = 50; // refused files that are listed

/** A photo to send; called by the queue. */
class Upload {
  state = "waiting"; // then "sending", then "added" or "refused"
  photo = null;
  problem = null;

  /** @param query as in `NewPhotoOptions`. */
  constructor(dataset, file, query) {
    Object.assign(this, { dataset, file, query });
  }

  wait() {
    this.state = "waiting";
  }

  look() {
    this.state = "sending";
  }

  succeed(photo) {
    this.state = "added";
    this.photo = photo;
    this.file = null; // a camera's photos are in memory
  }

  fail(problem) {
    this.state = "refused";
    this.problem = problem;
  }
}

export class Intake {
  #call;
  #on;
  #uploads = [];
  #known = new Set(); // uploads that `#on.added` knows of
  #isBusy = false;
  #queue = new Queue((upload, signal) => this.#send(upload, signal), () => this.#show());

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param on `{ added(photo), done() }`; the second when nothing waits any more.
   */
  constructor(call, on) {
    this.#call = call;
    this.#on = on;
    $("teach-retry").addEventListener("click", () => this.#retry());
    addEventListener("beforeunload", (event) => {
      if (this.#queue.size > 0) event.preventDefault();
    });
  }

  open() {
    this.#queue.open();
  }

  /** Stops sending until it is opened again. */
  close() {
    this.#queue.close();
  }

  clear() {
    this.#queue.clear();
    this.#uploads = [];
    this.#known.clear();
    this.#isBusy = false;
    this.#show();
  }

  /** @param chosen `{ file, query }` each, the query as in `NewPhotoOptions`. */
  add(dataset, chosen) {
    if (this.#queue.size === 0) this.#uploads = this.#uploads.filter(({ state }) => state === "refused");
    const uploads = chosen.map(({ file, query }) => new Upload(dataset, file, query));
    this.#uploads.push(...uploads);
    this.#queue.put(uploads);
  }

  async #send({ dataset, file, query }, signal) {
    const { body, original } = await shrink(file, signal);
    const captured = query.captured ?? (original && (await captureTime(file)));
    const whole = captured ? { ...query, captured } : query;
    try {
      return await this.#call((token) => addPhoto(token, dataset, body, whole, signal));
    } catch (problem) {
      if (problem.status !== 0 || (await isReadable(file))) throw problem;
      throw new Problem(400, "The file cannot be read: it was moved or changed.");
    }
  }

  #retry() {
    const again = this.#refused.filter(({ problem }) => problem.isTemporary);
    $("teach-choose").focus(); // the button that was pressed may disappear
    this.#queue.put(again);
  }

  get #refused() {
    return this.#uploads.filter(({ state }) => state === "refused");
  }

  #show() {
    const added = this.#uploads.filter(({ state }) => state === "added");
    const refused = this.#refused;
    const [total, left] = [this.#uploads.length, this.#queue.size];
    for (const upload of added) {
      if (this.#known.has(upload)) continue;
      this.#known.add(upload);
      this.#on.added(upload.photo);
    }
    $("teach-progress").hidden = left === 0;
    $("teach-progress-bar").max = Math.max(total, 1);
    $("teach-progress-bar").value = total - left;
    $("teach-progress-text").textContent = `${total - left} of ${total}`;
    $("teach-added").textContent = left > 0 || total === 0 ? "" : summary(added, refused);
    this.#showRefused(refused);
    if (this.#isBusy && left === 0) {
      announce(summary(added, refused));
      this.#on.done();
    }
    this.#isBusy = left > 0;
  }

  #showRefused(refused) {
    $("teach-refused").hidden = refused.length === 0;
    $("teach-refused-title").textContent = `${photos(refused.length)} not added: why`;
    const lines = refused.slice(0, MOST_SHOWN).map(({ file, problem }) => element("li", "", `${file.name}: ${problem.message}`));
    if (refused.length > MOST_SHOWN) lines.push(element("li", "", `${refused.length - MOST_SHOWN} more`));
    $("teach-refused-list").replaceChildren(...lines);
    $("teach-retry").hidden = !refused.some(({ problem }) => problem.isTemporary);
  }
}

function summary(added, refused) {
  const labelled = added.filter(({ query }) => query.label).length;
  return [
    `${photos(added.length)} added`,
    labelled && `${labelled} of them labelled by their folders`,
    refused.length && `${photos(refused.length)} not added`,
  ].filter(Boolean).join(", ").concat(".");
}

function photos(count) {
  return count === 1 ? "1 photo" : `${count} photos`;
}

/** Reads the beginning alone: a photo may be large. */
async function isReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return true;
  } catch {
    return false;
  }
}
