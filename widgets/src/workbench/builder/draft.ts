// A draft: blocks on their way to a circuit, and what follows from them. The twin of pcbench_widgets/builder/draft.py.

import type { Kind } from "../protocol";
import { parameters, type Distribution, type Domain } from "./families";

/** A block as it travels; what is absent stands at its default. */
export interface DraftBlock {
  readonly id: number;
  readonly kind: Kind;
  readonly name?: string;
  readonly children?: readonly number[];
  readonly nodes?: number;
  readonly variable?: string;
  readonly distribution?: Distribution;
  /** Nodes of a product that multiplies chosen nodes of its children. */
  readonly indexed?: number;
  readonly sparse?: { text: string; count: number };
  /** It has values of its own; without them they are random. */
  readonly given?: boolean;
  readonly x?: number;
  readonly y?: number;
  readonly group?: string;
}

export type Variables = ReadonlyMap<string, Domain>;
export type Pair = [before: DraftBlock | undefined, after: DraftBlock | undefined];

export interface Change {
  blocks: Map<number, Pair>;
  variables?: [Variables, Variables];
  roots?: [readonly number[], readonly number[]];
}

export function inverse(change: Change): Change {
  return {
    blocks: new Map([...change.blocks].map(([id, [before, after]]) => [id, [after, before]])),
    variables: change.variables && [change.variables[1], change.variables[0]],
    roots: change.roots && [change.roots[1], change.roots[0]],
  };
}

/** An edit that was not made: why, and the block at which to say so. */
export class Refusal extends Error {
  constructor(
    readonly reason: string,
    readonly node: number | null = null,
  ) {
    super(reason);
  }
}

const MOST_NAMES = 6;
const NONE: readonly number[] = [];

export const childrenOf = (block: DraftBlock): readonly number[] => block.children ?? NONE;
export const labelOf = (block: DraftBlock): string => block.name ?? `${block.kind}#${block.id}`;

/** The same block with dense edges and no values: what is left when its elements change. */
export function fresh(block: DraftBlock): DraftBlock {
  if (block.kind === "product") return block;
  const { sparse: _sparse, given: _given, ...rest } = block;
  return rest;
}

export class Draft {
  readonly blocks = new Map<number, DraftBlock>();
  variables: Variables = new Map();
  roots: readonly number[] = [];
  readonly parents = new Map<number, Set<number>>();
  /** Bit sets over `bits`. */
  readonly scope = new Map<number, bigint>();
  /** Blocks that, or below which some, wait for children: their scope may grow. */
  readonly open = new Set<number>();
  readonly nodes = new Map<number, number>();
  private readonly bits = new Map<string, bigint>();
  /** Variables by bit. */
  private named: string[] = [];

  get(id: unknown): DraftBlock {
    const block = typeof id === "number" ? this.blocks.get(id) : undefined;
    if (!block) throw new Refusal(`there is no block ${String(id)}`);
    return block;
  }

  /** Makes a change, without a question; gives the blocks whose number of nodes became another. */
  put(change: Change): Set<number> {
    if (change.variables) {
      this.variables = change.variables[1];
      for (const name of this.variables.keys()) this.bit(name); // chips come in the order of the columns
    }
    if (change.roots) this.roots = change.roots[1];
    for (const [id, [before, after]] of change.blocks) {
      if (before) for (const child of childrenOf(before)) this.parents.get(child)?.delete(id);
      if (after) {
        this.blocks.set(id, after);
        if (!this.parents.has(id)) this.parents.set(id, new Set());
      } else for (const table of [this.blocks, this.scope, this.open, this.nodes]) table.delete(id);
    }
    for (const [id, [, after]] of change.blocks)
      for (const child of after ? childrenOf(after) : NONE) {
        if (!this.parents.has(child)) this.parents.set(child, new Set());
        this.parents.get(child)!.add(id);
      }
    for (const [id, [, after]] of change.blocks) if (!after && !this.parents.get(id)?.size) this.parents.delete(id);
    return this.settle([...change.blocks].filter(([, [, after]]) => after).map(([id]) => id));
  }

