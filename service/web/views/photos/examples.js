// Drawings for people who have no photo at hand, as the files that they would choose.

const NAMES = ["umbrella", "traffic-light", "balloon"];
const SIDE = 640;

/** Draws them as PNG files. */
export function exampleFiles() {
  return Promise.all(NAMES.map(draw));
}

async function draw(name) {
  const drawing = new Image(SIDE, SIDE);
  drawing.src = `static/examples/${name}.svg`;
  await drawing.decode();
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  canvas.getContext("2d").drawImage(drawing, 0, 0, SIDE, SIDE);
  const picture = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return new File([picture], `${name}.png`, { type: "image/png" });
}
