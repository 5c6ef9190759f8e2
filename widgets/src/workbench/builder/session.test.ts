import { describe, expect, it } from "vitest";
import type { DraftBlock } from "./draft";
import { Draft, Refusal, childrenOf } from "./draft";
import { apply, type Args, type Op } from "./rules";
import { Session, type State, type WireChange } from "./session";

const bernoulli = { name: "bernoulli" };

/** A Python in miniature: confirms or refuses what it is sent, in order, as builder/part.py does. */
class Server {
  draft = new Draft();
  rev = 0;
  refusals = new Map<string, number>();

  edit(kind: string, args: Args, op: string | null = null): WireChange {
    const change = apply(this.draft, kind, args);
    const blocks = [...change.blocks].map(([id, [, after]]): [number, DraftBlock | null] => [id, after ?? null]);
    return {
      rev: ++this.rev,
      op,
      blocks,
      variables: change.variables && [...change.variables[1]],
      roots: change.roots && [...change.roots[1]],
    };
  }

  /** Handles what was sent with so many known refusals. */
  handle(session: Session, op: Op, refusals: number): Op[] {
    if (refusals < (this.refusals.get(session.client) ?? 0)) return [];
    try {
      session.confirm(this.edit(op.kind, op.args, op.id));
      return [];
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      this.refusals.set(session.client, (this.refusals.get(session.client) ?? 0) + 1);
      const taken = op.kind.startsWith("add_") && this.draft.blocks.has(op.args.id as number);
      return session.refuse(op.id, error, taken, true).resend;
    }
  }
}

function plain(draft: Draft): State {
  const blocks = [...draft.blocks.values()].sort((a, b) => a.id - b.id);
  return { variables: [...draft.variables], blocks, roots: [...draft.roots] };
}

function start(): { server: Server; session: Session } {
  const server = new Server();
  server.edit("add_input", { id: 0, variable: "a", distribution: bernoulli });
  server.edit("add_input", { id: 1, variable: "b", distribution: bernoulli });
  const session = new Session("me");
  session.load(server.rev, plain(server.draft));
  return { server, session };
}

describe("an edit of ours", () => {
  it("is here at once, and stays when Python confirms it", () => {
    const { server, session } = start();
    const op = session.propose("add_product", { id: session.freeId(), children: [0, 1] });
    expect(session.draft.get(2).children).toEqual([0, 1]);
    expect(session.pending).toHaveLength(1);
    server.handle(session, op, 0);
    expect(session.pending).toHaveLength(0);
    expect(plain(session.draft)).toEqual(plain(server.draft));
  });

  it("is not sent where the rules refuse it", () => {
    const { session } = start();
    session.propose("add_product", { id: 2, children: [0] });
    expect(() => session.propose("connect", { parent: 2, child: 2 })).toThrow(Refusal);
    expect(session.pending).toHaveLength(1);
  });

  it("goes on top of what somebody else did meanwhile", () => {
    const { server, session } = start();
    const op = session.propose("move", { moves: [[0, 5, 5]] });
    session.confirm(server.edit("add_sum", { id: 9, children: [0] }));
    expect(session.draft.get(0)).toMatchObject({ x: 5, y: 5 });
    expect(session.draft.get(9).children).toEqual([0]);
    server.handle(session, op, 0);
    expect(plain(session.draft)).toEqual(plain(server.draft));
  });

  it("is taken back with its reason when Python refuses it", () => {
    const { server, session } = start();
    const before = plain(session.draft);
    const op = session.propose("set_units", { id: 0, nodes: 3 });
    session.refuse(op.id, { reason: "no", node: 0 }, false, true);
    expect(plain(session.draft)).toEqual(before);
    expect(plain(server.draft)).toEqual(before);
  });
});

