// When a photo was taken, by the EXIF data of a JPEG (CIPA DC-008, Exif 2.32): lost where a photo is made smaller.

const HEAD_BYTES = 2 ** 17; // EXIF is one segment of at most 64 KiB, near the beginning
const [APP1, START_OF_SCAN] = [0xe1, 0xda];
const EXIF = 0x45786966;
const [DIRECTORY, ORIGINAL, OFFSET] = [0x8769, 0x9003, 0x9011]; // tags
const TIME = /^(\d{4}):(\d\d):(\d\d) (\d\d:\d\d:\d\d)/;

/** RFC 3339; null if the file does not say it. Without a time zone, the camera's clock is taken for UTC. */
export async function captureTime(file) {
  const head = new DataView(await file.slice(0, HEAD_BYTES).arrayBuffer());
  try {
    const tiff = exifOf(head);
    return tiff && timeOf(tiff);
  } catch (error) {
    if (error instanceof RangeError) return null; // cut off, or damaged
    throw error;
  }
}

/** The TIFF data in the EXIF segment; null if there is none. */
function exifOf(view) {
  if (view.byteLength < 4 || view.getUint16(0) !== 0xffd8) return null;
  for (let at = 2; view.getUint8(at) === 0xff; ) {
    const [marker, length] = [view.getUint8(at + 1), view.getUint16(at + 2)];
    if (marker === START_OF_SCAN) return null;
    if (marker === APP1 && view.getUint32(at + 4) === EXIF) return new DataView(view.buffer, at + 10, length - 8);
    at += 2 + length;
  }
  return null;
}

function timeOf(tiff) {
  const isLittle = tiff.getUint16(0) === 0x4949;
  const place = entries(tiff, tiff.getUint32(4, isLittle), isLittle).get(DIRECTORY);
  if (place === undefined) return null;
  const found = entries(tiff, tiff.getUint32(place, isLittle), isLittle);
  const text = (tag) => (found.has(tag) ? textAt(tiff, tiff.getUint32(found.get(tag), isLittle)) : "");
  const [, year, month, day, clock] = TIME.exec(text(ORIGINAL)) ?? [];
  if (!year) return null;
  const zone = /^[+-]\d\d:\d\d$/.test(text(OFFSET)) ? text(OFFSET) : "Z";
  const written = `${year}-${month}-${day}T${clock}${zone}`;
  return Number.isNaN(Date.parse(written)) ? null : written; // cameras without a clock write zeros
}

/** Where the values of a directory are, by tags. */
function entries(tiff, start, isLittle) {
  const found = new Map();
  for (let left = tiff.getUint16(start, isLittle), at = start + 2; left > 0; left -= 1, at += 12) {
    found.set(tiff.getUint16(at, isLittle), at + 8);
  }
  return found;
}

function textAt(tiff, at) {
  let text = "";
  for (let place = at; tiff.getUint8(place) !== 0; place += 1) text += String.fromCharCode(tiff.getUint8(place));
  return text;
}
