// The sign-in form, and the session that calls to the API are made in.

import { Problem, enter, enterByLink, listModels } from "../../calls/api.js";
import { Session } from "../../calls/session.js";
import { $, announce } from "../../page.js";

const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const EXPIRED = "Your session has expired. Sign in again to continue with the waiting photos.";
const STALE_LINK = "This link no longer works. Sign in with name and password.";

export class SignIn {
  #session = null;
  #starts = 0;
  #onEnter;
  #onLeave;

  /**
   * @param onEnter called with the models, and the session of the person who has signed in.
   * @param onLeave called when nobody is signed in any more.
   */
  constructor({ onEnter, onLeave }) {
    this.#onEnter = onEnter;
    this.#onLeave = onLeave;
    $("sign-in-form").addEventListener("submit", (event) => this.#submit(event));
    addEventListener("hashchange", () => this.start());
  }

  /** Signs in by the link that opened the page, or by this browser's session, or shows the form. */
  async start() {
    const [kind, linked] = takeLink();
    this.#starts += 1;
    if (kind === null) {
      if (!this.#session) await this.#resume(this.#starts);
      return;
    }
    try {
      if (kind === "link") {
        await this.#enter(new Session(await enterByLink(linked)));
        return;
      }
      if (!JWT.test(linked)) throw new Problem(401, "not a token");
      // Without a refresh token: the session lasts until the token expires.
      await this.#enter(new Session({ access_token: linked, ...claimsOf(linked) }));
    } catch (problem) {
      this.#show([400, 401].includes(problem.status) ? STALE_LINK : problem.message);
    }
  }

  /** Calls `use` with an access token; if the session is over, shows the form and throws. */
  async call(use) {
    const session = this.#session;
    try {
      return await session.call(use);
    } catch (problem) {
      // Several calls may fail late; only the first one ends the session.
      if (problem.status === 401 && session === this.#session) this.#show(EXPIRED);
      throw problem;
    }
  }

  async #resume(start) {
    const session = await Session.resume();
    if (start !== this.#starts) return; // a link was opened meanwhile
    try {
      if (session) await this.#enter(session);
      else this.#show();
    } catch (problem) {
      this.#show(problem.message);
    }
  }

  /** Ends the session and shows an empty form. */
  signOut() {
    this.#session?.end();
    $("name").value = "";
    this.#show();
  }

  async #submit(event) {
    event.preventDefault();
    const name = $("name").value;
    $("sign-in-button").disabled = true;
    $("sign-in-notice").hidden = true;
    try {
      await this.#enter(new Session(await enter(name, $("password").value)));
    } catch (problem) {
      this.#show(problem.message);
      $("password").select();
    } finally {
      $("sign-in-button").disabled = false;
    }
  }

  /** Replaces the session. Throws a Problem if the server refuses the token. */
  async #enter(session) {
    const { name } = session;
    const models = await session.call(listModels);
    if (session.isKept) this.#session?.abandon(); // the server has put it in the other's place
    else this.#session?.end();
    this.#session = session;
    $("password").value = "";
    $("name").value = name; // for the next time
    const isShown = !$("sign-in").hidden;
    $("sign-in").hidden = true;
    this.#onEnter(models, session, isShown); // the field that has the focus has disappeared
    announce("Signed in.");
  }

  #show(notice = "") {
    this.#session?.abandon();
    this.#session = null;
    this.#onLeave();
    $("sign-in").hidden = false;
    $("sign-in-notice").textContent = notice;
    $("sign-in-notice").hidden = !notice;
    ($("name").value ? $("password") : $("name")).focus();
  }
}

/**
 * `/#link=...` signs in once, `/#token=...` for as long as the token lives. Returns the kind and
 * the secret, which leaves the address bar and the history at once; the kind is null without one.
 */
function takeLink() {
  const [name, value] = location.hash.slice(1).split("=");
  if (name !== "link" && name !== "token") return [null, ""];
  history.replaceState(null, "", location.pathname + location.search);
  return [name, value ?? ""];
}

/** Name and scope of a token, to be shown only: the server alone verifies tokens. */
function claimsOf(jwt) {
  try {
    const claims = jwt.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(claims), (character) => character.charCodeAt(0));
    const { sub, scope } = JSON.parse(new TextDecoder().decode(bytes));
    return { name: String(sub), scope: String(scope) };
  } catch {
    return { name: "", scope: "" };
  }
}
