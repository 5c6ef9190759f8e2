import { describe, expect, it } from "vitest";
import cases from "../../../../tests/widgets/ops.json";
import { childrenOf, Draft, inverse, Refusal, type Change } from "./draft";
import { problems } from "./problems";
import { apply, whyNot, type Args } from "./rules";

/** As Python writes it. */
function state(draft: Draft) {
  const blocks = [...draft.blocks.values()].sort((a, b) => a.id - b.id);
  return { variables: [...draft.variables].map(([name, size]) => [name, size]), blocks, roots: [...draft.roots] };
}

function refusal(draft: Draft, kind: string, args: Args): Refusal | null {
  try {
    apply(draft, kind, args);
    return null;
  } catch (error) {
    if (error instanceof Refusal) return error;
    throw error;
  }
}

/** The texts are the same but for the way in which the languages quote a value that makes no sense. */
const plain = (text: string) => text.replace(/got .*$/s, "got …");

describe.each(cases)("$title", ({ ops, state: expected, derived, tops, problems: wrong }) => {
  it("ends where Python ends, and refuses for the same reasons", () => {
    const draft = new Draft();
    for (const op of ops as { kind: string; args: Args; refused?: string; node?: number | null }[]) {
      const before = state(draft);
      const refused = refusal(draft, op.kind, op.args);
      expect(plain(refused?.reason ?? "")).toContain(plain(op.refused ?? ""));
      expect(refused === null).toBe(op.refused === undefined);
      if (refused) {
        expect(refused.node).toBe(op.node);
        expect(state(draft)).toEqual(before);
      }
    }
    expect(JSON.parse(JSON.stringify(state(draft)))).toEqual(expected);
    expect(draft.tops()).toEqual(tops);
    const found = problems(draft).sort((a, b) => (a.id ?? -1) - (b.id ?? -1) || (a.text < b.text ? -1 : 1));
    expect(found.map(({ id, text }) => [id, text])).toEqual(wrong);
    for (const [id, facts] of Object.entries(derived)) {
      const block = draft.get(Number(id));
      const seen = { nodes: draft.nodes.get(block.id), scope: draft.names(draft.scope.get(block.id)!), parameters: draft.parameterCount(block) };
      expect(seen).toEqual(facts);
    }
  });

  it("goes back to nothing, and forth again", () => {
    const draft = new Draft();
    const done: Change[] = [];
    for (const op of ops)
      try {
        done.push(apply(draft, op.kind, op.args as Args));
      } catch (error) {
        expect(error).toBeInstanceOf(Refusal);
      }
    const after = state(draft);
    for (const change of [...done].reverse()) draft.put(inverse(change));
    expect(state(draft)).toEqual({ variables: [], blocks: [], roots: [] });
    expect(draft.parents.size).toBe(0);
    for (const change of done) draft.put(change);
    expect(state(draft)).toEqual(after);
  });
});

it("asks about every connection without leaving a trace", () => {
  const draft = new Draft();
  for (const op of cases[0].ops)
    try {
      apply(draft, op.kind, op.args as Args);
    } catch (error) {
      expect(error).toBeInstanceOf(Refusal);
    }
  const before = state(draft);
  const legal: string[] = [];
  for (const parent of draft.blocks.keys())
    for (const child of draft.blocks.keys()) if (whyNot(draft, parent, child) === null) legal.push(`${parent}<${child}`);
  expect(state(draft)).toEqual(before);
  expect(legal).toEqual([]); // inputs take nothing, the product has both variables, the sum has its scope already
  expect(childrenOf(draft.get(3))).toEqual([2]);
});
