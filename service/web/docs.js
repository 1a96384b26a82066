// Swagger UI without a CDN, so it works offline. If the OpenAPI document needs a token, it asks for
// name and password, fetches the document and discards the tokens.

import { readDocument, revoke, signIn } from "./calls/api.js";

const DOCUMENT = "openapi.json";
const SCOPES = ["models:read", ""]; // any token is sufficient: few scopes if possible, else all
const $ = (id) => document.getElementById(id);

function show(source) {
  SwaggerUIBundle({
    ...source,
    dom_id: "#swagger-ui",
    deepLinking: true,
    displayRequestDuration: true,
    persistAuthorization: false,
    tryItOutEnabled: true,
    validatorUrl: null,
  });
}

/** In place of the docs, in the style of the page: `style.css` must not touch Swagger UI. */
function askToSignIn() {
  const style = document.createElement("link");
  Object.assign(style, { rel: "stylesheet", href: "static/style.css" });
  style.addEventListener("load", () => {
    const main = $("gate").content.cloneNode(true).firstElementChild;
    document.body.append(main);
    document.body.classList.add("greeting");
    $("sign-in-form").addEventListener("submit", async (event) => {
      event.preventDefault();
      const spec = await read();
      if (!spec) return;
      main.remove();
      style.remove();
      document.body.classList.remove("greeting");
      show({ spec });
    });
    $("name").focus();
  });
  document.head.append(style);
}

/** The document, for whose name and password are in the form; null if it says what is wrong. */
async function read() {
  $("sign-in-button").disabled = true;
  $("sign-in-notice").hidden = true;
  try {
    const issued = await signIn($("name").value, $("password").value, SCOPES);
    try {
      return await readDocument(issued.access_token, DOCUMENT);
    } finally {
      revoke(issued.refresh_token);
    }
  } catch (problem) {
    $("sign-in-notice").textContent = problem.message;
    $("sign-in-notice").hidden = false;
    $("password").select();
    return null;
  } finally {
    $("sign-in-button").disabled = false;
  }
}

/** Whether nobody may read the document without a token. */
async function isGuarded() {
  try {
    return (await fetch(DOCUMENT, { method: "HEAD", cache: "no-store" })).status === 401;
  } catch {
    return false; // Swagger UI says that it cannot be reached
  }
}

if (await isGuarded()) askToSignIn();
else show({ url: DOCUMENT });
