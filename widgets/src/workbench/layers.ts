// In which layer of the program a block of the circuit is evaluated.

import type { Circuit, Program } from "./protocol";

/** Products are parts of the sum above them, and stand in its layer. */
export function layersOf(program: Program, circuit: Circuit | null): Map<number, number> {
  const out = new Map(program.layers.flatMap(({ blocks, index }) => blocks.map((block) => [block, index])));
  if (!circuit) return out;
  const { edges, blocks } = circuit;
  for (let e = 0; e < edges.length; e += 2) {
    const [child, parent] = [blocks[edges[e]].id, blocks[edges[e + 1]].id];
    const above = out.get(parent);
    if (above !== undefined && !out.has(child)) out.set(child, above);
  }
  return out;
}
