// The dialogue with a QR code that opens this page on a phone.

import { $, svg } from "../../page.js";
import { qrCode } from "./qr.js";

const QUIET = 4; // modules of white around the code, as readers need
const LOOPBACK = /^(localhost|.*\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/;

export class Phone {
  constructor() {
    $("on-phone").addEventListener("click", () => this.#open());
    $("close-phone").addEventListener("click", () => $("phone").close());
    $("phone").addEventListener("click", (event) => {
      if (event.target === $("phone")) $("phone").close(); // beside it
    });
  }

  #open() {
    const address = location.origin + location.pathname;
    const isReachable = !LOOPBACK.test(location.hostname);
    const code = isReachable ? qrCode(address) : null;
    $("phone-code").replaceChildren(...(code ? [picture(code, address)] : []));
    $("phone-address").textContent = isReachable ? address : "";
    $("phone-advice").hidden = isReachable;
    $("phone").showModal();
  }
}

function picture(code, address) {
  const side = code.length + 2 * QUIET;
  const image = svg("svg", { viewBox: `0 0 ${side} ${side}`, role: "img", "aria-label": `QR code of ${address}` });
  const dark = code.flatMap((row, y) =>
    row.map((isDark, x) => (isDark ? `M${x + QUIET} ${y + QUIET}h1v1h-1z` : "")),
  );
  image.append(
    svg("rect", { class: "light", width: side, height: side }),
    svg("path", { class: "dark", d: dark.join(""), "shape-rendering": "crispEdges" }),
  );
  return image;
}
