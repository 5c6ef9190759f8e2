// What keeps a draft from being a circuit: the twin of `problems` in pcbench_widgets/builder/draft.py. Both are held to
// tests/widgets/ops.json; here the list follows every touch without a question to Python.

import { childrenOf, labelOf, type Draft, type DraftBlock } from "./draft";

export interface Problem {
  /** The block at which it is; null for the document. */
  id: number | null;
  text: string;
}

const MOST_NAMES = 6;

export function problems(draft: Draft): Problem[] {
  if (!draft.blocks.size) return [{ id: null, text: "The document is empty: add an input." }];
  const found: Problem[] = [];
  const below = draft.roots.length ? reachable(draft, draft.roots) : null;
  for (const block of draft.blocks.values()) {
    if (block.kind !== "input") for (const text of ofBlock(draft, block)) found.push({ id: block.id, text });
    if (below && !below.has(block.id))
      found.push({ id: block.id, text: `${labelOf(block)} is not below a root: connect it, make it a root, or remove it` });
  }
  const tops = draft.tops();
  if (!draft.roots.length && tops.length > 1) {
    const labels = tops.slice(0, MOST_NAMES).map((id) => labelOf(draft.get(id))).join(", ");
    const text = `${tops.length} blocks have no parent (${labels}${tops.length > MOST_NAMES ? ", …" : ""}): connect them, or choose the root`;
    found.push({ id: tops[tops.length - 1], text });
  }
  return found;
}

function* ofBlock(draft: Draft, block: DraftBlock): Generator<string> {
  const children = childrenOf(block);
  const label = labelOf(block);
  if (!children.length) yield `${label} has no children`;
  else if (block.kind === "product") {
    const shared = draft.overlap(block);
    if (shared) {
      const [first, second] = [labelOf(draft.get(shared[0])), labelOf(draft.get(shared[1]))];
      yield `${label} is not decomposable: its children ${first} and ${second} both depend on ${draft.names(shared[2])}`;
    }
    const sizes = children.map((child) => draft.nodes.get(child)!);
    if (block.indexed === undefined && new Set(sizes).size > 1)
      yield `${label} multiplies node by node, but its children have ${sizes.join(", ")} nodes`;
  } else
    for (const child of children) {
      const lacking = draft.scope.get(block.id)! & ~draft.scope.get(child)!;
      if (!lacking || draft.open.has(child)) continue;
      const [names, lame] = [draft.names(lacking), labelOf(draft.get(child))];
      yield `${label} is not smooth: its child ${lame} does not depend on ${names}, which other children do`;
    }
}

export function reachable(draft: Draft, tops: Iterable<number>): Set<number> {
  const found = new Set(tops);
  const stack = [...found];
  while (stack.length)
    for (const child of childrenOf(draft.get(stack.pop())))
      if (!found.has(child)) {
        found.add(child);
        stack.push(child);
      }
  return found;
}
