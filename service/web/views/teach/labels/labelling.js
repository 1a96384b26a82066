// One photo after the other gets its label: by buttons, or by the keys 1 to 9.

import { labelPhoto, removePhoto } from "../../../calls/teach.js";
import { $, announce } from "../../../page.js";
import { classButtons, classOfKey } from "./class-buttons.js";
import { LabelKeys } from "./label-keys.js";
import { openPhotos } from "./open-photos.js";
import { LARGE } from "../photos/pictures.js";

const AHEAD = 2; // pictures that are loaded in advance
const MOST_STEPS = 100; // that can be undone
const time = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });

export class Labelling {
  #call;
  #pictures;
  #on;
  #dataset = null;
  #waiting = []; // photos without a label
  #photo = null; // the one that is shown
  #chosen = new Set(); // labels of a photo that may have several
  #done = []; // what can be undone: `{ photo, kind }`, the latest last
  #doomed = null; // a photo that goes with the next step: until then it can be undone
  #skipped = new Set(); // ids
  #settled = new Set(); // ids of photos that got a label or go: a list that is on its way may have them
  #writes = Promise.resolve();
  #isRanked = false; // by a run
  #problems = { unsaved: "", unlisted: "" };
  #round = 0;

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param pictures a Pictures.
   * @param on `{ labelled(labels, step), removed() }`: step is 1, or -1 if it was undone.
   */
  constructor(call, pictures, on) {
    this.#call = call;
    this.#pictures = pictures;
    this.#on = on;
    $("teach-undo").addEventListener("click", () => this.#undo());
    $("teach-skip").addEventListener("click", () => this.#skip());
    $("teach-delete").addEventListener("click", () => this.#delete());
    $("teach-save").addEventListener("click", () => this.#label([...this.#chosen]));
    new LabelKeys((event, isOnControl) => this.#onKey(event, isOnControl));
  }

  /** Shows a dataset, which may have changed; another one from its first photo on. */
  show(dataset) {
    const isOther = dataset.name !== this.#dataset?.name;
    if (isOther) this.clear();
    this.#dataset = dataset;
    this.#showClasses();
    this.#showFacts();
    if (!this.#photo) this.refill();
  }

  clear() {
    this.#flush();
    this.#round += 1;
    [this.#dataset, this.#photo, this.#waiting, this.#done] = [null, null, [], []];
    this.#skipped.clear();
    this.#settled.clear();
    this.#isRanked = false;
    this.#complain({ unsaved: "", unlisted: "" });
  }

  /** Takes a photo that was added; it comes after those that wait. */
  offer(photo) {
    if (photo.dataset !== this.#dataset?.name || photo.labels !== null) return;
    if (photo.id === this.#photo?.id || this.#waiting.some(({ id }) => id === photo.id)) return;
    this.#waiting.push(photo);
    if (!this.#photo) this.#next();
  }

  /** Asks for the photos whose labels would help the most; the one that is shown stays. */
  async refill() {
    const round = ++this.#round;
    const { name } = this.#dataset;
    await this.#writes;
    try {
      const photos = await openPhotos(this.#call, name, this.#isRanked);
      if (round !== this.#round) return;
      const open = photos.filter(({ id }) => id !== this.#photo?.id && !this.#settled.has(id));
      this.#waiting = open.filter(({ id }) => !this.#skipped.has(id));
      if (this.#waiting.length === 0 && open.length > 0 && !this.#photo) {
        this.#skipped.clear();
        this.#waiting = open;
        announce("The photos that were skipped come again.");
      }
      this.#complain({ unlisted: "" });
      if (this.#photo) this.#expect();
      else if (this.#waiting.length > 0) this.#next();
      else this.#showFacts();
    } catch (problem) {
      if (round === this.#round) this.#complain({ unlisted: problem.message });
    }
  }

  /** Asks for the photos in the order of a run that has just ended, or was found. */
  rank() {
    this.#isRanked = true;
    this.refill();
  }

  /** Sends what waits for the next step. */
  leave() {
    this.#flush();
  }

  /** Resolves once all labels are saved, or asked again. */
  saved() {
    return this.#writes;
  }

  /** Moves the keyboard here, unless it is in use elsewhere. */
  focus() {
    if (this.#photo && [document.body, $("teach-choose"), $("teach-folder")].includes(document.activeElement)) $("teach-photo").focus();
  }

  get #isSingle() {
    return this.#dataset.kind === "single";
  }

  #showClasses() {
    const names = this.#dataset.classes.map(({ name }) => name).join("\n");
    if ($("teach-classes").dataset.names === `${this.#dataset.kind}\n${names}`) return; // one of them may have the focus
    $("teach-classes").dataset.names = `${this.#dataset.kind}\n${names}`;
    const buttons = classButtons(this.#dataset.classes, (name, { detail }) => {
      this.#choose(name);
      if (detail > 0) $("teach-photo").focus({ preventScroll: true }); // a click: the keys go on
    });
    $("teach-classes").replaceChildren(...buttons);
    this.#pressClasses();
    $("teach-save").hidden = this.#isSingle;
  }

  #choose(name) {
    if (!this.#photo) return;
    if (this.#isSingle) {
      this.#label([name]);
      return;
    }
    if (!this.#chosen.delete(name)) this.#chosen.add(name);
    this.#pressClasses();
    announce(this.#chosen.has(name) ? `${name} chosen.` : `${name} not chosen.`);
  }

  #pressClasses() {
    this.#dataset.classes.forEach(({ name }, place) => {
      if (!this.#isSingle) $("teach-classes").children[place].ariaPressed = String(this.#chosen.has(name));
    });
  }

  /** Shows the next photo at once; the label is on its way. */
  #label(labels) {
    const photo = this.#photo;
    if (!photo) return;
    this.#flush();
    this.#step({ photo, kind: "label", labels });
    this.#settled.add(photo.id);
    this.#on.labelled(labels, 1);
    this.#write(photo, () => this.#call((token) => labelPhoto(token, photo.dataset, photo.id, labels)), () => this.#on.labelled(labels, -1));
    this.#next(labels.join(", ") || "No class");
  }

  #skip() {
    if (!this.#photo) return;
    this.#flush();
    this.#step({ photo: this.#photo, kind: "skip" });
    this.#skipped.add(this.#photo.id);
    this.#next("Skipped");
  }

  #delete() {
    if (!this.#photo) return;
    this.#flush();
    this.#doomed = this.#photo;
    this.#settled.add(this.#photo.id);
    this.#step({ photo: this.#photo, kind: "delete" });
    this.#next("Deleted");
  }

  #step(step) {
    this.#done.push(step);
    if (this.#done.length > MOST_STEPS) this.#done.shift();
  }

  /** Takes back the last step, and shows its photo again. */
  #undo() {
    const last = this.#done.pop();
    if (!last) return;
    const { photo, kind, labels } = last;
    this.#settled.delete(photo.id);
    if (kind === "delete") this.#doomed = null;
    if (kind === "skip") this.#skipped.delete(photo.id);
    if (kind === "label") {
      this.#on.labelled(labels, -1);
      this.#write(photo, () => this.#call((token) => labelPhoto(token, photo.dataset, photo.id, null)), () => this.#on.labelled(labels, 1));
    }
    this.#waiting = this.#waiting.filter(({ id }) => id !== photo.id);
    if (this.#photo) this.#waiting.unshift(this.#photo);
    this.#show(photo);
    this.#chosen = new Set(labels);
    this.#pressClasses();
    announce("Undone.");
  }

  /** Deletes the photo that was to be deleted: it can no longer be undone. */
  #flush() {
    const photo = this.#doomed;
    if (!photo) return;
    this.#doomed = null;
    this.#done = this.#done.filter((step) => step.photo !== photo);
    this.#write(photo, async () => {
      await this.#call((token) => removePhoto(token, photo.dataset, photo.id));
      this.#on.removed();
    });
  }

  /** One after the other, so that an undo comes after what it takes back. */
  #write(photo, send, onFailure = () => {}) {
    const saved = () => this.#complain({ unsaved: "" });
    this.#writes = this.#writes.then(send).then(saved, (problem) => {
      if (problem.status === 404 || photo.dataset !== this.#dataset?.name) return; // removed, or left, meanwhile
      onFailure();
      this.#settled.delete(photo.id);
      this.#done = this.#done.filter((step) => step.photo !== photo);
      this.#waiting.unshift(photo); // it is asked again
      this.#complain({ unsaved: `Not saved: ${problem.message} The photo comes again.` });
      if (!this.#photo) this.#next();
    });
  }

  #next(said = "") {
    this.#chosen.clear();
    this.#pressClasses();
    const next = this.#waiting.shift() ?? null;
    this.#show(next);
    const isLast = next === null;
    if (said) announce(isLast ? `${said}. No more photos.` : `${said}. Next photo.`);
    if (this.#waiting.length === 0) this.refill();
  }

  #expect() {
    for (const { dataset, id } of this.#waiting.slice(0, AHEAD)) this.#pictures.expect(dataset, id);
  }

  async #show(photo) {
    const hadFocus = $("teach-asked").contains(document.activeElement);
    this.#photo = photo;
    this.#showFacts();
    if (!photo) {
      if (hadFocus) $("teach-labelling").focus(); // what had it has disappeared
      return;
    }
    const isCurrent = () => this.#photo === photo;
    $("teach-photo").ariaBusy = "true";
    $("teach-unseen").hidden = true;
    try {
      await this.#pictures.draw($("teach-canvas"), photo, LARGE, isCurrent);
      this.#expect();
    } catch (problem) {
      if (!isCurrent()) return;
      $("teach-canvas").width = 1; // which empties it
      $("teach-unseen").textContent = problem.status === undefined ? "This browser cannot show the photo." : problem.message;
      $("teach-unseen").hidden = false;
    }
    if (isCurrent()) $("teach-photo").ariaBusy = "false";
  }

  #showFacts() {
    const [photo, dataset] = [this.#photo, this.#dataset];
    $("teach-asked").hidden = photo === null;
    $("teach-nothing").hidden = photo !== null;
    $("teach-undo").disabled = this.#done.length === 0;
    if (!photo) return;
    const left = Math.max(dataset.photos - dataset.labelled, 1);
    $("teach-photo-name").textContent = [
      photo.answer && `answered as ${photo.answer.label ?? "not sure"}`,
      photo.captured && `taken ${time.format(new Date(photo.captured))}`,
      `${photo.width} × ${photo.height}`,
      left === 1 ? "the last without a label" : `${left} without a label`,
    ].filter(Boolean).join(" · ");
  }

  #onKey(event, isOnControl) {
    if (!this.#photo) return false;
    const name = classOfKey(event, this.#dataset.classes);
    const steps = { Backspace: () => this.#undo(), Delete: () => this.#delete(), " ": () => this.#skip() };
    if (!this.#isSingle) steps.Enter = () => this.#label([...this.#chosen]);
    if (name) this.#choose(name);
    else if (steps[event.key] && !isOnControl) steps[event.key]();
    else return false;
    return true;
  }

  #complain(problems) {
    Object.assign(this.#problems, problems);
    const text = this.#problems.unsaved || this.#problems.unlisted;
    if ($("teach-labelling-notice").textContent === text) return;
    $("teach-labelling-notice").textContent = text;
    $("teach-labelling-notice").hidden = !text;
  }
}
