// The operations on a draft, and what each refuses: the twin of pcbench_widgets/builder/rules.py. Both are run against
// tests/widgets/ops.json. Python decides; here the answer comes before it, for the picture and for legal targets.

import { Draft, Refusal, childrenOf, fresh, inverse, labelOf, type Change, type DraftBlock, type Variables } from "./draft";
import { domainText, familyText, naturalDomain, same, type Distribution, type Domain } from "./families";

export type Args = Record<string, unknown>;
export interface Op {
  id: string;
  base_rev: number;
  kind: string;
  args: Args;
}

const MOST_NODES = 1 << 16;
const LONGEST_NAME = 80;

/** An operation at work: what it wants to write, kept apart from the draft until it is complete. */
class Edit {
  readonly after = new Map<number, DraftBlock | undefined>();
  variables?: Variables;
  roots?: readonly number[];
  constructor(readonly draft: Draft) {}

  block(id: unknown): DraftBlock {
    return (typeof id === "number" ? this.after.get(id) : undefined) ?? this.draft.get(id);
  }

  write(block: DraftBlock): void {
    this.after.set(block.id, block);
  }

  change(): Change {
    const { draft, variables, roots } = this;
    return {
      blocks: new Map([...this.after].map(([id, after]) => [id, [draft.blocks.get(id), after]])),
      variables: variables && [draft.variables, variables],
      roots: roots && [draft.roots, roots],
    };
  }
}

type Rule = (edit: Edit, args: Args) => void;

/** One operation, made as a whole; throws a `Refusal` and leaves the draft as it was. */
export function apply(draft: Draft, kind: string, args: Args): Change {
  const rule = OPS[kind];
  if (!rule) throw new Refusal(`there is no operation ${kind}`);
  const edit = new Edit(draft);
  rule(edit, args);
  return commit(draft, edit.change());
}

/** Whether an operation here knows what Python will make of it; a template is Python's alone. */
export const isLocal = (kind: string): boolean => kind in OPS;

/** Why a connection is illegal, or null; the draft is as before. */
export function whyNot(draft: Draft, parent: number, child: number): string | null {
  try {
    draft.put(inverse(apply(draft, "connect", { parent, child })));
    return null;
  } catch (error) {
    if (error instanceof Refusal) return error.reason;
    throw error;
  }
}

/** Makes a change with what it entails: sums over resized children start afresh; products must stay decomposable. */
function commit(draft: Draft, change: Change): Change {
  const blocks = new Map(change.blocks);
  let resized = draft.put(change);
  for (;;) {
    const stale = staleSums(draft, resized);
    if (!stale.length) break;
    const follow: Change = { blocks: new Map(stale.map((block) => [block.id, [block, fresh(block)]])) };
    resized = draft.put(follow);
    for (const [id, [before, after]] of follow.blocks) blocks.set(id, [blocks.has(id) ? blocks.get(id)![0] : before, after]);
  }
  const whole = { ...change, blocks };
  const refusal = undecomposable(draft, whole);
  if (refusal) {
    draft.put(inverse(whole));
    throw refusal;
  }
  return whole;
}

function staleSums(draft: Draft, resized: Set<number>): DraftBlock[] {
  const above = new Set([...resized].flatMap((id) => [...draft.parents.get(id)!]));
  return [...above].map((id) => draft.blocks.get(id)!).filter((b) => b.kind === "sum" && (b.given || b.sparse));
}

function undecomposable(draft: Draft, change: Change): Refusal | null {
  const changed = [...change.blocks].filter(([, [, after]]) => after).map(([id]) => id);
  for (const id of [...draft.ancestors(changed)].sort((a, b) => a - b)) {
    const block = draft.blocks.get(id)!;
    const shared = block.kind === "product" ? draft.overlap(block) : null;
    if (!shared) continue;
    const [first, second] = [labelOf(draft.get(shared[0])), labelOf(draft.get(shared[1]))];
    const text = `its children ${first} and ${second} both depend on ${draft.names(shared[2])}`;
    return new Refusal(`${labelOf(block)} would not be decomposable: ${text}`, id);
  }
  return null;
}

// ---- arguments
function units(args: Args, node: number | null = null): number {
  const nodes = args.nodes ?? 1;
  if (typeof nodes !== "number" || !Number.isInteger(nodes) || nodes < 1 || nodes > MOST_NODES)
    throw new Refusal(`nodes must be a whole number from 1 to ${MOST_NODES}, got ${String(nodes)}`, node);
  return nodes;
}

function nameOf(args: Args, node: number | null = null): string | undefined {
  const { name } = args;
  if (name === null || name === undefined) return undefined;
  if (typeof name !== "string" || !name.trim() || name.length > LONGEST_NAME)
    throw new Refusal(`a name must be a text of 1 to ${LONGEST_NAME} letters, got '${String(name)}'`, node);
  return name.trim();
}

