// The server's API, as far as the page needs it. Addresses are relative, so that the page also
// works where a reverse proxy serves Potoo under a path.

const SCOPE = "classify"; // what an account needs for the page
const OPTIONAL_SCOPE = "models:read models:write stream cameras sensors preprocess teach"; // granted as far as the account has them
const NETWORK = 0; // status of a request without a response
const TEMPORARY = new Set([NETWORK, 408, 429, 502, 503, 504]);
const seconds = new Intl.NumberFormat("en", { style: "unit", unit: "second", unitDisplay: "long" });
const REFRESH_SECONDS = 8; // three attempts fit into the time in which the server accepts a repeated refresh

/** A request that failed. `message` is for people; `status` is 0 if there was no response. */
export class Problem extends Error {
  /**
   * @param retryAfter seconds after which the server would like to hear of it again; 0: unsaid.
   * @param errors the invalid fields: `{ pointer, detail }`, as in problem details.
   */
  constructor(status, message, code = "", retryAfter = 0, errors = []) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
    this.errors = errors;
  }

  /** Whether the same request may succeed later. */
  get isTemporary() {
    return TEMPORARY.has(this.status);
  }
}

/**
 * Trades name and password for an access and a refresh token (RFC 6749, section 4.3).
 * `scope` is the first of the lists of scopes that the account has.
 */
export async function signIn(username, password, [scope, ...less]) {
  try {
    return await requestTokens({ grant_type: "password", username, password, scope });
  } catch (problem) {
    if (problem.code !== "invalid_scope" || less.length === 0) throw problem;
    return await signIn(username, password, less);
  }
}

function requestTokens(fields) {
  return request("v1/auth/token", { method: "POST", body: new URLSearchParams(fields) });
}

/**
 * Signs this browser in. The refresh token is in a cookie that no script can read, so that a reload
 * or another tab keeps the session. Resolves to `{ access_token, expires_in, scope, name, ... }`.
 * The page asks for the least that it needs: an administrator's token has no business here.
 */
export function enter(username, password) {
  const body = new URLSearchParams({ username, password, scope: SCOPE, optional_scope: OPTIONAL_SCOPE });
  return request("v1/auth/page/sign-in", { method: "POST", body });
}

/** Signs in with the code of a one-time link; otherwise as `enter`. */
export function enterByLink(code) {
  const body = new URLSearchParams({ code });
  return request("v1/auth/page/sign-in", { method: "POST", body });
}

/** The next access token of this browser's session, as from `enter`; null if it has none. */
export function renew() {
  return request("v1/auth/page/refresh", { method: "POST", signal: AbortSignal.timeout(REFRESH_SECONDS * 1000) });
}

/** Ends this browser's session, even if the page is left meanwhile. */
export function leave() {
  return request("v1/auth/page/sign-out", { method: "POST", keepalive: true });
}

/** Ends the session of a refresh token (RFC 7009), even if the page is left; nobody waits for it. */
export function revoke(refreshToken) {
  const body = new URLSearchParams({ token: refreshToken });
  fetch("v1/auth/revoke", { method: "POST", body, keepalive: true }).catch(() => {});
}

/** The devices that are signed in as the same person, as in `GET /v1/auth/sessions`. */
export async function listSessions(token) {
  return (await request("v1/auth/sessions", { headers: bearer(token) })).sessions;
}

/** Signs one of them out; it may be gone already. */
export async function endSession(token, id) {
  const address = `v1/auth/sessions/${encodeURIComponent(id)}`;
  try {
    await request(address, { method: "DELETE", headers: bearer(token) });
  } catch (problem) {
    if (problem.status !== 404) throw problem;
  }
}

/** The description of the API (OpenAPI), where it is for people with an account. */
export function readDocument(token, address) {
  return request(address, { headers: bearer(token) });
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

/** The description of a model, as in `GET /v1/models/{name}`. */
export function describeModel(token, name) {
  return request(`v1/models/${encodeURIComponent(name)}`, { headers: bearer(token) });
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

export function bearer(token) {
  return { authorization: `Bearer ${token}` };
}

/** Options of a request whose body is JSON. */
export function withJson(token, method, body) {
  const headers = { ...bearer(token), "content-type": "application/json" };
  return { method, headers, body: JSON.stringify(body) };
}

/** The browser guesses a file's type by its name; the server looks at the bytes. */
export function mediaType(file) {
  return /^image\/[a-z0-9.+-]+$/.test(file.type) ? file.type : "application/octet-stream";
}

/** Sends a request; resolves to the JSON of the answer, null if there is none. Throws a Problem. */
export async function request(address, options) {
  const { response, body } = await exchange(address, options, (one) => one.text());
  const answer = parse(body);
  if (response.status === 204 || (response.ok && answer)) return answer;
  throw problemOf(response, answer);
}

/** As `request`, but resolves to the picture that the server answers with. */
export async function requestPicture(address, options) {
  const { response, body } = await exchange(address, options, (one) => one.blob());
  if (response.ok && body.type.startsWith("image/")) return body;
  throw problemOf(response, parse(await body.text()));
}

/** As `request`, but resolves to the text that the server answers with. */
export async function requestText(address, options) {
  const { response, body } = await exchange(address, options, (one) => one.text());
  if (response.ok) return body;
  throw problemOf(response, parse(body));
}

/** The text of one of the page's own files. */
export async function readFile(address) {
  const { response, body } = await exchange(address, {}, (one) => one.text());
  if (response.ok) return body;
  throw problemOf(response, null);
}

async function exchange(address, options, read) {
  try {
    const response = await fetch(address, { cache: "no-store", ...options });
    return { response, body: await read(response) };
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(NETWORK, "The server cannot be reached.");
  }
}

function problemOf(response, answer) {
  const retryAfter = Number(response.headers.get("retry-after")) || 0;
  const wait = response.status === 429 && retryAfter ? ` Try again in ${seconds.format(retryAfter)}.` : "";
  const message = explain(response.status, answer) + wait;
  return new Problem(response.status, message, answer?.code ?? answer?.error, retryAfter, answer?.errors ?? []);
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null; // not from Potoo, such as a proxy's error page
  }
}

/** An error in the server's words: problem details (RFC 9457), or an OAuth error (RFC 6749). */
export function explain(status, answer) {
  const places = (answer?.errors ?? []).map((place) => place.detail).filter(Boolean);
  const text = places.length
    ? places.join(". ")
    : (answer?.detail ?? answer?.error_description ?? `The server answered with status ${status}`);
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
