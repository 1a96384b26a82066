// The page: builds the views and connects them. No framework and no external resources.

import { $, announce } from "./page.js";
import { Devices } from "./views/devices.js";
import { Knows } from "./views/knows.js";
import { Phone } from "./views/phone.js";
import { Photos } from "./views/photos.js";
import { SignIn } from "./views/sign-in.js";

const call = (use) => signIn.call(use);
const knows = new Knows(call);
const photos = new Photos(call, (model) => knows.open(model));
const devices = new Devices(call, signOut);
const signIn = new SignIn({ onEnter: enter, onLeave: leave });

function enter(models, name) {
  photos.showModels(models);
  $("user-name").textContent = name;
  $("account").hidden = false;
  document.body.classList.remove("greeting");
  photos.open();
}

/** The photos on the page stay, and the waiting ones go on after the next sign-in. */
function leave() {
  photos.close();
  devices.close();
  knows.close();
  $("account").hidden = true;
  document.body.classList.toggle("greeting", photos.isEmpty);
}

function signOut() {
  photos.clear();
  signIn.signOut();
  announce("Signed out.");
}

$("sign-out").addEventListener("click", signOut);
$("who").addEventListener("click", () => devices.open());
$("what-it-knows").addEventListener("click", () => knows.open(photos.model));

new Phone();
signIn.start();
