import { expect, test } from "vitest";
import { overview } from "./overview";
import { createWorkbenchStore, receive } from "./store";
import type { Outgoing } from "./protocol";

function bench(open: string[]) {
  const sent: Outgoing[] = [];
  const store = createWorkbenchStore((message) => sent.push(message), 0);
  const done: string[] = [];
  const list = () =>
    overview({
      store,
      panes: ["circuit", "training"].map((name) => ({ name, title: name, open: open.includes(name) })),
      toggle: (pane) => done.push(`toggle ${pane}`),
      go: (pane) => done.push(`go ${pane}`),
      list: () => done.push("list"),
    });
  return { store, sent, done, list };
}

test("panes are shown, hidden and gone to", () => {
  const { list, done } = bench(["circuit"]);
  const titles = list().map((each) => each.title);
  expect(titles.slice(0, 3)).toEqual(["Go to circuit", "Hide circuit", "Show training"]);
  for (const each of list().slice(0, 3)) each.run!();
  expect(done).toEqual(["go circuit", "toggle circuit", "toggle training"]);
});

test("only what the run can take now is offered", () => {
  const { list, store, sent } = bench(["training"]);
  const steering = () => list().filter((each) => each.run && / run/.test(each.title)).map((each) => each.title);
  expect(steering()).toEqual([]);
  const status = { run: 1, state: "paused", step: 1, total: 2, epoch: 0, elapsed: 0, eta: null, tensorCores: "", why: "", stepSize: null, byHand: false, snapshot: null, machine: { device: "", source: "none" as const, reason: "" }, error: "" };
  receive(store, { type: "status", status });
  expect(steering()).toEqual(["Go on with the run", "One step of the run", "Stop the run"]);
  list().find((each) => each.title === "Stop the run")!.run!();
  expect(sent).toMatchObject([{ type: "command", op: "stop" }]);
});
