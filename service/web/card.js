// One photo on the page: its picture, its answer or what went wrong.
// File names and labels are not trusted: they only ever become text.

const PICTURE = { width: 640, height: 480 }; // device pixels, enough for a phone's whole width

let drawing = Promise.resolve();

export class Card {
  state = "waiting"; // then looking, and done or failed
  result = null;
  problem = null;

  /** @param onRetry called with the card when its button is pressed. */
  constructor(file, onRetry) {
    this.file = file;
    this.element = document.getElementById("card").content.cloneNode(true).firstElementChild;
    this.#find(".file-name bdi").textContent = file.name;
    this.#find(".file-name").title = file.name;
    this.#find(".retry").addEventListener("click", () => onRetry(this));
    // One after the other: decoding thirty large photos at once would take a phone's memory.
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

  /** @param result a ClassifyResponse of the API. */
  succeed(result) {
    const { predictions, abstained, image, timing, model } = result;
    this.result = result;
    this.#show("done", abstained ? "Not sure" : "", abstained ? "The best guesses:" : "");
    this.element.classList.toggle("unsure", abstained);
    this.#find(".bars").replaceChildren(...predictions.map(bar));
    this.#find(".bars").hidden = false;
    this.#find(".facts").textContent = [
      image.format,
      `${image.width} × ${image.height}`,
      `${timing.total_ms.toFixed(timing.total_ms < 10 ? 1 : 0)} ms`,
      model.name,
    ].join(" · ");
  }

  fail(problem) {
    this.problem = problem;
    this.#show("failed", "No answer", problem.message);
    this.#find(".retry").hidden = !problem.isTemporary;
    this.#find(".retry").setAttribute("aria-label", `Try again: ${this.file.name}`);
  }

  #show(state, verdict, remark = "") {
    this.state = state;
    this.element.dataset.state = state;
    this.#find(".verdict").textContent = verdict;
    this.#find(".verdict").hidden = !verdict;
    this.#find(".remark").textContent = remark;
    this.#find(".remark").hidden = !remark;
    this.#find(".facts").textContent = "";
    this.#find(".bars").hidden = this.#find(".retry").hidden = true;
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

function bar(prediction) {
  const row = document.getElementById("bar").content.cloneNode(true).firstElementChild;
  row.querySelector(".label").textContent = prediction.label;
  row.querySelector(".score").textContent = percent(prediction.score);
  row.querySelector(".bar > span").style.width = `${prediction.score * 100}%`;
  return row;
}

/** One decimal, and never a certainty that the model does not claim. */
function percent(score) {
  if (score > 0.999) return "> 99.9%";
  if (score < 0.001) return "< 0.1%";
  return `${(score * 100).toFixed(1)}%`;
}
