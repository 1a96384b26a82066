// The page: builds the views and connects them. No framework and no external resources.

import { $, announce } from "./page.js";
import { takesImages } from "./parts/model-choice.js";
import { Tabs } from "./parts/tabs.js";
import { Cameras } from "./views/cameras.js";
import { Devices } from "./views/devices.js";
import { Knows } from "./views/knows.js";
import { Live } from "./views/live.js";
import { Phone } from "./views/phone.js";
import { Photos } from "./views/photos.js";
import { Sensors } from "./views/sensors.js";
import { SignIn } from "./views/sign-in.js";

const call = (use) => signIn.call(use);
const openModel = (model) => knows.open(model);
const knows = new Knows(call);
const photos = new Photos(call, openModel);
const live = new Live(call, openModel);
const cameras = new Cameras(call);
const sensors = new Sensors(call);
const devices = new Devices(call, signOut);
const signIn = new SignIn({ onEnter: enter, onLeave: leave });
const tabs = new Tabs({ photos: { panel: $("workspace") }, live, cameras, sensors });

function enter(models, session, fromForm) {
  const ofImages = models.filter(takesImages);
  photos.showModels(ofImages);
  live.show(ofImages, session);
  cameras.showModels(ofImages);
  $("user-name").textContent = session.name;
  $("account").hidden = false;
  document.body.classList.remove("greeting");
  photos.open();
  tabs.open(["photos", "live", ...["cameras", "sensors"].filter((scope) => session.scopes.has(scope))]);
  if (fromForm) (tabs.chosen === "photos" ? $("choose") : $(`tab-${tabs.chosen}`)).focus();
}

/** The photos on the page stay, and the waiting ones go on after the next sign-in. */
function leave() {
  tabs.close();
  cameras.clear();
  sensors.clear();
  photos.close();
  devices.close();
  knows.close();
  $("account").hidden = true;
  document.body.classList.toggle("greeting", photos.isEmpty);
}

function signOut() {
  photos.clear();
  live.stop();
  signIn.signOut();
  announce("Signed out.");
}

$("sign-out").addEventListener("click", signOut);
$("who").addEventListener("click", () => devices.open());

new Phone();
signIn.start();
