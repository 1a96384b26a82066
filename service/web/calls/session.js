// A signed-in session. The access token is only in memory; the refresh token is in a cookie that
// only the server reads, and that all tabs share.

import { Problem, leave, renew } from "./api.js";

const EARLY_SECONDS = 60; // time before expiry at which the access token is renewed, a quarter at most
const ATTEMPTS = 3;
const PAUSE_SECONDS = 1.5; // a refresh may be repeated if its response was lost, but not within a second
const SIGNED_OUT = "signed out";
const LONGEST_PAUSE_SECONDS = 10;

export class Session {
  #accessToken;
  #canRenew;
  #staleFrom; // milliseconds since the epoch
  #renewal = null;

  /** @param issued what `enter` or `renew` resolved to, or `{ access_token, scope, name }` of a link. */
  constructor(issued) {
    this.name = issued.name;
    this.scopes = new Set(issued.scope.split(" "));
    this.#take(issued);
    if (this.#canRenew) markSignedOut(false);
  }

  /** Whether a reload and other tabs keep it. */
  get isKept() {
    return this.#canRenew;
  }

  /** The session that this browser has, begun in another tab or before a reload; null if none. */
  static async resume() {
    if (isSignedOut()) {
      signOut(); // the server did not hear of it
      return null;
    }
    const issued = await exclusively(() => persistently(renew)).catch(() => null);
    return issued && new Session(issued);
  }

  /**
   * Calls `use` with an access token; renews it shortly before it expires, or if it is refused.
   * Throws a Problem with status 401 if the session is over.
   */
  async call(use) {
    if (this.#canRenew && Date.now() >= this.#staleFrom) {
      await this.#renew().catch((problem) => {
        if (problem.status === 401) throw problem; // else the present token may still be valid
      });
    }
    const token = this.#accessToken;
    try {
      return await use(token);
    } catch (problem) {
      if (problem.status !== 401 || !this.#canRenew) throw problem;
    }
    // Several calls may need it at once; they share one renewal.
    if (token === this.#accessToken) await this.#renew();
    return await use(this.#accessToken);
  }

  /** Signs this browser out at the server, as far as that can be reached; waits for nothing. */
  end() {
    if (this.#canRenew) signOut();
    this.abandon();
  }

  /** Forgets it here; the browser's session goes on or has another owner. */
  abandon() {
    this.#canRenew = false;
  }

  /** Each refresh token holds once, so there is one renewal at a time. */
  #renew() {
    this.#renewal ??= this.#rotate().finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  async #rotate() {
    try {
      const issued = await exclusively(() => persistently(renew));
      // Signed out in another tab, or in again as somebody else.
      if (issued?.name !== this.name) throw new Problem(401, "The session is over.");
      if (this.#canRenew) this.#take(issued); // else ended meanwhile
    } catch (problem) {
      if (problem.status !== 400 && problem.status !== 401) throw problem;
      this.abandon();
      throw new Problem(401, "The session is over.");
    }
  }

  #take({ access_token: accessToken, expires_in: seconds }) {
    this.#accessToken = accessToken;
    this.#canRenew = seconds !== undefined;
    this.#staleFrom = Date.now() + freshFor(seconds) * 1000;
  }
}

/** Seconds after which a token that expires in `seconds` is to be renewed. */
export function freshFor(seconds) {
  return seconds - Math.min(EARLY_SECONDS, seconds / 4);
}

/** Remembers it until the server has answered: only that can delete the cookie. */
function signOut() {
  markSignedOut(true);
  leave().then(() => markSignedOut(false), () => {});
}

function isSignedOut() {
  try {
    return localStorage.getItem(SIGNED_OUT) !== null;
  } catch {
    return false; // the browser keeps nothing for this page, and no cookie either
  }
}

function markSignedOut(isOut) {
  try {
    if (isOut) localStorage.setItem(SIGNED_OUT, "");
    else localStorage.removeItem(SIGNED_OUT);
  } catch {
    // as above
  }
}

/** One tab at a time, as each cookie holds once. Without TLS browsers have no locks: see PAUSE_SECONDS. */
function exclusively(use) {
  return navigator.locks ? navigator.locks.request("potoo-session", use) : use();
}

/** Repeats a request that failed for a while only. */
async function persistently(request) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await request();
    } catch (problem) {
      const pause = problem.retryAfter || PAUSE_SECONDS;
      if (!problem.isTemporary || attempt === ATTEMPTS || pause > LONGEST_PAUSE_SECONDS) {
        throw problem;
      }
      await new Promise((resolve) => setTimeout(resolve, pause * 1000));
    }
  }
}
