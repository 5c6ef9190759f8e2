// Edits on their way: applied here at once, confirmed or refused by Python, and put on top of what others did meanwhile.
// The draft is always « what Python confirmed, and then our pending operations ». Knows nothing of React or Jupyter.

import { Draft, Refusal, inverse, type Change, type DraftBlock, type Pair, type Variables } from "./draft";
import { apply, isLocal, type Args, type Op } from "./rules";

export interface State {
  variables: [string, number | null][];
  blocks: DraftBlock[];
  roots: number[];
}

/** A change as Python sends it: only what is afterwards. */
export interface WireChange {
  rev: number;
  op: string | null;
  blocks: [number, DraftBlock | null][];
  variables?: [string, number | null][];
  roots?: number[];
}

interface Pending {
  op: Op;
  /** What it did here; null where Python must answer first, or where it did not fit on what came in between. */
  change: Change | null;
}

export interface Refused {
  reason: string;
  node: number | null;
}

const LARGEST = 2 ** 31;

export class Session {
  draft = new Draft();
  rev = -1;
  pending: Pending[] = [];
  /** How many refusals of ours Python has told us: it drops what we sent before we knew. */
  refusals = 0;
  private count = 0;
  private next = 0;

  constructor(readonly client: string) {}

  /** The whole document. What is still pending goes on top, and is to be sent again: Python knows what it had already. */
  load(rev: number, state: State): Op[] {
    this.draft = new Draft();
    this.rev = rev;
    this.next = 0;
    const blocks = new Map<number, Pair>(state.blocks.map((block) => [block.id, [undefined, block]]));
    const change: Change = { blocks, variables: [new Map(), new Map(state.variables)] };
    if (state.roots.length) change.roots = [[], state.roots];
    this.draft.put(change);
    for (const entry of this.pending) entry.change = this.attempt(entry.op);
    return this.pending.map((entry) => entry.op);
  }

  /** An edit of ours; throws a `Refusal` where it is illegal. The result is to be sent. */
  propose(kind: string, args: Args): Op {
    const change = isLocal(kind) ? apply(this.draft, kind, args) : null;
    const op = this.issue(kind, args);
    this.pending.push({ op, change });
    return op;
  }

  /** A change of anybody's. False where one before it is missing: ask for the whole document. */
  confirm(wire: WireChange): boolean {
    if (wire.rev <= this.rev) return true; // part of a document that came meanwhile
    if (wire.rev !== this.rev + 1) return false;
    this.rollBack();
    if (wire.op !== null) this.pending = this.pending.filter((entry) => entry.op.id !== wire.op);
    const { draft } = this;
    const blocks = new Map<number, Pair>(wire.blocks.map(([id, after]) => [id, [draft.blocks.get(id), after ?? undefined]]));
    const variables: [Variables, Variables] | undefined = wire.variables && [draft.variables, new Map(wire.variables)];
    draft.put({ blocks, variables, roots: wire.roots && [draft.roots, wire.roots] });
    this.rev = wire.rev;
    for (const entry of this.pending) entry.change = this.attempt(entry.op);
    return true;
  }

  /** Python had this one already. */
  done(id: string): void {
    this.rollBack();
    this.pending = this.pending.filter((entry) => entry.op.id !== id);
    for (const entry of this.pending) entry.change = this.attempt(entry.op);
  }

  /**
   * Python refused an operation, and with it (`counted`) all that came after it. Those are sent anew, where they still
   * fit; an id that somebody else took meanwhile is replaced by a free one, and then nothing is lost at all.
   */
  refuse(id: string, refused: Refused, taken: boolean, counted: boolean): { resend: Op[]; lost: Refused[] } {
    if (counted) this.refusals++;
    const at = this.pending.findIndex((entry) => entry.op.id === id);
    if (at < 0) return { resend: [], lost: [] };
    this.rollBack();
    if (!counted) {
      this.pending.splice(at, 1);
      for (const entry of this.pending) entry.change = this.attempt(entry.op);
      return { resend: [], lost: [refused] };
    }
    const before = this.pending.slice(0, at);
    for (const entry of before) entry.change = this.attempt(entry.op);
    const again = this.pending.slice(taken ? at : at + 1);
    const waiting = again.filter((entry) => !isLocal(entry.op.kind)); // their answer comes in any case
    this.pending = [...before, ...waiting];
    const lost = taken ? [] : [refused];
    const renamed = new Map<number, number>();
    if (taken) renamed.set(this.pendingId(again[0].op), this.freeId());
    const resend: Op[] = [];
    for (const { op } of again)
      try {
        if (isLocal(op.kind)) resend.push(this.propose(op.kind, withIds(op.args, renamed)));
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        lost.push({ reason: error.reason, node: error.node });
      }
    return { resend, lost };
  }

  freeId(): number {
    while (this.draft.blocks.has(this.next)) this.next++;
    if (this.next >= LARGEST) throw new Error("no block id is left");
    return this.next++;
  }

  private issue(kind: string, args: Args): Op {
    return { id: `${this.client}-${++this.count}`, base_rev: this.rev, kind, args };
  }

  private pendingId(op: Op): number {
    return op.args.id as number;
  }

  private rollBack(): void {
    for (const { change } of [...this.pending].reverse()) if (change) this.draft.put(inverse(change));
  }

  private attempt(op: Op): Change | null {
    if (!isLocal(op.kind)) return null;
    try {
      return apply(this.draft, op.kind, op.args);
    } catch (error) {
      if (error instanceof Refusal) return null; // Python will refuse it too, and say so
      throw error;
    }
  }
}

/** Arguments with block ids replaced, wherever an operation names a block. */
export function withIds(args: Args, renamed: ReadonlyMap<number, number>): Args {
  const one = (id: unknown) => renamed.get(id as number) ?? id;
  const out: Args = { ...args };
  for (const key of ["id", "parent", "child"]) if (key in out) out[key] = one(out[key]);
  for (const key of ["ids", "children"]) if (key in out) out[key] = (out[key] as unknown[]).map(one);
  if ("moves" in out) out.moves = (out.moves as unknown[][]).map(([id, x, y]) => [one(id), x, y]);
  return out;
}
