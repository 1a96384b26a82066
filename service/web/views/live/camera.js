// The camera of this device: its picture in a <video>, and frames of it as JPEG.

const LONG_SIDE = 640; // of a frame; models take 224 to 1024 pixels a side
const QUALITY = 0.85;
const CAPTURE = { width: { ideal: 1280 }, height: { ideal: 720 } };
const FACING = ["environment", "user"]; // back, then front

/** Why there is no camera. `message` is for people. */
export class NoCamera extends Error {}

/** Why this page can have no camera at all; null if it can. */
export function obstacle() {
  if (!isSecureContext || !navigator.mediaDevices?.getUserMedia) {
    return (
      `Browsers allow a camera only on pages with TLS, or on the machine itself (localhost). This page ` +
      `was opened as ${location.origin}: open it with https:// instead. How an operator adds TLS is ` +
      `in Potoo's documentation, docs/operating/tls.md.`
    );
  }
  return null;
}

export class Camera {
  #video;
  #onLost;
  #stream = null;
  #starts = 0;
  #facing = 0; // index in FACING
  #device = null; // of those that do not say where they face
  #canvas = document.createElement("canvas");

  /** @param onLost called when the camera is unplugged, or its permission withdrawn. */
  constructor(video, onLost) {
    this.#video = video;
    this.#onLost = onLost;
  }

  get isOn() {
    return this.#stream !== null;
  }

  /** Shows the picture. Throws NoCamera. Resolves to false if it was stopped meanwhile. */
  async start() {
    this.stop();
    const start = this.#starts;
    const facing = this.#device ? { deviceId: { exact: this.#device } } : { facingMode: { ideal: FACING[this.#facing] } };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { ...CAPTURE, ...facing } });
    } catch (error) {
      throw new NoCamera(reasonOf(error));
    }
    if (start !== this.#starts) {
      halt(stream);
      return false;
    }
    const [track] = stream.getVideoTracks();
    track.addEventListener("ended", () => {
      this.stop();
      this.#onLost();
    });
    this.#stream = stream;
    this.#video.srcObject = stream;
    // A front camera shows people as a mirror does; the frames that are sent are not mirrored.
    this.#video.classList.toggle("mirrored", track.getSettings().facingMode === "user");
    await this.#video.play().catch(() => {}); // stopped meanwhile
    return start === this.#starts;
  }

  /** Whether there is another camera to turn to. */
  async canTurn() {
    return (await cameras()).length > 1;
  }

  /** Starts the other camera: front instead of back, else the next one. Otherwise as `start`. */
  async turn() {
    const { facingMode, deviceId } = this.#stream?.getVideoTracks()[0].getSettings() ?? {};
    if (facingMode) {
      this.#facing = facingMode === "user" ? 0 : 1;
    } else {
      const ids = (await cameras()).map((device) => device.deviceId);
      this.#device = ids[(ids.indexOf(deviceId) + 1) % ids.length];
    }
    return await this.start();
  }

  stop() {
    this.#starts += 1;
    if (this.#stream) halt(this.#stream);
    this.#stream = this.#video.srcObject = null;
  }

  /** Calls `use` at every new picture until the camera stops. */
  watch(use) {
    const start = this.#starts;
    const next = this.#video.requestVideoFrameCallback
      ? (then) => this.#video.requestVideoFrameCallback(then)
      : requestAnimationFrame;
    const loop = () => {
      if (start !== this.#starts) return;
      use();
      next(loop);
    };
    next(loop);
  }

  /** The present picture as JPEG; null if there is none. */
  grab() {
    const { videoWidth: width, videoHeight: height } = this.#video;
    if (!width) return Promise.resolve(null);
    const scale = Math.min(1, LONG_SIDE / Math.max(width, height));
    const size = [Math.round(width * scale), Math.round(height * scale)];
    [this.#canvas.width, this.#canvas.height] = size;
    const context = this.#canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.drawImage(this.#video, 0, 0, ...size);
    return new Promise((resolve) => this.#canvas.toBlob(resolve, "image/jpeg", QUALITY));
  }
}

async function cameras() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter(({ kind }) => kind === "videoinput");
}

function halt(stream) {
  for (const track of stream.getTracks()) track.stop();
}

/** The names of getUserMedia's errors in words (W3C, Media Capture and Streams, section 10.2). */
function reasonOf({ name, message }) {
  switch (name) {
    case "NotAllowedError":
    case "SecurityError":
      return "The browser does not let this page use the camera. Allow it beside the page's address, then start again.";
    case "NotFoundError":
    case "OverconstrainedError":
      return "This device has no camera that the browser can use.";
    case "NotReadableError":
    case "AbortError":
      return "The camera cannot be opened: another program may be using it.";
    default:
      return `The camera cannot be opened: ${message}`;
  }
}
