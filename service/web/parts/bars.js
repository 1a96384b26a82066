// An answer as labels with scores, and as bars. Labels are not trusted: they are only inserted as text.

import { element } from "../page.js";
import { percent } from "./percent.js";

/** The labels that the answer names. */
export function namesOf({ summary, labels_present: present }) {
  return new Set([summary?.label, summary?.perhaps?.label, ...(present ?? [])]);
}

/** A row with label, score and bar. */
export function bar(prediction, isNamed) {
  const row = document.getElementById("bar").content.cloneNode(true).firstElementChild;
  row.classList.toggle("named", isNamed);
  row.querySelector(".label").textContent = prediction.label;
  row.querySelector(".score").textContent = percent(prediction.score);
  row.querySelector(".bar > span").style.width = `${prediction.score * 100}%`;
  return row;
}

/** "cat 98.0%": a label, and its score if that is known. */
export function scored({ label, score }) {
  const name = element("span", "name", label);
  return score === undefined ? [name] : [name, " ", element("span", "score", percent(score))];
}
