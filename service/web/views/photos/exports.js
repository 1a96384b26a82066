// The results as files: CSV for spreadsheets, JSON for programs.

import { outcome, summaryOf } from "../../parts/answer.js";

const TOP = 5;
const FORMULA = /^([\t\r\n]|\s*[=+\-@\uff1d\uff0b\uff0d\uff20])/; // with the full-width forms
const HEADER = [
  ...["file", "outcome", "summary", "summary_score", "detail"],
  ...["model", "version", "format", "width", "height", "total_ms"],
];

/** RFC 4180, with a byte order mark: without it Excel takes UTF-8 for something else. */
export function toCsv(cards) {
  const header = [...HEADER];
  for (let place = 1; place <= TOP; place += 1) header.push(`label_${place}`, `score_${place}`);
  const rows = [header, ...cards.map(row)];
  return `\ufeff${rows.map((cells) => cells.map(cell).join(",")).join("\r\n")}\r\n`;
}

/** The answers of the API as they came, each with the name of its file and its summary. */
export function toJson(cards) {
  const entries = cards.map(({ file, result, problem, state }) => ({
    file: file.name,
    outcome: status({ result, state }),
    ...(state === "done" && { ...summaryOf(result), result }),
    ...(state === "failed" && {
      problem: { status: problem.status, code: problem.code, detail: problem.message },
    }),
  }));
  return `${JSON.stringify(entries, null, 2)}\n`;
}

/** Hands a file over as a download. */
export function save(name, text, type) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // browsers may read it a little later
}

function row({ file, result, problem, state }) {
  const start = [file.name, status({ result, state })];
  if (state !== "done") {
    const empty = Array(HEADER.length - 5 + 2 * TOP).fill("");
    return [...start, "", "", state === "failed" ? problem.message : "", ...empty];
  }
  const { summary, summary_score: score } = summaryOf(result);
  const { model, image, timing, predictions } = result;
  const top = Array.from({ length: TOP }, (_, place) => predictions[place]).flatMap((prediction) =>
    prediction ? [prediction.label, prediction.score] : ["", ""],
  );
  return [
    ...[...start, summary ?? "", score ?? "", "", model.name, model.version],
    ...[image.format, image.width, image.height, timing.total_ms, ...top],
  ];
}

function status({ result, state }) {
  return state === "done" ? outcome(result) : state;
}

/**
 * Text that a spreadsheet would take for a formula gets an apostrophe (OWASP, CSV injection), and
 * all text is quoted: some spreadsheets split at semicolons too.
 */
function cell(value) {
  if (typeof value === "number") return String(value);
  const text = FORMULA.test(value) ? `'${value}` : value;
  return text && `"${text.replaceAll('"', '""')}"`;
}
