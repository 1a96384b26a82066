// The photos of a dataset that have no label, those first whose labels would help the most.

import { listPhotos } from "../../../calls/teach.js";

const MOST_RANKED = 40;
const MOST_MIXED = 200;

/**
 * The most useful ones by the last run, then those that it did not see, mixed.
 *
 * @param call (use) => Promise; gives an access token to `use`, throws a Problem.
 * @param isRanked whether there was a run.
 */
export async function openPhotos(call, dataset, isRanked) {
  const list = (order, limit) => call((token) => listPhotos(token, dataset, { labelled: false, order, limit }));
  const useful = isRanked ? await list("useful", MOST_RANKED).catch(noneWithoutRun) : noneWithoutRun();
  if (useful.photos.length >= Math.min(MOST_RANKED, useful.total)) return useful.photos;
  const known = new Set(useful.photos.map(({ id }) => id));
  const { photos } = await list("newest", MOST_MIXED);
  return [...useful.photos, ...mixed(photos.filter(({ id }) => !known.has(id)))];
}

/** No photo is ranked; throws problems that have another reason. */
function noneWithoutRun(problem = null) {
  if (problem && problem.status !== 409) throw problem;
  return { photos: [], total: Infinity };
}

/** In random order: files of a folder come sorted, and every class is to come soon. */
function mixed(photos) {
  return photos.map((photo) => [Math.random(), photo]).sort(([one], [other]) => one - other).map(([, photo]) => photo);
}
