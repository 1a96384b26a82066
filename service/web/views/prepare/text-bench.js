// A text in the tokens that a model reads.

import { Problem } from "../../calls/api.js";
import { tokensOf } from "../../calls/preprocess.js";
import { $ } from "../../page.js";
import { ModelChoice } from "../../parts/model-choice.js";
import { Bench } from "./bench.js";
import { pieces, tokenList } from "./token-pieces.js";

const NO_MODEL = "This account sees no model that takes text.";
const number = new Intl.NumberFormat("en");

export class TextBench extends Bench {
  #call;
  #models;

  /** @param call and openModel as of the view. */
  constructor(call, openModel) {
    super("prepare-text");
    this.#call = call;
    this.#models = new ModelChoice("prepare-text-", openModel, () => this.#cut());
    $("prepare-text-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#cut();
    });
    $("prepare-words").addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#cut();
    });
  }

  showModels(models) {
    this.#models.show(models);
    this.say(models.length ? "" : NO_MODEL);
  }

  clear() {
    super.clear();
    $("prepare-text-form").reset();
    this.result.replaceChildren();
  }

  #cut() {
    return this.run(async (signal) => {
      const text = $("prepare-words").value;
      if (!this.#models.chosen) throw new Problem(400, NO_MODEL);
      if (!text) throw new Problem(400, "Type a text.");
      const options = { model: this.#models.chosen, maxTokens: $("prepare-most").value, signal };
      const prepared = await this.#call((token) => tokensOf(token, text, options));
      return () => this.#show(prepared);
    });
  }

  #show(prepared) {
    const { model, ids, truncated } = prepared;
    this.result.replaceChildren(pieces(prepared), tokenList(prepared));
    return [
      `${model.name} ${model.version}`,
      `${number.format(ids.length)} ${ids.length === 1 ? "token" : "tokens"}`,
      `${number.format([...prepared.text].length)} characters`,
      truncated ? "the end was cut" : "",
    ].filter(Boolean).join(" · ");
  }
}
