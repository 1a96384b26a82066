// A text in the pieces that its tokens are, and the tokens with their numbers.
// Texts are not trusted: they are only inserted as text.

import { element } from "../../page.js";

const COLOURS = 6;
const MOST_SHOWN = 1000; // tokens in the list

/**
 * The text with a colour for each piece, in its own direction. What was cut is marked.
 *
 * @param prepared `{ text, offsets, truncated }`; offsets in code points, [0, 0] of special tokens.
 */
export function pieces(prepared) {
  const characters = [...prepared.text];
  const shown = element("p", "pieces");
  shown.dir = "auto";
  let at = 0;
  for (const { first, last, place } of spans(prepared.offsets)) {
    shown.append(characters.slice(at, first).join(""));
    shown.append(element("span", `piece piece-${place % COLOURS}`, characters.slice(first, last).join("")));
    at = last;
  }
  const rest = characters.slice(at).join("");
  if (rest && prepared.truncated) {
    const cut = element("del", "cut", rest);
    cut.title = "Cut: the model does not see it";
    shown.append(cut);
  } else {
    shown.append(rest);
  }
  return shown;
}

/** Each token with its number and its place, in the order of the model's input. */
export function tokenList(prepared) {
  const { ids, tokens, offsets, text } = prepared;
  const characters = [...text];
  const places = placesOf(offsets);
  const list = element("ol", "tokens");
  list.setAttribute("aria-label", "Tokens");
  ids.slice(0, MOST_SHOWN).forEach((id, place) => {
    const [first, last] = offsets[place];
    const isEmpty = last === first; // a special token, or a space that the tokenizer adds
    const said = isEmpty ? tokens[place] : characters.slice(first, last).join("");
    const name = element("bdi", isEmpty ? "special" : `piece piece-${places[place] % COLOURS}`, said);
    name.title = tokens[place];
    const where = isEmpty ? "–" : `${first}–${last}`;
    list.append(element("li", "", name, element("span", "id", String(id)), element("span", "where", where)));
  });
  if (ids.length > MOST_SHOWN) list.append(element("li", "more", `and ${ids.length - MOST_SHOWN} more`));
  return list;
}

/** The pieces: tokens that share characters (bytes of one emoji, say) are one piece. */
function spans(offsets) {
  const found = [];
  for (const [first, last] of offsets) {
    const before = found.at(-1);
    if (last === first) continue;
    if (before && first < before.last) before.last = Math.max(before.last, last);
    else found.push({ first, last, place: found.length });
  }
  return found;
}

/** For each token the number of its piece; -1 of special ones. */
function placesOf(offsets) {
  let [place, end] = [-1, 0];
  return offsets.map(([first, last]) => {
    if (last === first) return -1;
    if (place === -1 || first >= end) place += 1;
    end = Math.max(end, last);
    return place;
  });
}
