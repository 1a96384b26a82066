// The cameras that the server watches, as in `/v1/cameras`. Each needs a token of the scope `cameras`.

import { bearer, request, requestPicture, withJson } from "./api.js";

const PLACE = "v1/cameras";
export const MOST_EVENTS = 1000; // in one answer

/** All cameras, by name. */
export async function listCameras(token) {
  return (await request(PLACE, { headers: bearer(token) })).cameras;
}

/** @param spec as in `NewCamera`, with the name. */
export function addCamera(token, spec) {
  return request(PLACE, withJson(token, "POST", spec));
}

/** Replaces the configuration; without user and password the stored ones stay. */
export function changeCamera(token, name, spec) {
  return request(`${PLACE}/${name}`, withJson(token, "PUT", spec));
}

export function removeCamera(token, name) {
  return request(`${PLACE}/${name}`, { method: "DELETE", headers: bearer(token) });
}

export function pauseCamera(token, name, isPaused) {
  const action = isPaused ? "pause" : "resume";
  return request(`${PLACE}/${name}/${action}`, { method: "POST", headers: bearer(token) });
}

/** The last frame as a Blob. Throws a Problem with status 404 if there is none yet. */
export function frameOf(token, name) {
  return requestPicture(`${PLACE}/${name}/frame`, { headers: bearer(token) });
}

/** The kept events of a camera, oldest first: the newest ones, or those after the one with an id. */
export async function eventsOf(token, name, after) {
  const query = new URLSearchParams({ limit: MOST_EVENTS });
  if (after !== undefined) query.set("after", after);
  return (await request(`${PLACE}/${name}/events?${query}`, { headers: bearer(token) })).events;
}

/**
 * One frame of a camera that is not stored yet, the whole picture, as a Blob.
 *
 * @param stored the name of the camera whose stored credentials may be used; null for a new one.
 */
export function previewOf(token, spec, stored, signal) {
  const query = stored === null ? "" : `?camera=${stored}`;
  return requestPicture(`v1/camera-preview${query}`, { ...withJson(token, "POST", spec), signal });
}
