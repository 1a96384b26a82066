// The page: sign in, add photos, see results. No framework and no external resources.

import { outcome } from "./answer.js";
import { Problem, classify, listModels, signIn } from "./api.js";
import { Card } from "./card.js";
import { Devices } from "./devices.js";
import { save, toCsv, toJson } from "./exports.js";
import { Knows } from "./knows.js";
import { Queue } from "./queue.js";
import { Session } from "./session.js";

const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
const $ = (id) => document.getElementById(id);
const queue = new Queue(send, showProgress);
const devices = new Devices(asMe, signOut);
const knows = new Knows(asMe);
let session = null;
let cards = [];
let isBusy = false;

// --- signing in and out

/** A link `/#token=...` signs in. The token leaves the address bar and the history at once. */
function takeTokenFromLink() {
  const [name, value] = location.hash.split("=");
  if (name !== "#token") return null;
  history.replaceState(null, "", location.pathname + location.search);
  return value ?? "";
}

async function start() {
  const linked = takeTokenFromLink();
  if (linked === null) {
    if (!session) askToSignIn();
    return;
  }
  try {
    if (!JWT.test(linked)) throw new Problem(401, "not a token");
    await enter(new Session({ access_token: linked }), subjectOf(linked)); // until it expires
  } catch (problem) {
    const isStale = problem.status === 401;
    askToSignIn(isStale ? "This link no longer works. Sign in with name and password." : problem.message);
  }
}

async function submitSignIn(event) {
  event.preventDefault();
  const name = $("name").value;
  $("sign-in-button").disabled = true;
  $("sign-in-notice").hidden = true;
  try {
    await enter(new Session(await signIn(name, $("password").value)), name);
  } catch (problem) {
    askToSignIn(problem.message);
    $("password").select();
  } finally {
    $("sign-in-button").disabled = false;
  }
}

/** Starts to work as somebody. Throws a Problem if the server does not take the token. */
async function enter(newSession, name) {
  try {
    showModels(await newSession.call(listModels));
  } catch (problem) {
    newSession.end();
    throw problem;
  }
  session?.end();
  session = newSession;
  $("password").value = "";
  $("name").value = name; // for the next time
  $("user-name").textContent = name;
  $("account").hidden = $("workspace").hidden = false;
  if (!$("sign-in").hidden) $("choose").focus(); // the focused element is about to be hidden
  $("sign-in").hidden = true;
  document.body.classList.remove("greeting");
  announce("Signed in.");
  queue.open();
}

/** Shows the form; what is on the page already stays, and goes on once somebody has signed in. */
function askToSignIn(notice = "") {
  session?.end();
  session = null;
  queue.close();
  devices.close();
  knows.close();
  $("account").hidden = true;
  $("workspace").hidden = cards.length === 0;
  $("sign-in").hidden = false;
  document.body.classList.toggle("greeting", cards.length === 0);
  $("sign-in-notice").textContent = notice;
  $("sign-in-notice").hidden = !notice;
  ($("name").value ? $("password") : $("name")).focus();
}

function signOut() {
  clear();
  $("name").value = "";
  askToSignIn();
  announce("Signed out.");
}

/** Calls the API as whoever is signed in; if that is over, asks to sign in again. */
async function asMe(use) {
  const asked = session;
  try {
    return await asked.call(use);
  } catch (problem) {
    // Several requests may fail with 401; only the first one ends the session.
    if (problem.status === 401 && asked === session) {
      askToSignIn("Your session has expired. Sign in again to continue with the waiting photos.");
    }
    throw problem;
  }
}

/** Whom a token stands for, to be shown only: the server alone verifies tokens. */
function subjectOf(jwt) {
  try {
    const claims = jwt.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(claims), (character) => character.charCodeAt(0));
    return String(JSON.parse(new TextDecoder().decode(bytes)).sub);
  } catch {
    return "";
  }
}

function showModels(models) {
  const options = models.map(({ name, description, ready, default: isDefault }) => {
    const option = new Option(ready ? name : `${name} (not ready)`, name, isDefault, isDefault);
    option.title = description;
    return option;
  });
  const chosen = $("model").value;
  $("model").replaceChildren(...options);
  if (models.some((model) => model.name === chosen)) $("model").value = chosen;
  $("model").hidden = models.length < 2;
  $("only-model").hidden = models.length !== 1;
  $("only-model").textContent = models[0]?.name ?? "";
  $("model-label").hidden = $("what-it-knows").hidden = models.length === 0;
}

// --- photos

