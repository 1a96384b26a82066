// Datasets of labelled photos, and models taught with them, as in `/v1/datasets`. Each needs a token of the
// scope `teach`; changing what is served needs `models:write` too.

import { bearer, mediaType, request, requestPicture, requestText, withJson } from "./api.js";

const PLACE = "v1/datasets";
const ACTIVE = new Set(["queued", "extracting", "fitting", "judging", "grafting", "publishing"]);

/** Whether a run goes on. */
export function isActive({ state }) {
  return ACTIVE.has(state);
}

/** All datasets, by name. */
export async function listDatasets(token) {
  return (await request(PLACE, { headers: bearer(token) })).datasets;
}

export function getDataset(token, name) {
  return request(`${PLACE}/${name}`, { headers: bearer(token) });
}

/** @param dataset as in `NewDataset`. */
export function addDataset(token, dataset) {
  return request(PLACE, withJson(token, "POST", dataset));
}

/** @param change `{ classes, rename }`, as in `DatasetChange`. */
export function changeDataset(token, name, change) {
  return request(`${PLACE}/${name}`, withJson(token, "PATCH", change));
}

export function removeDataset(token, name) {
  return request(`${PLACE}/${name}`, { method: "DELETE", headers: bearer(token) });
}

/** A page of photos, as in `PhotoList`. @param query `{ labelled, order, label, limit, after }`. */
export function listPhotos(token, dataset, query) {
  return request(`${PLACE}/${dataset}/photos?${new URLSearchParams(query)}`, { headers: bearer(token) });
}

/**
 * Adds a photo; resolves to it, also if the dataset has it already.
 *
 * @param query as in `NewPhotoOptions`: `{ label, captured, source, model, version, answer, score }`, all optional.
 */
export function addPhoto(token, dataset, file, query, signal) {
  return request(`${PLACE}/${dataset}/photos?${new URLSearchParams(query)}`, {
    method: "POST",
    headers: { ...bearer(token), "content-type": mediaType(file) },
    body: file,
    signal,
  });
}

export function getPhoto(token, dataset, id) {
  return request(`${PLACE}/${dataset}/photos/${id}`, { headers: bearer(token) });
}

/** A JPEG of the photo as a Blob. @param side the longest in pixels. */
export function imageOf(token, dataset, id, side) {
  return requestPicture(`${PLACE}/${dataset}/photos/${id}/image?side=${side}`, { headers: bearer(token) });
}

/** @param labels class names; null: not labelled. */
export function labelPhoto(token, dataset, id, labels) {
  return request(`${PLACE}/${dataset}/photos/${id}`, withJson(token, "PATCH", { labels }));
}

export function removePhoto(token, dataset, id) {
  return request(`${PLACE}/${dataset}/photos/${id}`, { method: "DELETE", headers: bearer(token) });
}

/** Starts a run. @param options as in `RunOptions`: `{ model, base }`. */
export function startRun(token, dataset, options) {
  return request(`${PLACE}/${dataset}/runs`, withJson(token, "POST", options));
}

/** The runs of a dataset, without their verdicts, the newest first. */
export async function listRuns(token, dataset) {
  return (await request(`${PLACE}/${dataset}/runs`, { headers: bearer(token) })).runs;
}

/** A run with its verdict. */
export function getRun(token, dataset, id) {
  return request(`${PLACE}/${dataset}/runs/${id}`, { headers: bearer(token) });
}

export function cancelRun(token, dataset, id) {
  return request(`${PLACE}/${dataset}/runs/${id}`, { method: "DELETE", headers: bearer(token) });
}

/** The report of a run, as HTML. */
export function reportOf(token, dataset, id) {
  return requestText(`${PLACE}/${dataset}/runs/${id}/report`, { headers: { ...bearer(token), accept: "text/html" } });
}

/** Makes a version the default one. */
export function promote(token, model, version) {
  return request(`v1/models/${model}/versions/${version}/promote`, { method: "POST", headers: bearer(token) });
}

/** Restores the default version that the last promotion replaced. */
export function rollBack(token, model) {
  return request(`v1/models/${model}/rollback`, { method: "POST", headers: bearer(token) });
}

/** The trial of a version beside the default one, as in `/v1/models/{name}/rollout`; null if there is none. */
export async function rolloutOf(token, model) {
  try {
    return await request(`v1/models/${model}/rollout`, { headers: bearer(token) });
  } catch (problem) {
    if (problem.status === 404) return null;
    throw problem;
  }
}
