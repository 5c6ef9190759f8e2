import { beforeEach, describe, expect, it } from "vitest";
import type { Body } from "../part";
import { addAbove, addInput, connect, disconnect, duplicate, neighbour, nudge, reasonAgainst, tidy, toggleRegion, toggleRoot } from "./actions";
import { keyOf } from "../commands";
import { commandsOf } from "./commands";
import { probability, rebalanced } from "./numbers";
import { BuilderPart } from "./part";
import { placeOf, STEP } from "./places";
import { buildScene } from "./scene";

let sent: { body: Body; buffers: ArrayBuffer[] }[];
let part: BuilderPart;

const view = (data: ArrayBuffer | Uint8Array<ArrayBuffer>) => (data instanceof Uint8Array ? new DataView(data.buffer) : new DataView(data));
const bodies = (kind: string) => sent.map((message) => message.body).filter((body) => body.kind === kind);

function load(blocks: object[], variables: [string, number | null][], token = "t", rev = 0): void {
  const state = new TextEncoder().encode(JSON.stringify({ blocks, variables, roots: [] }));
  const head = { kind: "document", token, rev, undo: null, redo: null, families: [], templates: [], linked: false };
  part.receive(head, [view(state), view(new ArrayBuffer(0)), view(new ArrayBuffer(0))]);
}

/** Confirms the oldest pending operation, as Python would. */
function confirm(): void {
  const [{ op }] = part.session.pending;
  const blocks = [...(part.session.pending[0].change?.blocks ?? [])].map(([id, [, after]]) => [id, after ?? null]);
  const variables = part.session.pending[0].change?.variables?.[1];
  part.receive(
    { kind: "change", rev: part.session.rev + 1, op: op.id, blocks, undo: op.kind, redo: null, ...(variables ? { variables: [...variables] } : {}) },
    [],
  );
}

const leaf = (id: number, variable: string) => ({ id, kind: "input", variable, distribution: { name: "bernoulli" } });

beforeEach(() => {
  const mine: typeof sent = []; // timers of a part before must not write here
  sent = mine;
  part = new BuilderPart((body, buffers = []) => void mine.push({ body, buffers }), "me");
  load([leaf(0, "a"), leaf(1, "b")], [["a", 2], ["b", 2]]);
});

