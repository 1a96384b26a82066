// A photo beside what a model sees of it, and the tensor as a map of each channel.

import { tensorOf, viewOf } from "../../calls/preprocess.js";
import { shrink } from "../../calls/shrink.js";
import { $, element } from "../../page.js";
import { ModelChoice } from "../../parts/model-choice.js";
import { Bench } from "./bench.js";
import { showFigures } from "./figures.js";
import { heatMap, scaleStrip } from "./heat-map.js";
import { compact } from "./numbers.js";
import { channelsOf, statisticsOf } from "./tensor.js";

const LONGEST_SIDE = 640; // pixels of the photo that is shown
const MOST_CHANNELS = 16;

export class ImageBench extends Bench {
  #call;
  #models;
  #photo = null;

  /** @param call and openModel as of the view. */
  constructor(call, openModel) {
    super("prepare-image");
    this.#call = call;
    this.#models = new ModelChoice("prepare-image-", openModel, () => this.#photo && this.show(this.#photo));
    $("prepare-choose").addEventListener("click", () => $("prepare-file").click());
    $("prepare-file").addEventListener("change", ({ target }) => {
      const [photo] = target.files;
      if (photo) this.show(photo);
      target.value = ""; // so that the same photo can be chosen again
    });
  }

  showModels(models) {
    this.#models.show(models);
  }

  focus() {
    $("prepare-image-title").focus();
  }

  clear() {
    super.clear();
    this.#photo = null;
    for (const id of ["prepare-photo", "prepare-seen"]) $(id).width = $(id).height = 0;
    $("prepare-heats").replaceChildren();
  }

  /** @param model `{ name, version }`; the one that is chosen if absent. */
  show(photo, model) {
    this.#photo = photo;
    if (model) this.#models.choose(model.name);
    const chosen = { model: model?.name ?? this.#models.chosen, version: model?.version };
    return this.run(async (signal) => {
      // Made smaller as for a question, so that this is what the answer was given to.
      const { body } = await shrink(photo, signal);
      const options = { ...chosen, signal };
      const tensor = await this.#call((token) => tensorOf(token, body, options));
      const seen = await createImageBitmap(await this.#call((token) => viewOf(token, body, options)));
      const original = await createImageBitmap(photo).catch(() => null); // TIFF in most browsers
      return () => this.#show(photo, original, seen, tensor);
    });
  }

  #show(photo, original, seen, tensor) {
    $("prepare-photo").hidden = !original;
    const size = original ? ` · ${original.width} × ${original.height}` : "";
    $("prepare-photo-facts").textContent = `${photo.name}${size || " · this browser cannot show it"}`;
    $("prepare-seen-facts").textContent = `${tensor.model.name} ${tensor.model.version} · ${seen.width} × ${seen.height}`;
    if (original) draw($("prepare-photo"), original, LONGEST_SIDE);
    draw($("prepare-seen"), seen, Infinity);
    const all = statisticsOf(tensor.values);
    showFigures($("prepare-tensor"), [
      ["Input", tensor.name],
      ["Shape", tensor.shape.join(" × ")],
      ["Type", tensor.datatype],
      ["Layout", `${tensor.layout} ${tensor.colour}`.toUpperCase()],
      ["Minimum", compact(all.least)],
      ["Maximum", compact(all.most)],
      ["Mean", compact(all.mean)],
    ]);
    const channels = channelsOf(tensor).slice(0, MOST_CHANNELS);
    $("prepare-heats").replaceChildren(...channels.map((channel) => heat(channel, all)));
    $("prepare-scale").replaceChildren(compact(all.least), scaleStrip(), compact(all.most));
    return `Prepared: ${photo.name}.`;
  }
}

/** A map of a channel, on the scale of the whole tensor. */
function heat(channel, scale) {
  const { least, most, mean } = statisticsOf(channel.values);
  const words = `minimum ${compact(least)}, maximum ${compact(most)}, mean ${compact(mean)}`;
  return element(
    "figure",
    "",
    element("figcaption", "", channel.name),
    heatMap(channel, scale, `${channel.name}: ${words}`),
    element("p", "hint small", words),
  );
}

/** Draws a bitmap, which is closed here, with sides of at most `longest` pixels. */
function draw(canvas, bitmap, longest) {
  const scale = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
}
