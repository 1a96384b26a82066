// How much a picture changed, as the server measures it: the mean absolute difference of two small grey copies.

const [WIDTH, HEIGHT] = [64, 48];

export class Motion {
  #canvas = document.createElement("canvas");
  #before = null;

  constructor() {
    [this.#canvas.width, this.#canvas.height] = [WIDTH, HEIGHT];
  }

  /** Takes the next picture's part; returns the motion in grey levels, null for the first one. */
  next(picture, { x, y, width, height }) {
    const context = this.#canvas.getContext("2d", { willReadFrequently: true });
    const [across, down] = [picture.width, picture.height];
    context.drawImage(picture, x * across, y * down, width * across, height * down, 0, 0, WIDTH, HEIGHT);
    const pixels = context.getImageData(0, 0, WIDTH, HEIGHT).data;
    const grey = new Float32Array(WIDTH * HEIGHT);
    for (let at = 0; at < grey.length; at++) {
      const [red, green, blue] = pixels.subarray(4 * at, 4 * at + 3);
      grey[at] = 0.299 * red + 0.587 * green + 0.114 * blue; // ITU-R BT.601, as Pillow's mode L
    }
    const before = this.#before;
    this.#before = grey;
    return before && grey.reduce((sum, value, at) => sum + Math.abs(value - before[at]), 0) / grey.length;
  }

  /** Forgets the picture: the next one is the first again. */
  reset() {
    this.#before = null;
  }
}