describe("the part", () => {
  it("places what has no place, and tells Python, once", () => {
    expect(bodies("placed")).toHaveLength(1);
    expect([...new Int32Array(sent.find((m) => m.body.kind === "placed")!.buffers[0])]).toEqual([0, 1]);
    part.select([0, 1]);
    addAbove(part, "product");
    expect(bodies("placed")).toHaveLength(1); // the new one carries its place
    const [x, y] = placeOf(part.draft.get(2), part.places)!;
    expect(y).toBe(placeOf(part.draft.get(0), part.places)![1] - STEP.y);
    expect(x).toBeGreaterThan(placeOf(part.draft.get(0), part.places)![0]);
  });

  it("counts what Python has not confirmed, and shows what it takes back", () => {
    part.edit("set_units", { id: 0, nodes: 3 });
    expect(part.state.pending).toBe(1);
    const [{ op }] = part.session.pending;
    part.receive({ kind: "nack", op: op.id, reason: "no", node: 0, taken: false, counted: true }, []);
    expect(part.state).toMatchObject({ pending: 0, notice: { reason: "no", node: 0 } });
    expect(part.draft.nodes.get(0)).toBe(1);
    part.edit("rename", { id: 0, name: "x" });
    expect(part.state.notice).toBeNull();
    confirm();
    expect(part.state).toMatchObject({ pending: 0, rev: 1, undo: "rename" });
  });

  it("does not send what is illegal, and says why at the block", () => {
    expect(part.edit("connect", { parent: 0, child: 1 })).toBe(false);
    expect(bodies("op")).toHaveLength(0);
    expect(part.state.notice).toMatchObject({ node: 0 });
  });

  it("asks for everything when a change is missing", () => {
    part.receive({ kind: "change", rev: 5, op: null, blocks: [], undo: null, redo: null }, []);
    expect(bodies("again")).toHaveLength(1);
  });

  it("says what it has, unless edits are under way", () => {
    expect(part.have()).toEqual({ token: "t", rev: 0 });
    part.edit("rename", { id: 0, name: "x" });
    expect(part.have()).toEqual({});
    load([leaf(0, "a"), leaf(1, "b")], [["a", 2], ["b", 2]]);
    expect(bodies("op")).toHaveLength(2); // the same one, sent again after a reconnection
    load([], [], "another document");
    expect(part.state).toMatchObject({ pending: 0, rev: 0 });
    expect(part.draft.blocks.size).toBe(0);
  });

  it("is a picture once the kernel is gone: nothing changes, no question waits, and the reason is said", async () => {
    const asked = part.ask("source");
    part.ended(true);
    expect(await asked).toMatchObject({ ok: false });
    expect(await part.ask("save", { path: "x" })).toMatchObject({ ok: false });
    sent.length = 0;
    expect(part.edit("rename", { id: 0, name: "x" })).toBe(false);
    part.undo();
    part.redo();
    expect(sent).toHaveLength(0);
    expect(part.draft.blocks.get(0)!.name).toBeUndefined();
    expect(part.state.notice!.reason).toContain("kernel is gone");
    part.ended(false);
    expect(part.edit("rename", { id: 0, name: "x" })).toBe(true);
  });

  it("knows which drawings can be restored, and whether its own is kept", () => {
    part.receive({ kind: "offers", offers: [{ id: "d", when: 1, blocks: 3 }] }, []);
    part.receive({ kind: "kept", state: "failed", text: "the disk is full" }, []);
    expect(part.state.offers).toEqual([{ id: "d", when: 1, blocks: 3 }]);
    expect(part.state.kept).toMatchObject({ state: "failed", text: "the disk is full" });
  });

  it("drops from the selection what is gone", () => {
    part.select([0], 1);
    part.receive({ kind: "change", rev: 1, op: null, blocks: [[1, null]], variables: [["a", 2]], undo: null, redo: null }, []);
    expect([...part.state.selection]).toEqual([0]);
    expect(part.state.focus).toBeNull();
  });

  it("marks blocks and walks on", () => {
    part.choose(0);
    part.toggle([0]);
    part.walkTo(1);
    expect([...part.state.selection].sort()).toEqual([0, 1]);
    part.toggle([0]);
    expect(part.state.selection.has(0)).toBe(false);
  });

  it("keeps a long piece of work in sight until it is done or given up", () => {
    part.edit("insert_template", { name: "hclt", options: {} });
    const [{ op }] = part.state.busy;
    part.edit("rename", { id: 0, name: "meanwhile" });
    part.cancel(op);
    expect(part.state.busy).toEqual([]);
    expect(bodies("cancel")).toEqual([{ kind: "cancel", op }]);
    part.receive({ kind: "nack", op, reason: "cancelled", node: null, taken: false, counted: false }, []);
    expect(part.state.notice).toBeNull();
    expect(part.state.pending).toBe(1);
  });

  it("asks one question at a time while a slider moves, and then the newest", async () => {
    part.observe("a", 1);
    await new Promise((resolve) => setTimeout(resolve, 160));
    const first = bodies("evaluate");
    expect(first).toHaveLength(1);
    for (const p of [0.1, 0.2, 0.3]) part.tryOut({ block: 0, values: [p] });
    part.receive({ kind: "evaluate", ask: first[0].ask, ok: true, rev: 0, roots: [], values: {}, random: true }, []);
    await new Promise((resolve) => setTimeout(resolve, 0));
    expect(bodies("evaluate").map((body) => body.preview)).toEqual([null, { block: 0, values: [0.3] }]);
  });
});

