// The sensors whose samples the server classifies: a tile for each.

import { eventsOf, listSensors, pauseSensor, removeSensor, windowsOf } from "../../calls/sensors.js";
import { $, announce } from "../../page.js";
import { LateParts } from "../../parts/late-parts.js";
import { Removal } from "../../parts/removal.js";
import { TileView } from "../../parts/tile-view.js";
import { SensorForm } from "./sensor-form.js";
import { SensorTile } from "./sensor-tile.js";

const PARTS = "static/views/sensors/sensors.html"; // dialogues and tile: most accounts need none
const MOST_TILES = 60; // drawn at once; the filter finds the others

export class Sensors extends TileView {
  #call;
  #models = [];
  #parts = new LateParts(PARTS, () => ({ form: this.#makeForm(), removal: this.#makeRemoval() }));

  /** @param call (use) => Promise; gives an access token to `use`, throws a Problem. */
  constructor(call) {
    super("sensors", "sensor-list");
    this.#call = call;
    $("add-sensor").addEventListener("click", () => this.#edit(null));
    $("sensor-filter").addEventListener("input", () => !this.panel.hidden && this.enter());
  }

  /** @param models that take windows, as in `GET /v1/models`. */
  showModels(models) {
    this.#models = models;
  }

  /** Forgets the sensors, and closes what is open. */
  clear() {
    super.clear();
    for (const dialogue of [$("sensor-dialogue"), $("sensor-removal")]) dialogue?.close();
  }

  /** The dialogues; loads them and the tile first. Throws a Problem. */
  load() {
    return this.#parts.load();
  }

  /** @param sensor null for a new one. */
  async #edit(sensor) {
    try {
      (await this.load()).form.open(sensor, this.#models);
    } catch (problem) {
      this.complain(problem.message);
    }
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
    return new SensorTile({
      edit: ({ sensor }) => this.#edit(sensor),
      pause: (tile) => this.pause(tile, pause, "Received again"),
      remove: async ({ name }) => (await this.load()).removal.ask(name),
    });
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

  #makeForm() {
    return new SensorForm(this.#call, (sensor) => {
      this.tiles.get(sensor.name)?.show(sensor);
      this.enter();
      announce(`Saved: ${sensor.name}.`);
      $("add-sensor").focus();
    });
  }

  #makeRemoval() {
    return new Removal("sensor", (name) => this.#call((token) => removeSensor(token, name)), {
      removed: () => {
        $("add-sensor").focus(); // the button that was pressed disappears
        if (!this.panel.hidden) this.enter();
      },
      failed: (problem) => this.complain(problem.message),
    });
  }
}
