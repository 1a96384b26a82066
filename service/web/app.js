// The page: builds the views and connects them. No framework and no external resources.

import { listModels } from "./calls/api.js";
import { $, announce } from "./page.js";
import { takesImages, takesSeries } from "./parts/model-choice.js";
import { Tabs } from "./parts/tabs.js";
import { Devices } from "./views/account/devices.js";
import { SignIn } from "./views/account/sign-in.js";
import { Cameras } from "./views/cameras/cameras.js";
import { Knows } from "./views/knows/knows.js";
import { Live } from "./views/live/live.js";
import { Phone } from "./views/phone/phone.js";
import { Photos } from "./views/photos/photos.js";
import { Prepare } from "./views/prepare/prepare.js";
import { Sensors } from "./views/sensors/sensors.js";
import { Teach } from "./views/teach/teach.js";

const call = (use) => signIn.call(use);
const openModel = (model) => knows.open(model);
const knows = new Knows(call);
const prepare = new Prepare(call, openModel);
const photos = new Photos(call, openModel, { see: showPrepared, wrong: (...answer) => teach.correct(...answer) });
const live = new Live(call, openModel);
const cameras = new Cameras(call);
const sensors = new Sensors(call);
const teach = new Teach(call, { served: refreshModels, use: classifyWith, open: () => tabs.choose("teach") });
const devices = new Devices(call, signOut);
const signIn = new SignIn({ onEnter: enter, onLeave: leave });
const tabs = new Tabs({ photos: { panel: $("workspace") }, live, cameras, sensors, prepare, teach });
const NEEDED = { cameras: "cameras", sensors: "sensors", prepare: "preprocess", teach: "teach" }; // scopes by tabs

let session = null; // of the person who has signed in

function enter(models, entered, fromForm) {
  session = entered;
  showModels(models);
  photos.canPrepare = session.scopes.has(NEEDED.prepare);
  photos.canTeach = session.scopes.has(NEEDED.teach);
  $("user-name").textContent = session.name;
  $("account").hidden = false;
  document.body.classList.remove("greeting");
  photos.open();
  const missing = Object.entries(NEEDED).filter(([, scope]) => !session.scopes.has(scope));
  tabs.open(Object.fromEntries(missing.map(([tab, scope]) => [tab, `This account may not use it: it has not the scope ${scope}.`])));
  if (fromForm) (tabs.chosen === "photos" ? $("choose") : $(`tab-${tabs.chosen}`)).focus();
}

function showModels(models) {
  const ofImages = models.filter(takesImages);
  photos.showModels(ofImages);
  live.show(ofImages, session);
  cameras.showModels(ofImages);
  sensors.showModels(models.filter(takesSeries));
  prepare.showModels(models);
  teach.showModels(ofImages, session);
}

/** Another version serves, or a model is new. */
async function refreshModels() {
  try {
    showModels(await call(listModels));
  } catch {
    // the old list serves as well until the next sign-in
  }
}

function classifyWith(model) {
  tabs.choose("photos");
  photos.choose(model);
}

function showPrepared(photo, model) {
  tabs.choose("prepare");
  prepare.showPhoto(photo, model);
}

/** The photos on the page stay, and the waiting ones go on after the next sign-in. */
function leave() {
  tabs.close();
  cameras.clear();
  sensors.clear();
  prepare.clear();
  teach.clear();
  photos.close();
  devices.close();
  knows.close();
  $("account").hidden = true;
  document.body.classList.toggle("greeting", photos.isEmpty);
}

function signOut() {
  photos.clear();
  teach.forget();
  live.stop();
  signIn.signOut();
  announce("Signed out.");
}

$("sign-out").addEventListener("click", signOut);
$("who").addEventListener("click", () => devices.open());

new Phone();
signIn.start();
