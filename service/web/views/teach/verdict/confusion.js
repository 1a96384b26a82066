// Which classes are taken for which: as a picture, and as tables.

import { element, svg } from "../../../page.js";
import { percent } from "../../../parts/percent.js";

const CELL = 44;
const [LEFT, TOP, RIGHT] = [110, 84, 62]; // room for names
const MOST_DRAWN = 20; // classes; more are too small to see
const LARGEST = 1.2; // pixels to a unit
const NAME_CHARS = 14;
const FAINT = 0.08; // a cell with one photo is seen

/** The picture; null if there are too many classes, or several labels to a photo. */
export function confusionPicture({ kind, classes, confusion }) {
  if (kind !== "single" || classes.length > MOST_DRAWN) return null;
  const [width, height] = [LEFT + classes.length * CELL + RIGHT, TOP + classes.length * CELL];
  const drawing = svg("svg", { class: "matrix", viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": words(classes, confusion) });
  drawing.style.maxWidth = `${width * LARGEST}px`;
  drawing.append(text("shown ↓ answered →", { class: "axis", x: 0, y: 14 }));
  confusion.forEach((counts, row) => {
    const most = Math.max(1, counts.reduce((sum, count) => sum + count, 0));
    drawing.append(text(short(classes[row]), { x: LEFT - 8, y: middle(TOP, row), "text-anchor": "end" }));
    counts.forEach((count, column) => {
      const place = { x: LEFT + column * CELL + 1, y: TOP + row * CELL + 1, width: CELL - 2, height: CELL - 2, rx: 5 };
      drawing.append(svg("rect", { ...place, class: "cell" }));
      if (count === 0) return;
      const box = svg("rect", { ...place, class: row === column ? "right" : "wrong", opacity: FAINT + (0.5 * count) / most });
      const title = svg("title", {});
      title.textContent = `${classes[row]}, answered as ${classes[column]}: ${count}`;
      box.append(title);
      drawing.append(box, text(String(count), { x: LEFT + (column + 0.5) * CELL, y: middle(TOP, row), "text-anchor": "middle" }));
    });
  });
  classes.forEach((name, column) => {
    const [x, y] = [LEFT + (column + 0.5) * CELL, TOP - 8];
    drawing.append(text(short(name), { x, y, transform: `rotate(-40 ${x} ${y})` }));
  });
  return drawing;
}

/** The same numbers, and those of each class. */
export function confusionTables(verdict) {
  const { kind, classes, confusion, per_class: each } = verdict;
  const one = kind === "single"
    ? table("Photos by what they show (rows) and what was answered (columns)", ["", ...classes], classes.map((name, row) => [name, ...confusion[row]]), true)
    : table("Photos of each class", ["", "right, present", "missed", "wrongly present", "right, absent"], classes.map((name, row) => [name, ...confusion[row]]));
  const rows = each.map(({ name, photos, right, held_out: held, recall, precision }) => [
    ...[name, photos, `${right} of ${held}`, share(recall), share(precision)],
  ]);
  const heads = ["", "photos", "right", "of those shown", "of those answered"];
  return [one, table("Each class: right answers among the photos that show it, and among those answered with it", heads, rows)];
}

function table(caption, heads, rows, isSquare = false) {
  const made = element("table", "numbers", element("caption", "", caption));
  const head = element("tr", "", ...heads.map((name) => cell("th", name, "col")));
  made.append(element("thead", "", head), element("tbody", "", ...rows.map((row, place) => line(row, isSquare ? place + 1 : -1))));
  return made;
}

function line([name, ...values], right) {
  const cells = values.map((value) => cell("td", String(value)));
  cells[right - 1]?.classList.add("right");
  return element("tr", "", cell("th", name, "row"), ...cells);
}

function cell(kind, content, scope) {
  const made = element(kind, "", content);
  if (scope) made.scope = scope;
  return made;
}

/** What stands off the diagonal, the most frequent first. */
function words(classes, confusion) {
  const wrong = confusion.flatMap((counts, row) => counts.map((count, column) => ({ row, column, count })));
  const found = wrong.filter(({ row, column, count }) => row !== column && count > 0).sort((one, other) => other.count - one.count);
  if (found.length === 0) return "No class is taken for another";
  return found.slice(0, 10).map(({ row, column, count }) => `${classes[row]} answered as ${classes[column]}: ${count}`).join("; ");
}

function share(value) {
  return value === null ? "–" : percent(value);
}

function short(name, most = NAME_CHARS) {
  return name.length > most ? `${name.slice(0, most - 1)}…` : name;
}

function middle(start, place) {
  return start + (place + 0.5) * CELL + 5;
}

function text(content, attributes) {
  const made = svg("text", attributes);
  made.textContent = content;
  return made;
}
