import { beforeEach, describe, expect, it } from "vitest";
import type { Incoming, Layer, Outgoing, Points } from "./protocol";
import { command, createWorkbenchStore, hoverBlocks, receive, selectBlocks, selectLayer, watchHeartbeat, type Store } from "./store";

let sent: Outgoing[];
let store: Store;
beforeEach(() => {
  sent = [];
  store = createWorkbenchStore((message) => sent.push(message), 0);
});

function layer(index: number, kind: Layer["kind"], blocks: number[]): Layer {
  return {
    index, kind, blocks, kernel: "dense", why: "", rejected: [], groups: 1, nodes: 1, elements: 1, edges: 1, tiles: 1,
    tile_size: 32, padding: 0, tile_padding: 0, tensor_cores: { eligible: false, reason: "" }, flops: 1,
    parameter_bytes: 4, value_bytes: 4, offset: 0,
  };
}

const program: Incoming = {
  type: "program",
  rev: 1,
  program: {
    device: "cpu", dtype: "float32", tile: 32, memory: [], totals: {},
    layers: [layer(0, "input", [0, 1]), layer(1, "sum", [2, 3])],
  },
};

function point(seq: number): Points {
  return {
    run: 1, reset: false, columns: ["train_ll"], count: 1,
    head: Float64Array.from([seq, seq, seq, 0, 0]), body: Float64Array.from([-1, -1, -1, -1]),
  };
}

describe("linked selection", () => {
  beforeEach(() => receive(store, program, 0));

  it("lights a layer's blocks, and tells Python", () => {
    selectLayer(store, 1);
    expect([...store.getState().selection]).toEqual([2, 3]);
    expect(sent).toEqual([{ type: "select", blocks: [2, 3] }]);
  });

  it("finds the layer of a block that was clicked", () => {
    selectBlocks(store, [3]);
    expect(store.getState().selectedLayer).toBe(1);
    selectBlocks(store, []);
    expect(store.getState().selectedLayer).toBeNull();
  });

  it("finds a product, which is no layer's own, in the layer of the sum above it", () => {
    const block = (id: number) => ({ id, kind: "sum" as const, name: "", nodes: 1, level: 0, parameters: 0, scopeSize: 1, scope: "", detail: "" });
    const circuit = { blocks: [0, 7, 3].map(block), edges: Int32Array.from([0, 1, 1, 2]), roots: [3], variables: 1 };
    receive(store, { type: "circuit", rev: 1, circuit }, 0);
    selectBlocks(store, [7]);
    expect(store.getState().selectedLayer).toBe(1);
  });
});

describe("linked hover", () => {
  it("is everybody's, and never Python's", () => {
    hoverBlocks(store, [2, 3]);
    expect([...store.getState().hovered]).toEqual([2, 3]);
    expect(sent).toEqual([]);
  });

  it("tells nobody when the pointer stays on the same blocks", () => {
    let heard = 0;
    hoverBlocks(store, [2]);
    store.subscribe(() => heard++);
    hoverBlocks(store, [2]);
    expect(heard).toBe(0);
    hoverBlocks(store, []);
    expect([heard, store.getState().hovered.size]).toEqual([1, 0]);
  });

  it("does not outlive its circuit, whose ids mean other blocks", () => {
    hoverBlocks(store, [2]);
    receive(store, { type: "circuit", rev: 2, circuit: null });
    expect(store.getState().hovered.size).toBe(0);
  });
});

describe("points", () => {
  it("asks again when some are missing", () => {
    receive(store, { type: "points", points: point(1) }, 0);
    expect(sent).toEqual([]);
    receive(store, { type: "points", points: point(3) }, 0);
    expect(sent).toEqual([{ type: "sync", have: expect.objectContaining({ run: 1, seq: 1 }) }]);
    expect(store.getState().seq).toBe(1);
    receive(store, { type: "points", points: point(4) }, 0);
    expect(sent).toHaveLength(1); // one request on its way is enough
    receive(store, { type: "synced" }, 0);
    receive(store, { type: "points", points: point(5) }, 0);
    expect(sent).toHaveLength(2);
  });
});

describe("log", () => {
  const entry = (seq: number) => ({ seq, kind: "message", step: 0, time: 0, text: String(seq) });
  it("takes each entry once, in order, and starts over on a reset", () => {
    receive(store, { type: "log", run: 0, reset: false, entries: [entry(1), entry(2)] }, 0);
    receive(store, { type: "log", run: 0, reset: false, entries: [entry(2), entry(3)] }, 0);
    expect(store.getState().log.map((e) => e.seq)).toEqual([1, 2, 3]);
    receive(store, { type: "log", run: 0, reset: true, entries: [entry(1)] }, 0);
    expect(store.getState().log.map((e) => e.seq)).toEqual([1]);
  });
});

describe("commands", () => {
  it("wait for their own answer, and show why they failed", () => {
    command(store, "stop", undefined, 5);
    const { pending } = store.getState();
    expect(pending).toMatchObject({ op: "stop", since: 5 });
    receive(store, { type: "ack", id: pending!.id + 1, ok: true, text: "" }, 6);
    expect(store.getState().pending).not.toBeNull();
    receive(store, { type: "ack", id: pending!.id, ok: false, text: "no run" }, 6);
    expect(store.getState()).toMatchObject({ pending: null, notice: "no run", noticeOf: "stop" });
    command(store, "stepSize", "7");
    expect(sent.at(-1)).toMatchObject({ op: "stepSize", value: "7" });
    expect(store.getState().notice).toBe("");
  });
});

describe("heartbeat", () => {
  it("takes the kernel for gone after several silent beats, and for back with the next message", () => {
    receive(store, { type: "beat", every: 2 }, 1000);
    watchHeartbeat(store, 7000);
    expect(store.getState().kernelGone).toBe(false);
    watchHeartbeat(store, 8001);
    expect(store.getState().kernelGone).toBe(true);
    receive(store, { type: "beat", every: 2 }, 9000);
    expect(store.getState().kernelGone).toBe(false);
  });
});