describe("actions", () => {
  it("name new variables by the first free number, and copy the family of the last leaf", () => {
    addInput(part);
    addInput(part);
    expect([part.draft.get(2).variable, part.draft.get(3).variable]).toEqual(["x1", "x2"]);
    expect(part.state.focus).toBe(3);
  });

  it("build, connect, disconnect, duplicate", () => {
    part.select([1, 0]);
    addAbove(part, "product");
    expect(part.draft.get(2).children).toEqual([0, 1]); // from left to right, however they were chosen
    addAbove(part, "sum");
    expect(part.draft.get(3).children).toEqual([2]);
    part.choose(2);
    duplicate(part);
    expect(part.draft.get(4).children).toEqual([0, 1]);
    const wire = { from: 4, wants: "parent" as const };
    expect(reasonAgainst(part, wire, 3)).toBeNull();
    expect(reasonAgainst(part, wire, 0)).toContain("it has no children");
    connect(part, wire, 3);
    expect(part.draft.get(3).children).toEqual([2, 4]);
    part.select([4, 3]);
    disconnect(part);
    expect(part.draft.get(3).children).toEqual([2]);
  });

  it("toggle roots and regions", () => {
    part.select([0]);
    toggleRoot(part);
    expect(part.draft.roots).toEqual([0]);
    toggleRoot(part);
    expect(part.draft.roots).toEqual([]);
    toggleRegion(part);
    expect(part.draft.get(0).group).toBe("region 1");
    part.select([1]);
    toggleRegion(part);
    expect(part.draft.get(1).group).toBe("region 2");
    toggleRegion(part);
    expect(part.draft.get(1).group).toBeUndefined();
  });

  it("move, and lay out anew in one step", () => {
    part.choose(0);
    const [x, y] = placeOf(part.draft.get(0), part.places)!;
    nudge(part, 16, -16);
    expect(placeOf(part.draft.get(0), part.places)).toEqual([Math.round(x + 16), Math.round(y - 16)]);
    const before = part.session.pending.length;
    tidy(part);
    expect(part.session.pending).toHaveLength(before + 1);
    expect(placeOf(part.draft.get(0), part.places)![1]).toBe(0);
  });

  it("walk along edges up and down, and along the row", () => {
    part.select([0, 1]);
    addAbove(part, "product");
    const scene = buildScene(part.draft, part.places, new Set());
    expect(neighbour(part, scene, null, "up")).toBe(2);
    expect(neighbour(part, scene, 0, "up")).toBe(2);
    expect(neighbour(part, scene, 0, "right")).toBe(1);
    expect(neighbour(part, scene, 1, "left")).toBe(0);
    expect(neighbour(part, scene, 1, "right")).toBe(1);
    expect([0, 1]).toContain(neighbour(part, scene, 2, "down"));
  });
});

describe("keys", () => {
  it("belong to one command each", () => {
    const list = commandsOf({ part, canvas: () => null, open: () => undefined, toggleTable: () => undefined, rename: () => undefined });
    const keys = list.flatMap((command) => command.keys);
    expect(new Set(keys).size).toBe(keys.length);
    const key = (name: string, more = {}) => keyOf({ key: name, ctrlKey: false, metaKey: false, altKey: false, shiftKey: false, ...more });
    expect([key("s"), key("z", { ctrlKey: true }), key("Z", { metaKey: true, shiftKey: true }), key("?", { shiftKey: true })]).toEqual([
      "S",
      "Ctrl+Z",
      "Ctrl+Shift+Z",
      "?",
    ]);
    expect(key("ArrowLeft", { altKey: true })).toBe("");
  });
});

describe("numbers", () => {
  it("are read as people read them", () => {
    expect([0, Math.log(0.66), Math.log(2.5), -31.24, -1234.5, null].map(probability)).toEqual(["1", "0.660", "2.500", "e^−31.2", "e^−1235", "0"]);
  });

  it("of a row sum to one whatever is moved", () => {
    expect(rebalanced([0.6, 0.4], 0, 0.9)[1]).toBeCloseTo(0.1);
    expect(rebalanced([0.2, 0.3, 0.5], 2, 0)).toEqual([0.4, 0.6, 0]);
    expect(rebalanced([1, 0, 0], 0, 0.5)).toEqual([0.5, 0.25, 0.25]);
    expect(rebalanced([1], 0, 0.3)).toEqual([1]);
    expect(rebalanced([0.5, 0.5], 1, 7)).toEqual([0, 1]);
  });
});
