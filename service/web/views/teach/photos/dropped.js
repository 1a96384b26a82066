// Files that were dropped or chosen, with those in folders; a folder that is named as a class labels its photos.

const IMAGE = /\.(jpe?g|png|webp|gif|bmp|tiff?)$/i;

/** The files of a drop, as `{ file, folder }`; folders are read with those in them. */
export async function filesOf(transfer) {
  // At once: browsers empty the list when the event has been handled.
  const entries = Array.from(transfer.items, (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (entries.length === 0) return Array.from(transfer.files, (file) => ({ file, folder: "" }));
  const found = [];
  for (const entry of entries) await collect(entry, "", found);
  return found;
}

/** The files that an `<input>` has, as `{ file, folder }`. */
export function chosenFiles(input) {
  return Array.from(input.files, (file) => ({ file, folder: file.webkitRelativePath.split("/").at(-2) ?? "" }));
}

/**
 * The photos among files, each with its query.
 *
 * @param files `{ file, folder }` each.
 * @param classes names.
 */
export function photosAmong(files, classes) {
  const names = new Map(classes.map((name) => [keyOf(name), name]));
  const photos = files.filter(({ file }) => !file.name.startsWith(".") && (file.type.startsWith("image/") || IMAGE.test(file.name)));
  return photos.map(({ file, folder }) => {
    const label = names.get(keyOf(folder));
    return { file, query: label ? { label } : {} };
  });
}

/** What two names of a class share that differ in case or spaces alone, as in `schemas/teach/dataset.py`. */
function keyOf(name) {
  return name.normalize("NFKC").toLowerCase().replaceAll(/\s/g, "");
}

async function collect(entry, folder, found) {
  if (entry.isFile) {
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    if (file) found.push({ file, folder });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    // A part at a time, until one is empty (File and Directory Entries API).
    const part = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (part.length === 0) return;
    for (const one of part) await collect(one, entry.name, found);
  }
}