it("sends again, under a free id, what collides with an edit from Python", () => {
  const { server, session } = start();
  const id = session.freeId();
  const ops = [
    session.propose("add_product", { id, children: [0] }),
    session.propose("connect", { parent: id, child: 1 }),
    session.propose("add_sum", { id: session.freeId(), children: [id] }),
  ];
  const foreign = server.edit("add_sum", { id, children: [0] }); // not yet seen here
  session.confirm(foreign);
  let queue = ops.map((op): [Op, number] => [op, 0]);
  while (queue.length) {
    const [op, refusals] = queue.shift()!;
    queue.push(...server.handle(session, op, refusals).map((again): [Op, number] => [again, session.refusals]));
  }
  expect(session.pending).toHaveLength(0);
  expect(plain(session.draft)).toEqual(plain(server.draft));
  const product = [...server.draft.blocks.values()].find((block) => block.kind === "product")!;
  expect(childrenOf(product)).toEqual([0, 1]);
  expect(server.draft.get(id).kind).toBe("sum");
  expect([...server.draft.blocks.values()].filter((block) => childrenOf(block).includes(product.id))).toHaveLength(1);
});

it("drops what was built on a refused edit, and says so", () => {
  const { session } = start();
  const add = session.propose("add_product", { id: 7, children: [0] });
  session.propose("connect", { parent: 7, child: 1 });
  const kept = session.propose("rename", { id: 1, name: "kept" });
  const { resend, lost } = session.refuse(add.id, { reason: "first", node: null }, false, true);
  expect(lost.map((each) => each.reason)).toEqual(["first", "there is no block 7"]);
  expect(resend.map((op) => op.kind)).toEqual(["rename"]);
  expect(resend[0].id).not.toBe(kept.id);
  expect(session.pending).toHaveLength(1);
});

it("notices a missing change, and ignores one that the document held already", () => {
  const { server, session } = start();
  const lost = server.edit("rename", { id: 0, name: "lost" });
  const next = server.edit("rename", { id: 1, name: "next" });
  expect(session.confirm(next)).toBe(false);
  session.load(server.rev, plain(server.draft));
  expect(session.confirm(lost)).toBe(true);
  expect(plain(session.draft)).toEqual(plain(server.draft));
});

it("keeps pending edits over a reconnection, and forgets those that Python had", () => {
  const { server, session } = start();
  const arrived = session.propose("add_product", { id: 2, children: [0, 1] });
  const waiting = session.propose("add_sum", { id: 3, children: [2] });
  server.edit(arrived.kind, arrived.args, arrived.id); // the answer was lost with the connection
  expect(session.load(server.rev, plain(server.draft)).map((op) => op.id)).toEqual([arrived.id, waiting.id]);
  session.done(arrived.id);
  expect(session.draft.get(2).children).toEqual([0, 1]);
  server.handle(session, waiting, 0);
  expect(plain(session.draft)).toEqual(plain(server.draft));
});

it("stays equal to Python through random edits from both sides", () => {
  let seed = 7;
  const random = (n: number) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  const { server, session } = start();
  let queue: [Op, number][] = [];
  for (let step = 0; step < 400; step++) {
    const ids = [...session.draft.blocks.keys()];
    const pick = () => ids[random(ids.length)];
    const edits: [string, Args][] = [
      ["add_input", { id: session.freeId(), variable: `v${random(6)}`, distribution: bernoulli, nodes: 1 + random(2) }],
      ["add_product", { id: session.freeId(), children: [pick()] }],
      ["add_sum", { id: session.freeId(), children: [pick()] }],
      ["connect", { parent: pick(), child: pick() }],
      ["disconnect", { parent: pick(), child: pick() }],
      ["set_units", { id: pick(), nodes: 1 + random(3) }],
      ["move", { moves: [[pick(), step, -step]] }],
      ...(ids.length > 6 ? [["remove", { ids: [pick()] }] as [string, Args]] : []),
    ];
    const [kind, args] = edits[random(edits.length)];
    try {
      if (random(3)) queue.push([session.propose(kind, args), session.refusals]);
      else {
        const foreign = server.edit(kind, args);
        expect(session.confirm(foreign)).toBe(true);
      }
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
    }
    if (random(4) === 0)
      while (queue.length) {
        const [op, refusals] = queue.shift()!;
        queue = [...queue, ...server.handle(session, op, refusals).map((again): [Op, number] => [again, session.refusals])];
      }
  }
  while (queue.length) {
    const [op, refusals] = queue.shift()!;
    queue = [...queue, ...server.handle(session, op, refusals).map((again): [Op, number] => [again, session.refusals])];
  }
  expect(session.pending).toHaveLength(0);
  expect(plain(session.draft)).toEqual(plain(server.draft));
  expect(session.draft.blocks.size).toBeGreaterThan(6);
});
