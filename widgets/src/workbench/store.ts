// What the view shows, in one zustand store a model; two views of one model share it, and so share the selection.

import { createStore, type StoreApi } from "zustand/vanilla";
import { History } from "./history";
import { layersOf } from "./layers";
import type { Parts } from "./part";
import { makeParts } from "./parts";
import type { Circuit, Command, Have, ImageGroup, Incoming, LogEntry, Outgoing, Program, Status } from "./protocol";

const LOG_LIMIT = 500;
const NOTHING: ReadonlySet<number> = new Set<number>();

export interface Pending {
  id: number;
  op: Command;
  since: number;
}

export interface State {
  /** Grows with every circuit, program and set of pictures that arrived; tests wait for it. */
  rev: number;
  circuit: Circuit | null;
  program: Program | null;
  images: ImageGroup[];
  status: Status | null;
  log: LogEntry[];
  /** Sequence number of the last point; the history itself is mutable and lives outside of React's sight. */
  seq: number;
  history: History;
  have: Have;
  /** A sync is on its way; another one would only queue up behind it. */
  syncing: boolean;
  pending: Pending | null;
  notice: string;
  /** Which command the notice is about. */
  noticeOf: Command | null;
  /** Milliseconds of the local clock. */
  heard: number;
  beatEvery: number;
  kernelGone: boolean;
  /** Gone for good: it was restarted or shut down. One that is only silent may be busy, or the network. */
  kernelEnded: boolean;
  selection: ReadonlySet<number>;
  /** Blocks under the pointer, in whichever pane it is; Python never hears of them. */
  hovered: ReadonlySet<number>;
  selectedLayer: number | null;
}

export type Store = StoreApi<State> & { send: Send; parts: Parts };
export type Send = (message: Outgoing, buffers?: ArrayBuffer[]) => void;

export function createWorkbenchStore(send: Send, now = Date.now()): Store {
  const api = createStore<State>(() => ({
    rev: 0,
    circuit: null,
    program: null,
    images: [],
    status: null,
    log: [],
    seq: 0,
    history: new History(),
    have: { circuit: 0, program: 0, images: 0, run: 0, seq: 0, log: 0 },
    syncing: false,
    pending: null,
    notice: "",
    noticeOf: null,
    heard: now,
    beatEvery: 2,
    kernelGone: false,
    kernelEnded: false,
    selection: new Set<number>(),
    hovered: NOTHING,
    selectedLayer: null,
  }));
  const parts = makeParts(send);
  api.subscribe(({ kernelEnded }, before) => {
    if (kernelEnded !== before.kernelEnded) for (const part of Object.values(parts)) part.ended?.(kernelEnded);
  });
  return Object.assign(api, { send, parts });
}

/** One message of Python's, applied. Whatever arrives is also a sign of life. */
export function receive(store: Store, message: Incoming, now = Date.now()): void {
  const state = store.getState();
  store.setState({ heard: now, kernelGone: false, kernelEnded: false });
  switch (message.type) {
    case "circuit":
      return store.setState({
        circuit: message.circuit,
        rev: state.rev + 1,
        have: { ...state.have, circuit: message.rev },
        selection: new Set(),
        hovered: NOTHING,
        selectedLayer: null,
      });
    case "program":
      return store.setState({
        program: message.program,
            rev: state.rev + 1,
        have: { ...state.have, program: message.rev },
        selectedLayer: null,
      });
    case "images":
      return store.setState({
        images: message.groups,
        rev: state.rev + 1,
        have: { ...state.have, images: message.rev },
      });
    case "points": {
      const outcome = state.history.append(message.points);
      const have = { ...state.have, run: state.history.run, seq: state.history.seq };
      store.setState({ seq: state.history.seq, have });
      if (outcome === "gap" && !state.syncing) requestSync(store);
      return;
    }
    case "log":
      return applyLog(store, message.run, message.reset, message.entries);
    case "status":
      return store.setState({ status: message.status });
    case "part":
      return store.parts[message.part]?.receive(message.body, message.buffers);
    case "ack":
      if (state.pending?.id !== message.id) return;
      return store.setState({ pending: null, notice: message.ok ? "" : message.text, noticeOf: state.pending.op });
    case "synced":
      return store.setState({ syncing: false });
    case "beat":
      return store.setState({ beatEvery: message.every });
  }
}

function applyLog(store: Store, run: number, reset: boolean, entries: LogEntry[]): void {
  const { log, have } = store.getState();
  const known = reset || run !== have.run ? [] : log;
  const last = known.length ? known[known.length - 1].seq : 0;
  const merged = [...known, ...entries.filter((entry) => entry.seq > last)].slice(-LOG_LIMIT);
  const seq = merged.length ? merged[merged.length - 1].seq : 0;
  store.setState({ log: merged, have: { ...have, log: seq } });
}

/** Asks Python for everything that is not here yet. */
export function requestSync(store: Store): void {
  store.setState({ syncing: true });
  const parts = Object.fromEntries(Object.values(store.parts).map((part) => [part.name, part.have()]));
  store.send({ type: "sync", have: { ...store.getState().have, parts } });
}

let nextCommand = 1;

export function command(store: Store, op: Command, value?: string, now = Date.now()): void {
  const id = nextCommand++;
  store.setState({ pending: { id, op, since: now }, notice: "" });
  store.send({ type: "command", id, op, value });
}

export function selectBlocks(store: Store, blocks: Iterable<number>): void {
  const selection = new Set(blocks);
  const { program, circuit } = store.getState();
  const first = selection.values().next();
  const layer = first.done || !program ? undefined : layersOf(program, circuit).get(first.value);
  store.setState({ selection, selectedLayer: layer ?? null });
  store.send({ type: "select", blocks: [...selection] });
}

export function selectLayer(store: Store, index: number | null): void {
  const layer = store.getState().program?.layers.find((l) => l.index === index);
  store.setState({ selectedLayer: layer?.index ?? null, selection: new Set(layer?.blocks ?? []) });
  store.send({ type: "select", blocks: layer?.blocks ?? [] });
}

/** What the pointer is on; every pane lights it, until the pointer leaves. */
export function hoverBlocks(store: Store, blocks: Iterable<number>): void {
  const hovered = new Set(blocks);
  const before = store.getState().hovered;
  if (hovered.size === before.size && [...hovered].every((block) => before.has(block))) return;
  store.setState({ hovered: hovered.size ? hovered : NOTHING });
}

/** Called now and then: after three missed heartbeats the kernel is taken for gone, and the view says so. */
export function watchHeartbeat(store: Store, now = Date.now()): void {
  const { heard, beatEvery, kernelGone, syncing } = store.getState();
  const silent = now - heard;
  const gone = silent > 3500 * beatEvery;
  if (gone !== kernelGone) store.setState({ kernelGone: gone });
  // One that was shut down says nothing, but Jupyter refuses to send to it: no need to wait for more missing beats.
  if (silent > 1500 * beatEvery && !gone && !syncing) requestSync(store);
}
