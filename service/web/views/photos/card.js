// One photo on the page: thumbnail, and result or error.
// File names and labels are not trusted: they are only inserted as text.

import { element } from "../../page.js";
import { outcome } from "../../parts/answer.js";
import { bar, namesOf, scored } from "../../parts/bars.js";

const NOT_CALIBRATED =
  "The scores of this model were not measured. An operator can calibrate them: potoo models calibrate.";
const PICTURE = { width: 640, height: 480 }; // device pixels, enough for a phone's whole width

let drawing = Promise.resolve();

export class Card {
  state = "waiting"; // then "looking", then "done" or "failed"
  result = null;
  problem = null;

  #onModel;

  /**
   * @param onRetry called with the card when its button is pressed.
   * @param onModel called with the name of the model when that is pressed; null if it opens nothing.
   * @param after `{ see(file, model), wrong(file, result, onSent) }`: shows what the model that answered,
   *   `{ name, version }`, sees; asks for the right label, and calls `onSent` with words for the card.
   */
  constructor(file, onRetry, onModel, after) {
    this.file = file;
    this.#onModel = onModel;
    this.element = document.getElementById("card").content.cloneNode(true).firstElementChild;
    this.#find(".file-name bdi").textContent = file.name;
    this.#find(".file-name").title = file.name;
    this.#find(".retry").addEventListener("click", () => onRetry(this));
    this.#find(".see").setAttribute("aria-label", `What the model sees: ${file.name}`);
    this.#find(".see").addEventListener("click", () => after.see(file, this.result.model));
    this.#find(".wrong").setAttribute("aria-label", `That was wrong: ${file.name}`);
    this.#find(".wrong").addEventListener("click", () => after.wrong(file, this.result, (said) => this.#correct(said)));
    // One at a time: decoding thirty large photos at once would exhaust a phone's memory.
    drawing = drawing.then(() => this.#draw());
  }

  get canBeRetried() {
    return this.state === "failed" && this.problem.isTemporary;
  }

  wait() {
    this.#show("waiting", "Waiting");
  }

  look() {
    this.#show("looking", "Looking…");
  }

  /** @param result a ClassifyResponse of the API, with `original` if the photo was made smaller. */
  succeed(result) {
    const { predictions, abstained, calibrated, image, timing, model, original } = result;
    this.result = result;
    this.#show("done", "", abstained ? "It looks most like:" : "");
    this.#sum(result);
    this.element.classList.toggle("unsure", abstained);
    const said = namesOf(result);
    this.#find(".bars").replaceChildren(...predictions.map((one) => bar(one, said.has(one.label))));
    this.#find(".bars").hidden = this.#find(".see").hidden = this.#find(".wrong").hidden = false;
    this.#find(".facts").textContent = [
      image.format,
      original
        ? `${original.width} × ${original.height}, sent as ${image.width} × ${image.height}`
        : `${image.width} × ${image.height}`,
      `${timing.total_ms.toFixed(timing.total_ms < 10 ? 1 : 0)} ms`,
      "",
    ].join(" · ");
    this.#find(".facts").append(this.#modelButton(model));
    if (!calibrated) this.#find(".facts").append(" · ", hint("not calibrated", NOT_CALIBRATED));
  }

  /** "everyday 1": which model gave the answer; opens what it knows. */
  #modelButton({ name, version }) {
    if (!this.#onModel) return `${name} ${version}`;
    const button = element("button", "model-name", `${name} ${version}`);
    Object.assign(button, { type: "button", title: `What ${name} knows` });
    button.setAttribute("aria-haspopup", "dialog");
    button.addEventListener("click", () => this.#onModel(name));
    return button;
  }

  fail(problem) {
    this.problem = problem;
    this.#show("failed", "No answer", problem.message);
    this.#find(".retry").hidden = !problem.isTemporary;
    this.#find(".retry").setAttribute("aria-label", `Try again: ${this.file.name}`);
  }

  /** Says what the photo was labelled as. */
  #correct(said) {
    this.#say("corrected", `Labelled: ${said}`);
  }

  /** What a person reads first: the summary, all labels present, or that there is none. */
  #sum(result) {
    const { summary, labels_present: present, predictions } = result;
    if (summary) {
      this.#say("verdict", ...scored(summary));
      if (summary.perhaps) this.#say("remark", "perhaps ", ...scored(summary.perhaps));
    } else if (present?.length) {
      const known = new Map(predictions.map((prediction) => [prediction.label, prediction]));
      this.#find(".tags").replaceChildren(...present.map((label) => tag(known.get(label) ?? { label })));
      this.#find(".tags").hidden = false;
    } else {
      this.#say("verdict", outcome(result) === "not sure" ? "Not sure" : "None of its labels");
    }
  }

  #show(state, verdict, remark = "") {
    this.state = state;
    this.element.dataset.state = state;
    this.#say("verdict", verdict);
    this.#say("remark", remark);
    this.#find(".facts").textContent = "";
    this.#find(".tags").hidden = this.#find(".bars").hidden = true;
    this.#find(".retry").hidden = this.#find(".see").hidden = this.#find(".wrong").hidden = true;
    this.#find(".corrected").hidden = true;
  }

  /** @param content texts and elements; the line is hidden if they are empty. */
  #say(line, ...content) {
    this.#find(`.${line}`).replaceChildren(...content);
    this.#find(`.${line}`).hidden = !content.some(Boolean);
  }

  #find(selector) {
    return this.element.querySelector(selector);
  }

  /**
   * Draws a small copy and lets go of the photo itself; keeps the tile if it cannot be shown.
   * A bitmap is freed when it is told to, an <img> when the browser likes: measured with thirty
   * photos of 12 megapixels, that is 200 MB against 800.
   */
  async #draw() {
    if (!this.element.isConnected) return; // cleared meanwhile
    try {
      const photo = await createImageBitmap(this.file);
      const canvas = document.createElement("canvas");
      Object.assign(canvas, PICTURE);
      const scale = Math.max(canvas.width / photo.width, canvas.height / photo.height);
      const [width, height] = [photo.width * scale, photo.height * scale];
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(photo, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
      photo.close();
      canvas.setAttribute("aria-hidden", "true");
      this.#find(".thumbnail").replaceChildren(canvas);
    } catch {
      // TIFF in most browsers, or no image at all
    }
  }
}

function tag(labelled) {
  return element("li", "tag", ...scored(labelled));
}

/** Text whose explanation shows on hovering, and is read out. */
function hint(text, explanation) {
  const shown = element("span", "hinted", text);
  shown.title = explanation;
  shown.append(element("span", "visually-hidden", `. ${explanation}`));
  return shown;
}
