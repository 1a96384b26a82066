// The classes of a dataset as buttons: the first nine have keys.

import { element } from "../../../page.js";

const KEYS = 9;

/** @param choose called with the name of a class, and the event of the click. */
export function classButtons(classes, choose) {
  return classes.map(({ name }, place) => {
    const button = element("button", "", element("span", "", name));
    button.type = "button";
    button.addEventListener("click", (event) => choose(name, event));
    if (place < KEYS) {
      const key = element("kbd", "", String(place + 1));
      key.ariaHidden = "true";
      button.prepend(key);
      button.setAttribute("aria-keyshortcuts", key.textContent);
    }
    return button;
  });
}

/** The name of the class that a key stands for; undefined if it is none. */
export function classOfKey({ key }, classes) {
  return /^[1-9]$/.test(key) ? classes[Number(key) - 1]?.name : undefined;
}
