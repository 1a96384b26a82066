// The sensors whose samples the server classifies: a tile for each.

import { readFile } from "../calls/api.js";
import { eventsOf, listSensors, pauseSensor, windowsOf } from "../calls/sensors.js";
import { $, announce } from "../page.js";
import { SensorTile } from "../parts/sensor-tile.js";

const INTERVAL_MS = 1000;
const EVENTS_MS = 15_000; // after which the day is drawn again, without a change too
const PARTS = "static/views/sensors.html"; // the tile: most accounts need none
const MOST_TILES = 60; // drawn at once; the filter finds the others

export class Sensors {
  panel = $("sensors");

  #call;
  #tiles = new Map(); // by name
  #parts = null; // a Promise of the template
  #round = 0; // of asking; grows when the view is left
  #seen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      for (const tile of this.#tiles.values()) if (tile.element === target) tile.isVisible = isIntersecting;
    }
  });

  /** @param call (use) => Promise; gives an access token to `use`, throws a Problem. */
  constructor(call) {
    this.#call = call;
    $("sensor-filter").addEventListener("input", () => !this.panel.hidden && this.enter());
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.leave();
      else if (!this.panel.hidden) this.enter();
    });
  }

  /** Shows what the server receives, until the view is left. */
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

  /** Forgets the sensors. */
  clear() {
    this.leave();
    for (const name of this.#tiles.keys()) this.#drop(name);
  }

  #load() {
    this.#parts ??= readFile(PARTS).then(
      (text) => document.body.append(...new DOMParser().parseFromString(text, "text/html").querySelectorAll("template")),
      (problem) => {
        this.#parts = null; // the next attempt loads it again
        throw problem;
      },
    );
    return this.#parts;
  }

  /** Resolves to the seconds that the server would like to be left alone. */
  async #refresh(round) {
    try {
      await this.#load();
      const sensors = await this.#call(listSensors);
      if (round !== this.#round) return 0;
      this.#show(sensors);
      this.#complain("");
      await Promise.all([...this.#tiles.values()].map((tile) => this.#bring(tile, round)));
      return 0;
    } catch (problem) {
      if (round === this.#round) this.#complain(problem.message);
      return problem.retryAfter ?? 0;
    }
  }

  #show(sensors) {
    const query = $("sensor-filter").value.trim().toLowerCase();
    const matching = sensors.filter(({ name, state }) => `${name} ${state ?? ""}`.toLowerCase().includes(query));
    const shown = matching.slice(0, MOST_TILES);
    const names = new Set(shown.map((sensor) => sensor.name));
    for (const name of this.#tiles.keys()) if (!names.has(name)) this.#drop(name);
    shown.forEach((sensor, place) => {
      const tile = this.#tiles.get(sensor.name) ?? this.#add(sensor.name);
      tile.show(sensor);
      const list = $("sensor-list");
      if (list.children[place] !== tile.element) list.insertBefore(tile.element, list.children[place] ?? null);
    });
    $("sensors-empty").hidden = sensors.length > 0;
    $("sensor-search").hidden = sensors.length < 2;
    $("sensors-status").textContent = matching.length > shown.length || query ? `${shown.length} of ${sensors.length} sensors` : "";
  }

  #add(name) {
    const tile = new SensorTile((one) => this.#pause(one));
    this.#tiles.set(name, tile);
    this.#seen.observe(tile.element);
    return tile;
  }

  #drop(name) {
    const { element } = this.#tiles.get(name);
    this.#seen.unobserve(element);
    element.remove();
    this.#tiles.delete(name);
  }

  /** Brings the windows and events of a tile that is on the screen up to date. */
  async #bring(tile, round) {
    if (!tile.isVisible) return;
    const { name, since, status } = tile.sensor;
    const [known, now] = [`${since} ${status}`, performance.now()];
    try {
      if (tile.known !== known || now - tile.askedAt > EVENTS_MS) {
        [tile.known, tile.askedAt] = [known, now];
        const after = tile.events?.at(-1)?.id;
        tile.showEvents(await this.#call((token) => eventsOf(token, name, after)));
      }
      if (tile.isPaused) return;
      const windows = await this.#call((token) => windowsOf(token, name));
      if (round === this.#round) tile.showWindows(windows);
    } catch (problem) {
      if (problem.status === 401 || problem.status === 429) throw problem;
      // removed meanwhile: the next list says so
    }
  }

  async #pause(tile) {
    const { name } = tile.sensor;
    try {
      tile.show(await this.#call((token) => pauseSensor(token, name, !tile.isPaused)));
      announce(tile.isPaused ? `Paused: ${name}.` : `Received again: ${name}.`);
    } catch (problem) {
      this.#complain(problem.message);
    }
  }

  #complain(text) {
    if ($("sensors-notice").textContent === text) return;
    $("sensors-notice").textContent = text;
    $("sensors-notice").hidden = !text;
  }
}
