// What models are fed, as in `/v1/preprocess`. Each call needs a token of the scope `preprocess`.

import { bearer, mediaType, request, requestPicture, withJson } from "./api.js";

const PLACE = "v1/preprocess";
const ARRAYS = { FP32: Float32Array, UINT8: Uint8Array };

/**
 * The tensor of a photo: `{ model, layout, colour, image, name, datatype, shape, values }`, the values
 * in row-major order.
 *
 * @param chosen `{ model, version, signal }`; without a model it is the default one.
 */
export async function tensorOf(token, photo, chosen) {
  const query = queryOf({ ...chosen, data: "base64" });
  const { tensor, ...about } = await request(`${PLACE}/image?${query}`, withPhoto(token, photo, chosen));
  const { name, datatype, shape, data } = tensor;
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
  return { ...about, name, datatype, shape, values: new ARRAYS[datatype](bytes.buffer) };
}

/** What the model sees of a photo, as a picture. */
export function viewOf(token, photo, chosen) {
  const query = queryOf({ ...chosen, view: "png" });
  return requestPicture(`${PLACE}/image?${query}`, withPhoto(token, photo, chosen));
}

/**
 * Rows of CSV, scaled: as in `PreparedNumeric`.
 *
 * @param how `{ scaler }`, `{ method, impute }`, or empty: the rows stay as they are.
 */
export function scaleRows(token, csv, how, signal) {
  const headers = { ...bearer(token), "content-type": "text/csv", accept: "application/json" };
  return request(`${PLACE}/numeric?${new URLSearchParams(how)}`, { method: "POST", headers, body: csv, signal });
}

/** The published scalers. */
export async function listScalers(token) {
  return (await request("v1/scalers", { headers: bearer(token) })).scalers;
}

/** The tokens of a text with their places: `{ model, ids, tokens, offsets, text, truncated }`. */
export async function tokensOf(token, text, { model, maxTokens, signal }) {
  const query = new URLSearchParams({ offsets: "true", padding: "none" });
  if (model) query.set("model", model);
  if (maxTokens) query.set("max_tokens", maxTokens);
  const answer = await request(`${PLACE}/text?${query}`, { ...withJson(token, "POST", { text }), signal });
  return { model: answer.model, ...answer.texts[0] };
}

function queryOf({ model, version, data, view }) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries({ model, version, data, view })) if (value) query.set(name, value);
  return query;
}

function withPhoto(token, photo, { signal }) {
  const headers = { ...bearer(token), "content-type": mediaType(photo) };
  return { method: "POST", headers, body: photo, signal };
}
