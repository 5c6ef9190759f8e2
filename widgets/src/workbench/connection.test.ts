import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { connect, type Channel } from "./connection";
import type { BuilderPart } from "./builder/part";
import type { Outgoing } from "./protocol";

let sent: Outgoing[];
let deliver: (message: unknown, buffers?: DataView[]) => void;
let cut: () => void;
let connection: ReturnType<typeof connect>;
let refuses: boolean;

beforeEach(() => {
  vi.useFakeTimers();
  sent = [];
  refuses = false;
  const channel: Channel = {
    on: (event, callback) => {
      if (event === "comm_live_update") cut = () => callback(undefined, []);
      else deliver = (message, buffers = []) => callback(message, buffers);
    },
    off: () => (deliver = () => undefined),
    send: (message) => {
      if (refuses) throw new Error("Cannot send");
      sent.push(message);
    },
  };
  connection = connect(channel);
});
afterEach(() => {
  connection.disconnect();
  vi.useRealTimers();
});

const syncs = () => sent.filter((message) => message.type === "sync").length;

it("asks at once, and again with growing patience until it is answered", () => {
  expect(syncs()).toBe(1);
  vi.advanceTimersByTime(8000);
  expect(syncs()).toBe(4); // after 1, 3 and 7 seconds
  deliver({ type: "synced" });
  deliver({ type: "beat", every: 1000 });
  vi.advanceTimersByTime(60_000);
  expect(syncs()).toBe(4);
});

it("asks a silent kernel until it is back", () => {
  deliver({ type: "synced" });
  vi.advanceTimersByTime(20_000);
  expect(connection.store.getState().kernelGone).toBe(true);
  expect(syncs()).toBeGreaterThan(1);
  deliver({ type: "beat", every: 2 });
  expect(connection.store.getState().kernelGone).toBe(false);
});

it("says that a message was damaged and goes on", () => {
  deliver({ type: "points", columns: ["a"], count: 2 }, []);
  expect(connection.store.getState().notice).toContain("could not be read");
  deliver({ type: "status", status: { state: "running" } });
  expect(connection.store.getState().status?.state).toBe("running");
});

it("takes a channel that refuses to send for a kernel that is gone", () => {
  deliver({ type: "synced" });
  refuses = true;
  connection.store.send({ type: "select", blocks: [] });
  expect(connection.store.getState().kernelGone).toBe(true);
  vi.advanceTimersByTime(1500);
  expect(connection.store.getState().kernelGone).toBe(true);
});

it("asks a silent kernel before it is taken for gone, and one that was shut down is told apart sooner", () => {
  deliver({ type: "synced" });
  deliver({ type: "beat", every: 2 });
  vi.advanceTimersByTime(3000);
  expect(syncs()).toBe(1);
  refuses = true;
  vi.advanceTimersByTime(1500);
  expect(connection.store.getState()).toMatchObject({ kernelGone: true, kernelEnded: true });
});

it("learns at once that the kernel was restarted, and tells its parts", () => {
  deliver({ type: "synced" });
  refuses = true;
  cut();
  expect(connection.store.getState()).toMatchObject({ kernelGone: true, kernelEnded: true });
  const builder = connection.store.parts.builder as BuilderPart;
  expect(builder.state.ended).toBe(true);
  refuses = false;
  deliver({ type: "beat", every: 2 });
  expect(connection.store.getState()).toMatchObject({ kernelGone: false, kernelEnded: false });
  expect(builder.state.ended).toBe(false);
});

it("is silent after it was disconnected", () => {
  connection.disconnect();
  vi.advanceTimersByTime(60_000);
  expect(syncs()).toBe(1);
});
