// A QR code (ISO/IEC 18004) of a short text: versions 1 to 5, byte mode, error correction level L, which
// have a single block each. Independent of the DOM.

const DATA = [19, 34, 55, 80, 108]; // codewords of each version
const CORRECTION = [7, 10, 15, 20, 26];
const LEVEL_L = 1;
const MASKS = [
  (x, y) => (x + y) % 2 === 0,
  (x, y) => y % 2 === 0,
  (x) => x % 3 === 0,
  (x, y) => (x + y) % 3 === 0,
  (x, y) => (Math.floor(y / 2) + Math.floor(x / 3)) % 2 === 0,
  (x, y) => ((x * y) % 2) + ((x * y) % 3) === 0,
  (x, y) => (((x * y) % 2) + ((x * y) % 3)) % 2 === 0,
  (x, y) => (((x + y) % 2) + ((x * y) % 3)) % 2 === 0,
];

/** Rows of booleans, true for dark, without the quiet zone; null if the text is over 106 bytes. */
export function qrCode(text) {
  const bytes = new TextEncoder().encode(text);
  const version = DATA.findIndex((room) => bytes.length + 2 <= room) + 1;
  if (version === 0) return null;
  const data = codewords(bytes, DATA[version - 1]);
  const bits = [...data, ...remainder(data, CORRECTION[version - 1])].flatMap(bitsOf);
  const codes = MASKS.map((isInverted, mask) => draw(version, bits, mask, isInverted));
  return codes.reduce((best, code) => (penalty(code) < penalty(best) ? code : best));
}

/** Mode, length and bytes, filled up with the two pad codewords. */
function codewords(bytes, room) {
  const nibbles = [0b0100, bytes.length >> 4, bytes.length & 15];
  for (const byte of bytes) nibbles.push(byte >> 4, byte & 15);
  nibbles.push(0); // the terminator
  const words = [];
  for (let place = 0; place < nibbles.length; place += 2) {
    words.push((nibbles[place] << 4) | nibbles[place + 1]);
  }
  for (let pad = 0xec; words.length < room; pad ^= 0xec ^ 0x11) words.push(pad);
  return words;
}

/** The Reed-Solomon codewords: the remainder of the data by the generator polynomial. */
function remainder(data, count) {
  let generator = [1];
  for (let power = 0, root = 1; power < count; power += 1, root = times(root, 2)) {
    const longer = [...generator, 0];
    generator.forEach((factor, place) => (longer[place + 1] ^= times(factor, root)));
    generator = longer;
  }
  const rest = [...data, ...Array(count).fill(0)];
  data.forEach((_, place) => {
    const lead = rest[place];
    generator.forEach((factor, offset) => (rest[place + offset] ^= times(factor, lead)));
  });
  return rest.slice(data.length);
}

/** Multiplies in GF(256) with the polynomial x^8 + x^4 + x^3 + x^2 + 1. */
function times(one, other) {
  let product = 0;
  for (let bit = 7; bit >= 0; bit -= 1) {
    product = (product << 1) ^ ((product >> 7) * 0x11d);
    if ((other >> bit) & 1) product ^= one;
  }
  return product;
}

function bitsOf(byte) {
  return Array.from({ length: 8 }, (_, place) => (byte >> (7 - place)) & 1);
}

function draw(version, bits, mask, isInverted) {
  const size = 17 + 4 * version;
  const code = Array.from({ length: size }, () => Array(size).fill(null)); // null: not drawn yet
  const put = (x, y, isDark) => {
    if (x >= 0 && y >= 0 && x < size && y < size) code[y][x] = Boolean(isDark);
  };
  const square = (x, y, radius, isDark) => {
    for (let dy = -radius; dy <= radius; dy += 1) {
      for (let dx = -radius; dx <= radius; dx += 1) put(x + dx, y + dy, isDark(Math.max(Math.abs(dx), Math.abs(dy))));
    }
  };
  for (let place = 0; place < size; place += 1) {
    put(place, 6, place % 2 === 0); // timing
    put(6, place, place % 2 === 0);
  }
  for (const [x, y] of [[3, 3], [size - 4, 3], [3, size - 4]]) {
    square(x, y, 4, (ring) => ring !== 2 && ring !== 4); // finders, and the light line round them
  }
  if (version > 1) square(size - 7, size - 7, 2, (ring) => ring !== 1); // alignment
  drawFormat(size, mask, put);
  const left = bits.values();
  for (let right = size - 1, isUp = true; right > 0; right -= 2, isUp = !isUp) {
    if (right === 6) right = 5; // the column of the timing has no data
    for (let step = 0; step < size; step += 1) {
      const y = isUp ? size - 1 - step : step;
      for (const x of [right, right - 1]) {
        if (code[y][x] === null) code[y][x] = Boolean((left.next().value ?? 0) ^ isInverted(x, y));
      }
    }
  }
  return code;
}

/** Level and mask, with their own error correction (BCH), twice. */
function drawFormat(size, mask, put) {
  const word = (LEVEL_L << 3) | mask;
  let rest = word << 10;
  for (let bit = 14; bit >= 10; bit -= 1) if ((rest >> bit) & 1) rest ^= 0x537 << (bit - 10);
  const format = ((word << 10) | rest) ^ 0x5412;
  const bit = (place) => (format >> place) & 1;
  for (let place = 0; place < 15; place += 1) {
    const along = place < 6 ? place : place < 8 ? place + 1 : place === 8 ? 7 : 14 - place;
    if (place < 8) put(8, along, bit(place));
    else put(along, 8, bit(place));
    if (place < 8) put(size - 1 - place, 8, bit(place));
    else put(8, size - 15 + place, bit(place));
  }
  put(8, size - 8, 1);
}

/** How hard the code is to read: long runs, blocks of one colour, and too much of one of them. */
function penalty(code) {
  const columns = code.map((_, x) => code.map((row) => row[x]));
  let sum = 0;
  for (const line of [...code, ...columns]) {
    const runs = line.map((dark) => (dark ? "1" : "0")).join("").match(/0+|1+/g);
    for (const run of runs) if (run.length >= 5) sum += run.length - 2;
  }
  for (let y = 1; y < code.length; y += 1) {
    for (let x = 1; x < code.length; x += 1) {
      const block = [code[y][x], code[y - 1][x], code[y][x - 1], code[y - 1][x - 1]];
      if (new Set(block).size === 1) sum += 3;
    }
  }
  const share = code.flat().filter(Boolean).length / code.length ** 2;
  return sum + 10 * Math.floor(Math.abs(share - 0.5) * 20);
}
