// The dialogue of a model's classes, description and measured accuracy.
// Labels and other texts of a manifest are not trusted: they are only inserted as text.

import { describeModel } from "../../calls/api.js";
import { $, element } from "../../page.js";
import { percent } from "../../parts/percent.js";
import { groupCount, holds, size, treeOf, wordsOf } from "./class-tree.js";

const number = new Intl.NumberFormat("en");

export class Knows {
  #call;
  #asked = null; // the model whose description is shown or being loaded
  #root = null;

  /** @param call (use) => Promise; gives an access token to `use`, throws a Problem. */
  constructor(call) {
    this.#call = call;
    $("close-knows").addEventListener("click", () => this.close());
    $("knows").addEventListener("click", (event) => {
      if (event.target === $("knows")) this.close(); // beside it
    });
    $("knows-query").addEventListener("input", () => this.#search());
  }

  async open(name) {
    const asked = (this.#asked = { name });
    this.#root = null;
    $("knows-title").textContent = "What it knows";
    $("knows-query").value = "";
    $("knows-notice").hidden = true;
    for (const part of [$("knows-about"), $("knows-list")]) part.replaceChildren();
    say("Looking…");
    $("knows").showModal();
    // Not on phones: the keyboard would cover the list.
    if (matchMedia("(pointer: fine)").matches) $("knows-query").focus();
    try {
      const model = await this.#call((token) => describeModel(token, name));
      if (asked === this.#asked) this.#show(model); // else another model was requested meanwhile
    } catch (problem) {
      if (asked === this.#asked) complain(problem);
    }
  }

  close() {
    $("knows").close();
  }

  #show(model) {
    const tree = treeOf(model);
    $("knows-title").textContent = `What ${model.name} knows`;
    $("knows-about").replaceChildren(...about(model));
    this.#root = group(tree, 2);
    $("knows-list").replaceChildren(...this.#root.parts);
    this.#search(); // the user may have typed already
  }

  #search() {
    if (!this.#root) return;
    const words = wordsOf($("knows-query").value);
    const { shown } = filter(this.#root, words, words.length === 0);
    $("knows-about").hidden = words.length > 0; // show matches at the top
    const total = this.#root.size;
    if (words.length === 0) say(inAll(this.#root));
    else if (shown === 0) say("No class, synonym or group has this name.");
    else say(`${number.format(shown)} of ${number.format(total)}`);
  }
}

/** "1,000 classes in 146 groups". */
function inAll({ size: classes, groups, node }) {
  const count = `${number.format(classes)} ${classes === 1 ? "class" : "classes"}`;
  return groups.length ? `${count} in ${number.format(groupCount(node))} groups` : count;
}

/**
 * Builds the elements below a node of the tree.
 *
 * @returns `{ node, size, groups, leaves, parts }`; a group has its `<details>` and count too.
 */
function group(node, level) {
  const groups = node.groups.map((inner) => foldable(inner, level));
  const leaves = node.labels.map(leaf);
  const parts = groups.map((inner) => inner.details);
  const list = element("ul", "labels", ...leaves.map((one) => one.item));
  if (leaves.length) parts.push(list);
  return { node, size: size(node), groups, leaves, list, parts };
}

function foldable(node, level) {
  const made = group(node, level + 1);
  const count = element("span", "count");
  const name = element("span", "group-name", node.name);
  name.setAttribute("role", "heading");
  name.setAttribute("aria-level", level + 1);
  const details = element("details", "group", element("summary", "", name, " ", count));
  details.append(element("div", "inside", ...made.parts));
  return { ...made, details, count };
}

function leaf(label) {
  const also = element("span", "also");
  return { label, also, item: element("li", "", element("bdi", "", label.name), also) };
}

/**
 * Shows what holds all the words in its own name, another name, or a group's name above it.
 *
 * @returns how many labels are `shown`, and whether something is `found` by a name of its own.
 */
function filter(made, words, isFound) {
  let shown = 0;
  let found = false;
  for (const inner of made.groups) {
    const isNamed = words.length > 0 && holds(inner.node, words);
    const below = filter(inner, words, isFound || isNamed);
    inner.details.hidden = below.shown === 0;
    // Open a group if it contains a match, but not if only its own name matches.
    inner.details.open = below.found || (isNamed && inner.groups.length === 0);
    inner.count.textContent = number.format(below.shown);
    shown += below.shown;
    found ||= below.found || isNamed;
  }
  for (const one of made.leaves) {
    const isNamed = words.length > 0 && holds(one.label, words);
    const other = words.length > 0 && !isNamed && one.label.others.find((name) => holds(name, words));
    one.also.textContent = other ? ` or ${other.name}` : "";
    one.item.hidden = !(isFound || isNamed || other);
    shown += one.item.hidden ? 0 : 1;
    found ||= isNamed || Boolean(other);
  }
  made.list.hidden = made.leaves.every((one) => one.item.hidden);
  return { shown, found };
}

/** What the model is, and how often it was found to be right. */
function about({ description, calibration, accuracy }) {
  const lines = [];
  if (description) lines.push(element("p", "", description));
  lines.push(element("p", calibration ? "measured" : "hint", sureness(calibration)));
  if (accuracy.length) lines.push(element("ul", "accuracy", ...accuracy.map(trial)));
  return lines;
}

function sureness(calibration) {
  if (!calibration) {
    return "Not calibrated: its scores were not measured on photos.";
  }
  const { precision, photos, dataset, right, answered } = calibration;
  const where = `${number.format(photos)} test photos (${dataset})`;
  if (right === null) return `${share(precision)} of its answers should be right: calibrated on ${where}.`;
  const given = answered === null ? "" : `; it answered ${share(answered)}`;
  return `${share(right)} of its answers were right on ${where}${given}.`;
}

/** One trial: "86.4% right at the first guess, 96.4% among the best five: 1,033 photos (...)". */
function trial({ dataset, split, photos, top1, top5, notes }) {
  const among = top5 === null ? "" : `, ${share(top5)} among the best five`;
  const item = element("li", "", element("strong", "", `${share(top1)} right at the first guess`), among);
  item.append(`: ${number.format(photos)} photos, ${dataset}, ${split}`);
  if (notes) item.append(element("span", "hint small", notes));
  return item;
}

/** "96%", and "96.3%" where it is not whole. */
function share(score) {
  return percent(score).replace(".0%", "%");
}

function say(text) {
  $("knows-status").textContent = text;
}

function complain(problem) {
  say("");
  $("knows-notice").textContent = problem.message;
  $("knows-notice").hidden = false;
}