  /** From the changed blocks upwards, children before parents. */
  private settle(changed: number[]): Set<number> {
    const affected = this.ancestors(changed);
    const waiting = new Map<number, number>();
    for (const id of affected) {
      let count = 0;
      for (const child of new Set(childrenOf(this.blocks.get(id)!))) if (affected.has(child)) count++;
      waiting.set(id, count);
    }
    const ready = [...affected].filter((id) => waiting.get(id) === 0);
    const resized = new Set<number>();
    while (ready.length) {
      const id = ready.pop()!;
      if (this.derive(this.blocks.get(id)!)) resized.add(id);
      for (const parent of this.parents.get(id)!) {
        waiting.set(parent, waiting.get(parent)! - 1);
        if (waiting.get(parent) === 0) ready.push(parent);
      }
    }
    return resized;
  }

  private derive(block: DraftBlock): boolean {
    const children = childrenOf(block);
    let scope = 0n;
    let open = false;
    let nodes = block.nodes ?? 1;
    if (block.kind === "input") scope = 1n << this.bit(block.variable ?? "");
    else {
      open = children.length === 0;
      for (const child of children) {
        scope |= this.scope.get(child)!;
        open ||= this.open.has(child);
      }
      if (block.kind === "product") nodes = block.indexed ?? (children.length ? this.nodes.get(children[0])! : 1);
    }
    const before = this.nodes.get(block.id);
    this.scope.set(block.id, scope);
    this.nodes.set(block.id, nodes);
    if (open) this.open.add(block.id);
    else this.open.delete(block.id);
    return before !== undefined && before !== nodes;
  }

  private bit(variable: string): bigint {
    if (!this.bits.has(variable)) this.bits.set(variable, BigInt(this.bits.size));
    return this.bits.get(variable)!;
  }

  ancestors(ids: Iterable<number>): Set<number> {
    const found = new Set(ids);
    const stack = [...found];
    while (stack.length)
      for (const parent of this.parents.get(stack.pop()!)!)
        if (!found.has(parent)) {
          found.add(parent);
          stack.push(parent);
        }
    return found;
  }

  elements(block: DraftBlock): number {
    return childrenOf(block).reduce((sum, child) => sum + this.nodes.get(child)!, 0);
  }

  parameterCount(block: DraftBlock): number {
    if (block.distribution) return (parameters(block.distribution) ?? 0) * (block.nodes ?? 1);
    return block.kind === "sum" ? (block.sparse?.count ?? (block.nodes ?? 1) * this.elements(block)) : 0;
  }

  /** The chosen roots; or, where none is chosen, the blocks without a parent. */
  tops(): readonly number[] {
    if (this.roots.length) return this.roots;
    return [...this.blocks.keys()].filter((id) => !this.parents.get(id)!.size).sort((a, b) => a - b);
  }

  members(scope: bigint): string[] {
    return [...this.variables.keys()].filter((name) => (scope >> this.bit(name)) & 1n);
  }

  /** The first few variables of a scope, and how many more there are; quick for thousands of variables too. */
  chips(scope: bigint, most: number): { names: string[]; more: number } {
    if (this.named.length !== this.bits.size) this.named = [...this.bits.keys()];
    const names: string[] = [];
    let rest = scope;
    for (; rest && names.length < most; rest &= rest - 1n) names.push(this.named[(rest & -rest).toString(2).length - 1]);
    let more = 0;
    for (const digit of rest.toString(16)) for (let d = parseInt(digit, 16); d; d &= d - 1) more++;
    return { names, more };
  }

  /** A scope for messages: at most six names. */
  names(scope: bigint): string {
    const members = this.members(scope);
    const cut = members.length > MOST_NAMES ? `, … ${members.length} in all` : "";
    return `{${members.slice(0, MOST_NAMES).join(", ")}${cut}}`;
  }

  /** Two children of a product and what they share. */
  overlap(block: DraftBlock): [number, number, bigint] | null {
    let seen = 0n;
    for (const child of childrenOf(block)) {
      const common = seen & this.scope.get(child)!;
      if (common) return [childrenOf(block).find((c) => this.scope.get(c)! & common)!, child, common];
      seen |= this.scope.get(child)!;
    }
    return null;
  }
}
