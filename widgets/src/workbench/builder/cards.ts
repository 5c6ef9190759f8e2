// What a block's card or label says.

import { count, plural } from "../format";
import type { CardProps } from "./Card";
import { labelOf } from "./draft";
import { familyText } from "./families";
import type { Level } from "./lod";
import { probability } from "./numbers";
import type { BuilderPart } from "./part";
import { NODE_KINDS, type Scene } from "./scene";

const MOST_CHIPS = 3;
const MOST_VALUES = 3;

type Content = Omit<CardProps, "selected" | "lit" | "focused" | "legal" | "bad">;

export function cardOf(part: BuilderPart, scene: Scene, i: number, level: Level, tops: ReadonlySet<number>): Content {
  const id = scene.ids[i];
  const [x, y] = [scene.x[i], scene.y[i]];
  if (id < 0) {
    const region = scene.regions[-1 - id];
    const foot = `${count(region.ids.length)} blocks, folded`;
    return { id, kind: "region", label: region.name, units: 1, chips: "", more: 0, foot, root: false, x, y };
  }
  const { draft } = part;
  const block = draft.get(id);
  const { names, more } = draft.chips(draft.scope.get(id)!, MOST_CHIPS);
  // Where nothing is observed every value is 1, and says nothing.
  const observed = Object.keys(part.state.evidence).length > 0;
  const values = observed ? part.state.numbers?.values[id] : undefined;
  return {
    id,
    kind: NODE_KINDS[scene.kind[i]],
    label: labelOf(block),
    units: scene.units[i],
    chips: names.join("\n"),
    more,
    foot: values ? valuesText(values, scene.units[i], level === "numbers" ? MOST_VALUES : 1) : footText(part, id),
    root: tops.size === 1 ? tops.has(id) : draft.roots.includes(id),
    x,
    y,
  };
}

function valuesText(values: readonly (number | null)[], units: number, most: number): string {
  const shown = values.slice(0, most).map(probability).join("  ");
  return `p ${shown}${units > most ? " …" : ""}`;
}

function footText(part: BuilderPart, id: number): string {
  const block = part.draft.get(id);
  if (block.kind === "input") return familyText(block.distribution!);
  const children = block.children?.length ?? 0;
  if (!children) return "no children yet";
  const parameters = part.draft.parameterCount(block);
  return block.kind === "sum" ? `${count(parameters)} ${parameters === 1 ? "weight" : "weights"}` : plural(children, "factor");
}

/** Name and second line of a node, for the painted labels. */
export function labelsOf(part: BuilderPart, scene: Scene): (node: number) => [string, string] {
  return (i) => {
    const id = scene.ids[i];
    if (id < 0) return [scene.regions[-1 - id].name, `${scene.units[i]} blocks`];
    const block = part.draft.blocks.get(id);
    if (!block) return ["", ""];
    const { names, more } = part.draft.chips(part.draft.scope.get(id)!, 2);
    return [labelOf(block), `${scene.units[i]} × ${more ? `${more + 2} vars` : names.join(", ")}`];
  };
}
