// The classes of a model as a tree of groups and labels, and the search in it. Independent of the DOM.

const collator = new Intl.Collator("en", { numeric: true, sensitivity: "base" });

/**
 * Builds the tree of a model as `GET /v1/models/{name}` describes it.
 *
 * A node is `{ name, key, groups, labels }`, both in alphabetical order; a leaf `{ name, key, others }`,
 * where each of `others` is `{ name, key }` too. Keys are for the search. The root has no name. Labels
 * that are never named are left out; a group that holds nothing else is a leaf itself, because it
 * can still be the answer.
 */
export function treeOf({ labels, groups, synonyms, unnamed }) {
  const wider = new Map(Object.entries(groups));
  const others = new Map(Object.entries(synonyms));
  const hidden = new Set(unnamed);
  const root = node("");
  const nodes = new Map();
  const holderOf = (name) => (wider.has(name) ? nodeOf(wider.get(name)) : root);
  const nodeOf = (name) => {
    if (!nodes.has(name)) {
      nodes.set(name, node(name));
      holderOf(name).groups.push(nodes.get(name));
    }
    return nodes.get(name);
  };
  for (const name of new Set(labels)) {
    const holder = holderOf(name);
    if (!hidden.has(name)) holder.labels.push(leaf(name, others.get(name)));
  }
  settle(root);
  return root;
}

/** How many labels there are below a node. */
export function size(node) {
  return node.groups.reduce((sum, group) => sum + size(group), node.labels.length);
}

/** How many groups there are below a node, at all levels. */
export function groupCount(node) {
  return node.groups.reduce((sum, group) => sum + 1 + groupCount(group), 0);
}

/** The words of a query, as keys are written. */
export function wordsOf(query) {
  return fold(query).split(/\s+/).filter(Boolean);
}

/** Whether a name holds every word, each anywhere: "cat egypt" finds "Egyptian cat". */
export function holds({ key }, words) {
  return words.every((word) => key.includes(word));
}

/** Without accents and capitals. */
function fold(text) {
  return text.normalize("NFD").replaceAll(/\p{Mn}/gu, "").toLowerCase();
}

function node(name) {
  return { name, key: fold(name), groups: [], labels: [] };
}

function leaf(name, others = []) {
  return { name, key: fold(name), others: others.map((other) => ({ name: other, key: fold(other) })) };
}

/** Puts everything in order; a group without anything in it becomes a leaf. */
function settle(node) {
  node.groups.forEach(settle);
  const isEmpty = (group) => group.groups.length + group.labels.length === 0;
  node.labels.push(...node.groups.filter(isEmpty).map(({ name }) => leaf(name)));
  node.groups = node.groups.filter((group) => !isEmpty(group));
  for (const list of [node.groups, node.labels]) {
    list.sort((one, other) => collator.compare(one.name, other.name));
  }
}
