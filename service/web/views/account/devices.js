// The dialogue of the user's signed-in devices, opened by the user name.
// Names of devices are not trusted: they are only inserted as text.

import { endSession, listSessions } from "../../calls/api.js";
import { $ } from "../../page.js";

const BROWSERS = [
  ["Edge", /\bEdg(A|iOS)?\//],
  ["Opera", /\bOPR\//],
  ["Samsung Internet", /\bSamsungBrowser\//],
  ["Firefox", /\b(Firefox|FxiOS)\//],
  ["Chrome", /(Chrome|CriOS)\//],
  ["Safari", /\bSafari\//],
];
const SYSTEMS = [
  ["iPhone", /\biPhone\b/],
  ["iPad", /\biPad\b/],
  ["Android", /\bAndroid\b/],
  ["Windows", /\bWindows\b/],
  ["macOS", /\bMac OS X\b/],
  ["ChromeOS", /\bCrOS\b/],
  ["Linux", /\bLinux\b/],
];
const PHONES = new Set(["iPhone", "iPad", "Android"]);
const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60]];
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });

export class Devices {
  #call;
  #signOut;

  /**
   * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
   * @param signOut signs this device out, which closes the dialogue.
   */
  constructor(call, signOut) {
    this.#call = call;
    this.#signOut = signOut;
    $("close-devices").addEventListener("click", () => this.close());
    $("devices").addEventListener("click", (event) => {
      if (event.target === $("devices")) this.close(); // beside it
    });
  }

  async open() {
    $("device-list").replaceChildren();
    say("Looking…");
    $("devices").showModal();
    try {
      this.#show(await this.#call(listSessions));
    } catch (problem) {
      complain(problem);
    }
  }

  close() {
    $("devices").close();
  }

  #show(sessions) {
    sessions.sort((one, other) => other.current - one.current); // else the one seen last first
    $("device-list").replaceChildren(...sessions.map((session) => this.#row(session)));
    const isListed = sessions.some((session) => session.current);
    say(isListed ? "" : "You signed in with a link: this device is not listed, and its session is short.");
  }

  #row(session) {
    const { name, kind } = describe(session.device);
    const row = $("device").content.cloneNode(true).firstElementChild;
    row.dataset.kind = kind;
    row.querySelector("bdi").textContent = name;
    row.querySelector("bdi").title = session.device;
    row.querySelector(".this-one").hidden = !session.current;
    row.querySelector("time").textContent = ago(session.last_seen);
    row.querySelector("time").dateTime = session.last_seen;
    row.querySelector("time").title = new Date(session.last_seen).toLocaleString();
    const button = row.querySelector("button");
    button.setAttribute("aria-label", `Sign out: ${name}`);
    button.addEventListener("click", () => {
      if (session.current) this.#signOut();
      else this.#end(session, row, button);
    });
    return row;
  }

  async #end(session, row, button) {
    button.disabled = true;
    try {
      await this.#call((token) => endSession(token, session.id));
    } catch (problem) {
      button.disabled = false;
      complain(problem);
      return;
    }
    const neighbour = row.nextElementSibling ?? row.previousElementSibling;
    (neighbour?.querySelector("button") ?? $("close-devices")).focus(); // the pressed button is about to be removed
    row.remove();
    say(`Signed out: ${describe(session.device).name}.`);
  }
}

function say(text) {
  $("devices-status").textContent = text;
  $("devices-notice").hidden = true;
}

function complain(problem) {
  say("");
  $("devices-notice").textContent = problem.message;
  $("devices-notice").hidden = false;
}

/** A browser by what people call it; anything else by what it calls itself. */
function describe(userAgent) {
  const named = (names) => names.find(([, pattern]) => pattern.test(userAgent))?.[0];
  const [browser, system] = [named(BROWSERS), named(SYSTEMS)];
  const kind = PHONES.has(system) ? "phone" : system ? "computer" : "other";
  const isBrowser = userAgent.startsWith("Mozilla/") && browser && system;
  return { kind, name: isBrowser ? `${browser} on ${system}` : userAgent || "Unknown device" };
}

function ago(when) {
  const seconds = (Date.now() - Date.parse(when)) / 1000;
  const unit = UNITS.find(([, length]) => seconds >= length);
  return unit ? relative.format(-Math.floor(seconds / unit[1]), unit[0]) : "just now";
}