function place(args: Args): { x?: number; y?: number } {
  const { x, y } = args;
  if ((x ?? null) === null && (y ?? null) === null) return {};
  if (!Number.isFinite(x) || !Number.isFinite(y))
    throw new Refusal(`a position is two finite numbers, got x=${String(x)}, y=${String(y)}`);
  return { x: x as number, y: y as number };
}

function newId(edit: Edit, args: Args): number {
  const { id } = args;
  if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id >= 2 ** 31)
    throw new Refusal(`a block's id must be a whole number from 0 to 2³¹−1, got ${String(id)}`);
  const taken = edit.draft.blocks.get(id);
  if (taken) throw new Refusal(`the id ${id} is taken by ${labelOf(taken)}`, id);
  return id;
}

// ---- making blocks
function model(edit: Edit, variable: unknown, family: Distribution, node: number | null, alone: boolean): string {
  if (typeof variable !== "string" || !variable.trim() || variable.length > LONGEST_NAME)
    throw new Refusal(`an input needs the name of its variable, 1 to ${LONGEST_NAME} letters, got '${String(variable)}'`, node);
  const name = variable.trim();
  const wanted = naturalDomain(family);
  if (!edit.draft.variables.has(name) || alone) edit.variables = new Map(edit.draft.variables).set(name, wanted ?? null);
  else if (wanted !== undefined && edit.draft.variables.get(name) !== wanted)
    throw new Refusal(`variable ${name}: ${mismatch(family, edit.draft.variables.get(name)!)}`, node);
  return name;
}

/** In the families' own words. */
function mismatch(family: Distribution, domain: Domain): string {
  const is = `but the domain is ${domainText(domain)}`;
  if (family.name === "bernoulli") return `Bernoulli covers the values 0 and 1, ${is}`;
  if (family.name === "gaussian") return `Gaussian models real values, ${is}`;
  return `${familyText(family)} covers values ${domainText(naturalDomain(family)!)}, ${is}`;
}

function addInput(edit: Edit, args: Args): void {
  const id = newId(edit, args);
  const distribution = args.distribution as Distribution;
  const variable = model(edit, args.variable, distribution, null, false);
  const nodes = units(args);
  edit.write(block({ id, kind: "input", name: nameOf(args), nodes, variable, distribution, ...place(args) }));
}

function addInner(edit: Edit, args: Args, kind: "product" | "sum"): void {
  const id = newId(edit, args);
  edit.write(block({ id, kind, name: nameOf(args), nodes: kind === "sum" ? units(args) : 1, ...place(args) }));
  for (const child of (args.children ?? []) as number[]) join(edit, edit.block(id), edit.block(child));
}

/** Without what stands at its default, as Python writes it. */
function block(full: DraftBlock): DraftBlock {
  const kept = Object.entries(full).filter(([key, value]) => {
    if (value === undefined || value === null) return false;
    return !(key === "nodes" && value === 1) && !(key === "children" && (value as number[]).length === 0);
  });
  return Object.fromEntries(kept) as unknown as DraftBlock;
}

// ---- edges
function join(edit: Edit, parent: DraftBlock, child: DraftBlock): void {
  const { draft } = edit;
  const known = draft.blocks.has(parent.id);
  const at = known ? parent.id : child.id;
  if (parent.kind === "input") throw new Refusal(`${labelOf(parent)} is an input: it has no children`, at);
  if (childrenOf(parent).includes(child.id))
    throw new Refusal(`${labelOf(child)} is already a child of ${labelOf(parent)}`, at);
  if (parent.id === child.id || (known && draft.ancestors([parent.id]).has(child.id)))
    throw new Refusal(`${labelOf(parent)} would become its own descendant: it is below ${labelOf(child)}`, at);
  if (parent.indexed !== undefined)
    throw new Refusal(`${labelOf(parent)} multiplies chosen nodes of its children; put a new product above it instead`, at);
  if (parent.kind === "sum") requireSmooth(draft, parent, child, at);
  edit.write({ ...fresh(parent), children: [...childrenOf(parent), child.id] });
}

/** A child whose scope may still grow is taken, and shows up among the problems until it fits. */
function requireSmooth(draft: Draft, parent: DraftBlock, child: DraftBlock, at: number): void {
  if (draft.open.has(child.id)) return;
  for (const id of childrenOf(parent)) {
    if (draft.open.has(id)) continue;
    const other = draft.get(id);
    for (const [lacks, has] of [[child, other], [other, child]]) {
      const lacking = draft.scope.get(has.id)! & ~draft.scope.get(lacks.id)!;
      if (!lacking) continue;
      const [names, lame] = [draft.names(lacking), labelOf(lacks)];
      const text = `${lame} does not depend on ${names}, which ${labelOf(has)} does; multiply ${lame} with inputs over ${names}`;
      throw new Refusal(`${labelOf(parent)} would not be smooth: ${text}`, at);
    }
  }
}

function disconnect(edit: Edit, args: Args): void {
  const [parent, child] = [edit.block(args.parent), edit.block(args.child)];
  if (!childrenOf(parent).includes(child.id))
    throw new Refusal(`${labelOf(child)} is no child of ${labelOf(parent)}`, parent.id);
  edit.write(without(parent, new Set([child.id])));
}

