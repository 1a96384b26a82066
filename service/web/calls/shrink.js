// Photos larger than any model needs are made smaller before they are sent: a camera's 108 megapixels
// are above the server's limits, and take long over a phone's network.

const SMALL_BYTES = 2 ** 20; // below it there is nothing to gain
const LONG_SIDE = 2048; // models take 224 to 1024 pixels a side
const SHORT_SIDE = 1024; // as they mostly take the middle of what is long and narrow
const QUALITY = 0.92;

let turn = Promise.resolve();

/**
 * The photo as it is to be sent. Resolves to `{ body, original }`: `original` is `{ width, height }` of
 * a photo that was made smaller, else null. What the browser cannot read is sent as it is.
 */
export function shrink(file, signal) {
  if (file.size < SMALL_BYTES) return Promise.resolve({ body: file, original: null });
  // One at a time: 108 megapixels are 430 MB while they are being made smaller.
  const made = turn.then(() => (signal.aborted ? null : smaller(file).catch(() => null)));
  turn = made;
  return made.then((found) => found ?? { body: file, original: null });
}

/** A JPEG of the photo, upright, over white where it is transparent; null if it is small already. */
async function smaller(file) {
  const photo = await createImageBitmap(file);
  try {
    const { width, height } = photo;
    const scale = Math.max(LONG_SIDE / Math.max(width, height), SHORT_SIDE / Math.min(width, height));
    if (scale >= 1) return null;
    const size = [Math.round(width * scale), Math.round(height * scale)];
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = size;
    const context = canvas.getContext("2d");
    context.fillStyle = "white";
    context.fillRect(0, 0, ...size);
    context.imageSmoothingQuality = "high";
    context.drawImage(photo, 0, 0, ...size);
    const body = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
    return body && { body, original: { width, height } };
  } finally {
    photo.close();
  }
}
