// The server's API, as far as the page needs it. Addresses are relative, so that the page also
// works where a reverse proxy serves Potoo under a path.

const SCOPES = "classify models:read";
const NETWORK = 0; // the status of a request that got no answer
const TEMPORARY = new Set([NETWORK, 408, 429, 502, 503, 504]);

/** A request that failed. `message` is for people; `status` is 0 if there was no answer. */
export class Problem extends Error {
  constructor(status, message, code = "") {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** Whether the same request may succeed later. */
  get isTemporary() {
    return TEMPORARY.has(this.status);
  }
}

/**
 * Trades name and password for an access token (RFC 6749, section 4.3).
 * The page asks for the least that it needs: an administrator's token has no business here.
 */
export async function signIn(name, password) {
  try {
    return await requestToken(name, password, SCOPES);
  } catch (problem) {
    if (problem.code !== "invalid_scope") throw problem;
    return await requestToken(name, password, "classify"); // may not see the models
  }
}

function requestToken(username, password, scope) {
  const body = new URLSearchParams({ grant_type: "password", username, password, scope });
  return request("v1/auth/token", { method: "POST", body });
}

/** The models served, as in `GET /v1/models`; empty if the token does not allow to see them. */
export async function listModels(token) {
  try {
    return (await request("v1/models", { headers: bearer(token) })).models;
  } catch (problem) {
    if (problem.status === 403) return [];
    throw problem;
  }
}

/** What is in the file? The browser streams it from the disk; it is never read into memory here. */
export function classify(token, file, { model, signal }) {
  const query = new URLSearchParams({ top_k: "5" });
  if (model) query.set("model", model);
  return request(`v1/classify?${query}`, {
    method: "POST",
    headers: { ...bearer(token), "content-type": mediaType(file) },
    body: file,
    signal,
  });
}

function bearer(token) {
  return { authorization: `Bearer ${token}` };
}

/** The browser guesses a file's type by its name; the server looks at the bytes. */
function mediaType(file) {
  return /^image\/[a-z0-9.+-]+$/.test(file.type) ? file.type : "application/octet-stream";
}

async function request(address, options) {
  let response;
  let body;
  try {
    response = await fetch(address, { cache: "no-store", ...options });
    body = await response.text();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(NETWORK, "The server cannot be reached.");
  }
  const answer = parse(body);
  if (response.ok && answer) return answer;
  throw new Problem(response.status, explain(response.status, answer), answer?.code ?? answer?.error);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // not from Potoo: a proxy's error page, say
  }
}

/** In the server's words: problem details (RFC 9457), or an OAuth error (RFC 6749). */
function explain(status, answer) {
  const places = (answer?.errors ?? []).map((place) => place.detail).filter(Boolean);
  const text = places.length
    ? places.join(". ")
    : (answer?.detail ?? answer?.error_description ?? `The server answered with status ${status}`);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