function without(parent: DraftBlock, gone: Set<number>): DraftBlock {
  const children = childrenOf(parent).filter((id) => !gone.has(id));
  return block({ ...fresh(parent), children, indexed: children.length ? parent.indexed : undefined });
}

function remove(edit: Edit, args: Args): void {
  const blocks = ((args.ids ?? []) as number[]).map((id) => edit.block(id));
  const gone = new Set(blocks.map((b) => b.id));
  if (!gone.size) throw new Refusal("nothing was chosen to remove");
  for (const id of gone)
    for (const parent of edit.draft.parents.get(id)!)
      if (!gone.has(parent)) edit.write(without(edit.block(parent), gone));
  for (const id of gone) edit.after.set(id, undefined);
  if (edit.draft.roots.some((id) => gone.has(id))) edit.roots = edit.draft.roots.filter((id) => !gone.has(id));
  dropVariables(edit, new Set(blocks.filter((b) => b.kind === "input").map((b) => b.variable!)));
}

/** A variable goes with its last input. */
function dropVariables(edit: Edit, candidates: Set<string>): void {
  if (!candidates.size) return;
  const used = new Set<string | undefined>();
  for (const [id, known] of edit.draft.blocks) if (!edit.after.has(id)) used.add(known.variable);
  for (const after of edit.after.values()) used.add(after?.variable);
  const variables = edit.variables ?? edit.draft.variables;
  const kept = [...variables].filter(([name]) => !candidates.has(name) || used.has(name));
  if (kept.length < variables.size) edit.variables = new Map(kept);
}

// ---- a block's own
function rename(edit: Edit, args: Args): void {
  const known = edit.block(args.id);
  edit.write(block({ ...known, name: nameOf(args, known.id) }));
}

function setUnits(edit: Edit, args: Args): void {
  const known = edit.block(args.id);
  if (known.kind === "product")
    throw new Refusal(`${labelOf(known)} is a product: it has as many nodes as its children`, known.id);
  const nodes = units(args, known.id);
  if (nodes !== (known.nodes ?? 1)) edit.write(block({ ...fresh(known), nodes }));
}

function setDistribution(edit: Edit, args: Args): void {
  const known = edit.block(args.id);
  if (known.kind !== "input")
    throw new Refusal(`${labelOf(known)} is a ${known.kind}: only inputs have a distribution`, known.id);
  const family = args.distribution as Distribution;
  const wanted = (args.variable as string | undefined) ?? known.variable!;
  const others = [...edit.draft.blocks.values()].some((b) => b.variable === wanted && b.id !== known.id);
  const suits = naturalDomain(family) === edit.draft.variables.get(known.variable!);
  const alone = wanted === known.variable && !others && !suits;
  const variable = model(edit, wanted, family, known.id, alone);
  const kept = same(family, known.distribution!) ? known : fresh(known);
  edit.write({ ...kept, distribution: family, variable });
  if (variable !== known.variable) dropVariables(edit, new Set([known.variable!]));
}

/** Values stay in Python; here it is only known whether there are some. Blocks that share them follow with the answer. */
function setWeights(edit: Edit, args: Args): void {
  const known = edit.block(args.id);
  if (known.kind === "product" || (known.kind === "sum" && !childrenOf(known).length))
    throw new Refusal(`${labelOf(known)} has no parameters`, known.id);
  const { given: _given, ...rest } = known;
  edit.write((args.values ?? null) === null ? rest : { ...rest, given: true });
}

function move(edit: Edit, args: Args): void {
  const moves = (args.moves ?? []) as [number, number, number][];
  if (!moves.length) throw new Refusal("nothing was chosen to move");
  for (const [id, x, y] of moves) edit.write({ ...edit.block(id), ...place({ x, y }) });
}

function setRoot(edit: Edit, args: Args): void {
  const roots = ((args.ids ?? []) as number[]).map((id) => edit.block(id).id);
  if (new Set(roots).size !== roots.length) throw new Refusal("the same root is listed more than once", roots[0]);
  edit.roots = roots;
}

function group(edit: Edit, args: Args): void {
  const name = nameOf(args);
  const blocks = ((args.ids ?? []) as number[]).map((id) => edit.block(id));
  if (!blocks.length) throw new Refusal("nothing was chosen to group");
  for (const known of blocks) edit.write(block({ ...known, group: name }));
}

const OPS: Record<string, Rule> = {
  add_input: addInput,
  add_product: (edit, args) => addInner(edit, args, "product"),
  add_sum: (edit, args) => addInner(edit, args, "sum"),
  connect: (edit, args) => join(edit, edit.block(args.parent), edit.block(args.child)),
  disconnect,
  remove,
  rename,
  set_units: setUnits,
  set_distribution: setDistribution,
  set_weights: setWeights,
  move,
  set_root: setRoot,
  group,
};
