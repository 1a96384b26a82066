// The sensors whose samples the server classifies: a tile for each.

import { readFile } from "../calls/api.js";
import { eventsOf, listSensors, pauseSensor, windowsOf } from "../calls/sensors.js";
import { $ } from "../page.js";
import { SensorTile } from "../parts/sensor-tile.js";
import { TileView } from "../parts/tile-view.js";

const PARTS = "static/views/sensors.html"; // the tile: most accounts need none
const MOST_TILES = 60; // drawn at once; the filter finds the others

export class Sensors extends TileView {
  #call;
  #parts = null; // a Promise of the template

  /** @param call (use) => Promise; gives an access token to `use`, throws a Problem. */
  constructor(call) {
    super("sensors", "sensor-list");
    this.#call = call;
    $("sensor-filter").addEventListener("input", () => !this.panel.hidden && this.enter());
  }

  load() {
    this.#parts ??= readFile(PARTS).then(
      (text) => document.body.append(...new DOMParser().parseFromString(text, "text/html").querySelectorAll("template")),
      (problem) => {
        this.#parts = null; // the next attempt loads it again
        throw problem;
      },
    );
    return this.#parts;
  }

  fetch() {
    return this.#call(listSensors);
  }

  show(sensors) {
    const query = $("sensor-filter").value.trim().toLowerCase();
    const matching = sensors.filter(({ name, state }) => `${name} ${state ?? ""}`.toLowerCase().includes(query));
    const shown = matching.slice(0, MOST_TILES);
    super.show(shown);
    $("sensors-empty").hidden = sensors.length > 0;
    $("sensor-search").hidden = sensors.length < 2;
    $("sensors-status").textContent = matching.length > shown.length || query ? `${shown.length} of ${sensors.length} sensors` : "";
  }

  makeTile() {
    const pause = (name, isPaused) => this.#call((token) => pauseSensor(token, name, isPaused));
    return new SensorTile((tile) => this.pause(tile, pause, "Received again"));
  }

  eventsOf(name, after) {
    return this.#call((token) => eventsOf(token, name, after));
  }

  /** Brings the windows of a tile up to date. */
  async bring(tile, isCurrent) {
    if (tile.isPaused) return;
    const windows = await this.#call((token) => windowsOf(token, tile.name));
    if (isCurrent()) tile.showWindows(windows);
  }
}
