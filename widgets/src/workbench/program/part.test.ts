import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Body } from "../part";
import { cellText, covers, opacity, short } from "./paint";
import { ProgramPart, type Numbers } from "./part";
import { pixelText, placeText } from "./words";

let sent: Body[];
let part: ProgramPart;
const last = () => sent[sent.length - 1];
const view = (...values: number[]) => new DataView(Uint8Array.from(values).buffer);
const doubles = (...values: number[]) => new DataView(Float64Array.from(values).buffer);
const state = (rev: number, program = 1) => part.receive({ kind: "state", rev, program, weights: true, why: "", flows: "", compare: null }, []);
const settled = () => new Promise((resolve) => setTimeout(resolve));

async function opened(layer = 2, block = 0): Promise<void> {
  const done = part.show(layer, block);
  part.receive({ kind: "open", ask: last().ask, ok: true, layer, block, rows: 300, cols: 700, levels: 3, side: 256, tile: 32, edges: 9, padding: 0, decades: 4, labels: [], parent: 0, children: [] }, []);
  await done;
}

beforeEach(async () => {
  sent = [];
  part = new ProgramPart((body) => sent.push(body));
  state(1);
  await opened();
});

describe("maps", () => {
  it("of two asked for, the later one is shown, whichever answer comes first", async () => {
    const first = part.show(3, 0);
    const earlier = last();
    const second = part.show(4, 1);
    const answer = { ok: true, rows: 1, cols: 1, levels: 1, decades: 4, labels: [], parent: 0, children: [] };
    part.receive({ ...answer, kind: "open", ask: last().ask, layer: 4, block: 1 }, []);
    part.receive({ ...answer, kind: "open", ask: earlier.ask, layer: 3, block: 0 }, []);
    await Promise.all([first, second]);
    expect(part.state.map).toMatchObject({ layer: 4, block: 1 });
  });

  it("another program closes them", () => {
    part.tiles.put(part.mapKey(), { level: 0, row: 0, col: 0, rev: 0, height: 1, width: 1, shades: Uint8Array.of(1) });
    state(2, 2);
    expect(part.state.map).toBeNull();
    expect(part.tiles.size).toBe(0);
  });

  it("why one cannot be shown is said", async () => {
    const done = part.show(9, 0);
    part.receive({ kind: "open", ask: last().ask, ok: false, text: "layer 9 is an input layer" }, []);
    await done;
    expect(part.state).toMatchObject({ map: null, error: "layer 9 is an input layer" });
  });
});

describe("tiles", () => {
  const asked = [{ level: 1, row: 0, col: 0 }, { level: 1, row: 0, col: 1 }];
  const answer = (rev: number, mode = "weight") =>
    part.receive({ kind: "tiles", ask: last().ask, ok: true, rev, mode, layer: 2, block: 0, largest: 0.5, tiles: [[1, 0, 0, 2, 2], [1, 0, 1, 2, 1]] }, [view(1, 2, 3, 4, 5, 6)]);

  it("come together and are cut apart", async () => {
    part.need(asked);
    expect(last()).toMatchObject({ kind: "tiles", mode: "weight", tiles: [[1, 0, 0], [1, 0, 1]] });
    answer(1);
    await settled();
    expect([...part.tiles.get(part.mapKey(), asked[1])!.shades]).toEqual([5, 6]);
    expect(part.state).toMatchObject({ requested: 2, largest: 0.5 });
  });

  it("are asked for again after a step of training, those of occupancy are not", async () => {
    part.need(asked);
    answer(1);
    part.setMode("occupancy");
    part.need(asked);
    answer(1, "occupancy");
    await settled();
    part.setMode("weight");
    expect(part.state.largest).toBe(0.5); // known before, and not asked for again
    part.setMode("occupancy");
    state(2);
    const before = sent.length;
    part.need(asked);
    expect(sent.length).toBe(before);
    part.setMode("weight");
    part.need(asked);
    expect(sent.length).toBe(before + 1);
  });

  it("of a large screen come in several messages", () => {
    const before = sent.length;
    part.need(Array.from({ length: 150 }, (_, col) => ({ level: 0, row: 0, col })));
    expect(sent.slice(before).map((body) => (body.tiles as unknown[]).length)).toEqual([64, 64, 22]);
  });

  it("a question that may have been lost is put again, with its number", () => {
    vi.useFakeTimers();
    part.need(asked);
    const question = last();
    part.have();
    expect(sent.filter((body) => body.ask === question.ask)).toHaveLength(1);
    vi.advanceTimersByTime(5000);
    part.have();
    expect(sent.filter((body) => body.ask === question.ask)).toHaveLength(2);
    vi.useRealTimers();
  });
});

it("numbers of a region are three tables", async () => {
  const got = part.numbers({ level: 0, row: 4, col: 6, height: 1, width: 2 });
  part.receive({ kind: "region", ask: last().ask, ok: true, rev: 1, values: "weight", stores_all: true }, [doubles(1, 0, 1, 1, 0.25, 0)]);
  const numbers = (await got)!;
  expect(pixelText(numbers, 0)).toBe("weight 0.25");
  expect(pixelText(numbers, 1)).toBe("no edge; stored as padding");
  expect([cellText(numbers, 0), cellText(numbers, 1)]).toEqual([".250", "pad"]);
  const map = part.state.map!;
  const near = { x: -6 * 50, y: -4 * 50, scale: 50 };
  expect(covers(numbers, near, { width: 100, height: 50 }, map, "weight", 1)).toBe(true);
  expect(covers(numbers, near, { width: 101, height: 50 }, map, "weight", 1)).toBe(false);
  expect(covers(numbers, near, { width: 100, height: 50 }, map, "weight", 2)).toBe(false);
});

it("words say which cells, and what is beneath", () => {
  const extent = { rows: 300, cols: 700 };
  expect(placeText({ level: 0, row: 7, col: 12 }, extent)).toBe("node 7 × element 12");
  expect(placeText({ level: 8, row: 1, col: 2 }, extent)).toBe("nodes 256–299 × elements 512–699");
  const numbers = { mode: "weight", values: "weight", storesAll: false, edges: [12], area: [64], sums: [3] } as unknown as Numbers;
  expect(pixelText(numbers, 0)).toBe("12 of 64 cells hold an edge; mean weight 0.2500");
  expect(pixelText({ ...numbers, mode: "padding", storesAll: true }, 0)).toBe("12 of 64 cells hold an edge; 52 are padding");
});

it("a single edge can be seen, and nothing is transparent", () => {
  expect([opacity(0), opacity(1), opacity(255)]).toEqual([0, 31, 255]);
  expect([0, 0.5, 0.0123, 4.2e-7, 123.4].map(short)).toEqual(["0", ".500", ".0123", "4.2e−7", "123"]);
});
