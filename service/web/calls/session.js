// A signed-in session. Both tokens are only in memory: a reload of the page loses them.

import { Problem, refresh, revoke } from "./api.js";

const EARLY_SECONDS = 60; // time before expiry at which the access token is renewed
const ATTEMPTS = 3;
const PAUSE_SECONDS = 1.5; // a refresh may be repeated if its response was lost, but not within a second
const LONGEST_PAUSE_SECONDS = 10;

export class Session {
  #accessToken;
  #refreshToken;
  #staleFrom; // milliseconds since the epoch
  #renewal = null;

  /** @param issued what `v1/auth/token` answered, or `{ access_token }` alone. */
  constructor(issued) {
    this.#take(issued);
  }

  /**
   * Calls `use` with an access token; renews it shortly before it expires, or if it is refused.
   * Throws a Problem with status 401 if the session is over.
   */
  async call(use) {
    if (this.#refreshToken && Date.now() >= this.#staleFrom) {
      await this.#renew().catch((problem) => {
        if (problem.status === 401) throw problem; // else the present token may still be valid
      });
    }
    const token = this.#accessToken;
    try {
      return await use(token);
    } catch (problem) {
      if (problem.status !== 401 || !this.#refreshToken) throw problem;
    }
    // Several calls may need it at once; they share one renewal.
    if (token === this.#accessToken) await this.#renew();
    return await use(this.#accessToken);
  }

  /** Signs this device out at the server, as far as that can be reached; waits for nothing. */
  end() {
    if (this.#refreshToken) revoke(this.#refreshToken);
    this.#refreshToken = null;
  }

  /** Each refresh token holds once, so there is one renewal at a time. */
  #renew() {
    this.#renewal ??= this.#rotate().finally(() => {
      this.#renewal = null;
    });
    return this.#renewal;
  }

  async #rotate() {
    const refreshToken = this.#refreshToken;
    try {
      const issued = await persistently(() => refresh(refreshToken));
      if (this.#refreshToken === refreshToken) this.#take(issued); // else ended meanwhile
    } catch (problem) {
      if (problem.status !== 400 && problem.status !== 401) throw problem;
      this.#refreshToken = null;
      throw new Problem(401, "The session is over.");
    }
  }

  #take({ access_token: accessToken, refresh_token: refreshToken, expires_in: seconds }) {
    this.#accessToken = accessToken;
    this.#refreshToken = refreshToken;
    this.#staleFrom = Date.now() + (seconds - Math.min(EARLY_SECONDS, seconds / 4)) * 1000;
  }
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
