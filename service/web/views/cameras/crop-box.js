// The box on a camera's picture, drawn by mouse or finger, moved and resized by arrow keys too.

const STEP = 0.01; // of the picture, a key press
const LEAST = 0.05; // width and height
const WHOLE = { x: 0, y: 0, width: 1, height: 1 };
const MOVES = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };

export class CropBox {
  #place;
  #box;
  #onChange;
  #crop = WHOLE;
  #drag = null;

  /**
   * @param place the element with the picture, which the box lies over.
   * @param box the box, with its four corners (`data-corner`: "nw", "ne", "sw", "se").
   * @param onChange called when a person changed it.
   */
  constructor(place, box, onChange) {
    this.#place = place;
    this.#box = box;
    this.#onChange = onChange;
    place.addEventListener("pointerdown", (event) => this.#begin(event));
    place.addEventListener("pointermove", (event) => this.#follow(event));
    for (const end of ["pointerup", "pointercancel"]) place.addEventListener(end, () => (this.#drag = null));
    box.addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** `{ x, y, width, height }` in fractions of the picture. */
  get crop() {
    return this.#crop;
  }

  get isWhole() {
    return this.#crop.width === 1 && this.#crop.height === 1;
  }

  /** @param crop null for the whole picture. */
  show(crop) {
    this.#crop = tidy(crop ?? WHOLE);
    const { x, y, width, height } = this.#crop;
    const parts = { left: x, top: y, width, height };
    for (const [side, part] of Object.entries(parts)) this.#box.style[side] = `${part * 100}%`;
    this.#box.classList.toggle("whole", this.isWhole);
    this.#box.setAttribute("aria-label", `Part that is classified: ${this.#words()}`);
  }

  #words() {
    if (this.isWhole) return "the whole picture";
    const [x, y, width, height] = Object.values(this.#crop).map((part) => `${Math.round(part * 100)} %`);
    return `${x} from the left, ${y} from the top, ${width} wide, ${height} high`;
  }

  #change(crop) {
    this.show(crop);
    this.#onChange(this.#words());
  }

  /** A corner resizes the box, its inside moves it; elsewhere a new one is drawn. */
  #begin(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.#box.focus();
    this.#place.setPointerCapture(event.pointerId);
    const at = this.#point(event);
    const { x, y, width, height } = this.#crop;
    const corner = event.target.dataset.corner;
    if (corner) {
      const fixed = [corner.includes("w") ? x + width : x, corner.includes("n") ? y + height : y];
      this.#drag = (to) => spanned(fixed, to);
    } else if (event.target === this.#box && !this.isWhole) {
      this.#drag = (to) => moved({ x, y, width, height }, to[0] - at[0], to[1] - at[1]);
    } else {
      this.#drag = (to) => spanned(at, to);
    }
  }

  #follow(event) {
    if (this.#drag) this.#change(this.#drag(this.#point(event)));
  }

  #onKey(event) {
    const move = MOVES[event.key];
    if (!move) return;
    event.preventDefault();
    const [across, down] = move;
    this.#change(event.shiftKey ? grown(this.#crop, across, down) : moved(this.#crop, across, down));
  }

  /** Where a pointer is on the picture, in fractions of it. */
  #point({ clientX, clientY }) {
    const { left, top, width, height } = this.#place.getBoundingClientRect();
    return [within((clientX - left) / width, 0, 1), within((clientY - top) / height, 0, 1)];
  }
}

function moved({ x, y, width, height }, across, down) {
  return { x: within(x + across, 0, 1 - width), y: within(y + down, 0, 1 - height), width, height };
}

/** The right and the lower edge move; at the picture's edge, the left and the upper one. */
function grown({ x, y, width, height }, across, down) {
  const [wide, high] = [within(width + across, LEAST, 1), within(height + down, LEAST, 1)];
  return { x: Math.min(x, 1 - wide), y: Math.min(y, 1 - high), width: wide, height: high };
}

/** The box between two points, but no smaller than the least. */
function spanned([x1, y1], [x2, y2]) {
  const [width, height] = [Math.max(Math.abs(x1 - x2), LEAST), Math.max(Math.abs(y1 - y2), LEAST)];
  return { x: within(Math.min(x1, x2), 0, 1 - width), y: within(Math.min(y1, y2), 0, 1 - height), width, height };
}

/** To thousandths, and never beyond the picture. */
function tidy({ x, y, width, height }) {
  const [left, top] = [round(x), round(y)];
  return { x: left, y: top, width: round(Math.min(width, 1 - left)), height: round(Math.min(height, 1 - top)) };
}

function round(value) {
  return Math.round(value * 1000) / 1000;
}

function within(value, least, most) {
  return Math.min(Math.max(value, least), most);
}