function add(files) {
  if (files.length === 0) return;
  const added = Array.from(files, (file) => new Card(file, retry));
  cards.push(...added);
  $("cards").prepend(...added.map((card) => card.element));
  announce(added.length === 1 ? "One photo added." : `${added.length} photos added.`);
  queue.put(added);
}

/** Asks the server about one photo; called by the queue. */
async function send(card, signal) {
  try {
    const model = $("model").value;
    return await asMe((token) => classify(token, card.file, { model, signal }));
  } catch (problem) {
    if (problem.status === 0 && !(await isReadable(card.file))) {
      throw new Problem(400, "The file cannot be read: it is a folder, or it was moved or changed.");
    }
    throw problem;
  }
}

/** Looks at the beginning alone: a photo may be large. */
async function isReadable(file) {
  const reader = file.stream().getReader();
  try {
    await reader.read();
    return true;
  } catch {
    return false;
  } finally {
    reader.cancel().catch(() => {});
  }
}

function retry(...failed) {
  $("choose").focus(); // the pressed button is about to be hidden
  queue.put(failed);
}

function clear() {
  queue.clear();
  cards = [];
  $("cards").replaceChildren();
  showProgress();
}

// --- status and summary

function showProgress() {
  const [total, left] = [cards.length, queue.size];
  const failed = cards.filter((card) => card.state === "failed").length;
  const outcomes = cards.filter((card) => card.state === "done").map((card) => outcome(card.result));
  const count = (wanted) => outcomes.filter((found) => found === wanted).length;
  const [unsure, unlabelled] = [count("not sure"), count("none of its labels")];
  const retryable = cards.filter((card) => card.canBeRetried).length;
  $("progress").hidden = left === 0;
  $("progress-bar").max = Math.max(total, 1);
  $("progress-bar").value = total - left;
  $("progress-text").textContent = `${total - left} of ${total}`;
  document.title = left > 0 ? `${total - left} of ${total} · Potoo` : "Potoo";
  $("summary").hidden = total === 0 || left > 0;
  $("summary").textContent = [
    total === 1 ? "1 photo" : `${total} photos`,
    unsure && `${unsure} not sure`,
    unlabelled && `${unlabelled} with none of the labels`,
    failed && `${failed} without an answer`,
  ].filter(Boolean).join(" · ");
  $("drop-zone").classList.toggle("compact", total > 0);
  $("drop-zone").classList.toggle("looking", left > 0);
  $("actions").hidden = total === 0;
  $("retry-all").hidden = retryable < 2 || left > 0;
  $("retry-all").textContent = `Try ${retryable} again`;
  if (isBusy && left === 0 && total > 0) announce(`Done: ${$("summary").textContent}.`);
  isBusy = left > 0;
}

function announce(text) {
  $("announcer").textContent = text;
}

// --- wiring

$("sign-in-form").addEventListener("submit", submitSignIn);
$("sign-out").addEventListener("click", signOut);
$("who").addEventListener("click", () => devices.open());
$("what-it-knows").addEventListener("click", () => knows.open($("model").value));
$("choose").addEventListener("click", () => $("files").click());
$("take").addEventListener("click", () => $("camera").click());
for (const input of [$("files"), $("camera")]) {
  input.addEventListener("change", () => {
    add(input.files);
    input.value = ""; // so that the same photo can be chosen again
  });
}
$("retry-all").addEventListener("click", () => retry(...cards.filter((card) => card.canBeRetried)));
$("clear").addEventListener("click", () => {
  clear();
  $("choose").focus();
  announce("Cleared.");
});
$("save-csv").addEventListener("click", () => save("potoo.csv", toCsv(cards), "text/csv"));
$("save-json").addEventListener("click", () => save("potoo.json", toJson(cards), "application/json"));
addEventListener("hashchange", start);
addEventListener("pagehide", (event) => {
  if (!event.persisted) session?.end(); // the tokens are lost with the page
});

// The whole window takes drops: a photo that misses the zone must not replace the page.
addEventListener("dragover", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  $("drop-zone").classList.add("eager");
});
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) $("drop-zone").classList.remove("eager");
});
addEventListener("drop", (event) => {
  if (!event.dataTransfer.types.includes("Files")) return;
  event.preventDefault();
  $("drop-zone").classList.remove("eager");
  if (!$("workspace").hidden) add(event.dataTransfer.files);
});
addEventListener("paste", (event) => {
  if (!$("workspace").hidden) add(event.clipboardData.files);
});
$("drop-zone").addEventListener("click", (event) => {
  if (event.target.closest("button, input") === null) $("files").click();
});

start();
