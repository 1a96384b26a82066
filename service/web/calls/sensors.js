// The sensors whose samples the server classifies, as in `/v1/sensors`. Each needs a token of the scope `sensors`.

import { bearer, request, withJson } from "./api.js";

const PLACE = "v1/sensors";
export const MOST_EVENTS = 1000; // in one answer

/** All sensors, by name. */
export async function listSensors(token) {
  return (await request(PLACE, { headers: bearer(token) })).sensors;
}

/** @param spec as in `NewSensor`, with the name. */
export function addSensor(token, spec) {
  return request(PLACE, withJson(token, "POST", spec));
}

/** Replaces the configuration. */
export function changeSensor(token, name, spec) {
  return request(`${PLACE}/${name}`, withJson(token, "PUT", spec));
}

export function removeSensor(token, name) {
  return request(`${PLACE}/${name}`, { method: "DELETE", headers: bearer(token) });
}

/** The last `{ windows, gaps }` of a sensor, oldest first; each window reduced to extremes of its parts. */
export function windowsOf(token, name) {
  return request(`${PLACE}/${name}/windows`, { headers: bearer(token) });
}

/** The kept events of a sensor, oldest first: the newest ones, or those after the one with an id. */
export async function eventsOf(token, name, after) {
  const query = new URLSearchParams({ limit: MOST_EVENTS });
  if (after !== undefined) query.set("after", after);
  return (await request(`${PLACE}/${name}/events?${query}`, { headers: bearer(token) })).events;
}

export function pauseSensor(token, name, isPaused) {
  const action = isPaused ? "pause" : "resume";
  return request(`${PLACE}/${name}/${action}`, { method: "POST", headers: bearer(token) });
}
