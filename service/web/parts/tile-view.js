// A view with a tile for each thing that the server watches or receives, kept up to date while it is shown.

import { $, announce } from "../page.js";

const INTERVAL_MS = 1000;
const EVENTS_MS = 15_000; // after which the day is drawn again, without a change too

/** Subclasses implement `load`, `fetch`, `makeTile`, `eventsOf` and `bring`. */
export class TileView {
  panel;
  list;
  tiles = new Map(); // by name

  #name; // of the elements: `<name>-list`, `<name>-notice`
  #round = 0; // of asking; grows when the view is left
  #seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      for (const tile of this.tiles.values()) if (tile.element === target) tile.isVisible = isIntersecting;
    }
  });

  /**
   * @param panel id of the panel, and beginning of the ids of notice and empty text.
   * @param list id of the list of tiles.
   */
  constructor(panel, list) {
    this.#name = panel;
    this.panel = $(panel);
    this.list = $(list);
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.leave();
      else if (!this.panel.hidden) this.enter();
    });
  }

  /** Shows what the server knows, until the view is left. */
  async enter() {
    const round = ++this.#round;
    while (round === this.#round) {
      const begun = performance.now();
      const pause = (await this.#refresh(round)) * 1000;
      const left = INTERVAL_MS - (performance.now() - begun);
      await new Promise((resolve) => setTimeout(resolve, Math.max(left, INTERVAL_MS / 4, pause)));
    }
  }

  leave() {
    this.#round += 1;
  }

  /** Forgets the tiles. */
  clear() {
    this.leave();
    for (const name of this.tiles.keys()) this.#drop(name);
  }

  /** Shows a problem; an empty text hides it. */
  complain(text) {
    const notice = $(`${this.#name}-notice`);
    if (notice.textContent === text) return;
    notice.textContent = text;
    notice.hidden = !text;
  }

  /** Pauses or resumes the thing of a tile. @param pause (name, isPaused) => Promise of its new state. */
  async pause(tile, pause, resumed) {
    const name = tile.name;
    try {
      tile.show(await pause(name, !tile.isPaused));
      announce(tile.isPaused ? `Paused: ${name}.` : `${resumed}: ${name}.`);
    } catch (problem) {
      this.complain(problem.message);
    }
  }

  /** Resolves to the seconds that the server would like to be left alone. */
  async #refresh(round) {
    const isCurrent = () => round === this.#round;
    try {
      await this.load();
      const found = await this.fetch();
      if (!isCurrent()) return 0;
      this.show(found);
      this.complain("");
      await Promise.all([...this.tiles.values()].map((tile) => this.#bring(tile, isCurrent)));
      return 0;
    } catch (problem) {
      if (isCurrent()) this.complain(problem.message);
      return problem.retryAfter ?? 0;
    }
  }

  /** Shows a tile for each of `found`, in their order. */
  show(found) {
    const names = new Set(found.map(({ name }) => name));
    for (const name of this.tiles.keys()) if (!names.has(name)) this.#drop(name);
    found.forEach((one, place) => {
      const tile = this.tiles.get(one.name) ?? this.#add(one.name);
      tile.show(one);
      const there = this.list.children[place];
      if (there !== tile.element) this.list.insertBefore(tile.element, there ?? null);
    });
    $(`${this.#name}-empty`).hidden = found.length > 0;
  }

  #add(name) {
    const tile = this.makeTile();
    this.tiles.set(name, tile);
    this.#seen.observe(tile.element);
    return tile;
  }

  #drop(name) {
    const { element } = this.tiles.get(name);
    this.#seen.unobserve(element);
    element.remove();
    this.tiles.delete(name);
  }

  /** Brings the events of a tile that is on the screen up to date, and the rest of it. */
  async #bring(tile, isCurrent) {
    if (!tile.isVisible) return;
    const [known, now] = [tile.headline, performance.now()];
    try {
      if (tile.known !== known || now - tile.askedAt > EVENTS_MS) {
        [tile.known, tile.askedAt] = [known, now];
        tile.showEvents(await this.eventsOf(tile.name, tile.events?.at(-1)?.id));
      }
      await this.bring(tile, isCurrent);
    } catch (problem) {
      if (problem.status === 401 || problem.status === 429) throw problem;
      // nothing to show yet, or removed meanwhile: the next list says so
    }
  }
}
