// The views as tabs, one shown at a time, as in the ARIA Authoring Practices. The address keeps which.

import { $ } from "../page.js";

export class Tabs {
  #views;
  #chosen;
  #isOpen = false;
  #refusals = {};

  /**
   * @param views by the names of their tabs, the first one is shown unless the address names another:
   *   `{ panel, enter(), leave() }`, the last two optional.
   */
  constructor(views) {
    this.#views = new Map(Object.entries(views));
    this.#chosen = this.#named();
    for (const name of this.#views.keys()) tab(name).addEventListener("click", () => this.choose(name));
    $("tabs").addEventListener("keydown", (event) => this.#onKey(event));
    addEventListener("hashchange", () => {
      if (!this.#isOpen) this.#chosen = this.#named(); // shown after the sign-in
      else if (this.#named() !== this.#chosen) this.#chooseOrRefuse(this.#named());
    });
  }

  get chosen() {
    return this.#chosen;
  }

  /**
   * Shows the tabs, and the one that was chosen.
   *
   * @param refusals for the names of tabs that stay hidden: why; shown if the address names one.
   */
  open(refusals) {
    this.#refusals = refusals;
    const names = [...this.#views.keys()].filter((name) => !(name in refusals));
    for (const name of this.#views.keys()) tab(name).hidden = !names.includes(name);
    $("tabs").hidden = names.length < 2;
    this.#isOpen = true;
    this.#chooseOrRefuse(this.#chosen);
  }

  /** Hides the tabs and what is shown. */
  close() {
    if (this.#isOpen) this.#views.get(this.#chosen).leave?.();
    this.#isOpen = false;
    $("tabs").hidden = $("tabs-notice").hidden = true;
    for (const { panel } of this.#views.values()) panel.hidden = true;
  }

  choose(name) {
    if (tab(name).hidden) return;
    $("tabs-notice").hidden = true;
    if (name !== this.#chosen) this.#views.get(this.#chosen).leave?.();
    this.#chosen = name;
    for (const [other, { panel }] of this.#views) {
      tab(other).ariaSelected = String(other === name);
      tab(other).tabIndex = other === name ? 0 : -1;
      panel.hidden = other !== name;
    }
    const [first] = this.#views.keys();
    const address = location.pathname + location.search;
    history.replaceState(null, "", name === first ? address : `${address}#${name}`);
    this.#views.get(name).enter?.();
  }

  #chooseOrRefuse(name) {
    if (!(name in this.#refusals)) {
      this.choose(name);
      return;
    }
    const [first] = this.#views.keys();
    this.choose(first);
    $("tabs-notice").textContent = `${tab(name).textContent}: ${this.#refusals[name]}`;
    $("tabs-notice").hidden = false;
  }

  #named() {
    const [first] = this.#views.keys();
    const name = location.hash.slice(1);
    return this.#views.has(name) ? name : first;
  }

  #onKey(event) {
    const names = [...this.#views.keys()].filter((name) => !tab(name).hidden);
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const place = { Home: 0, End: names.length - 1 }[event.key] ?? names.indexOf(this.#chosen) + step;
    if (Number.isNaN(place)) return;
    event.preventDefault();
    const name = names.at(place % names.length);
    this.choose(name);
    tab(name).focus();
  }
}

function tab(name) {
  return $(`tab-${name}`);
}
