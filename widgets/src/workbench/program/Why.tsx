// Why a layer runs as it does: from the vectors of its children to its blocks to one launch; and which kernels were not taken.

import { bytes, count, percent, plural } from "../format";
import type { Layer, Program } from "../protocol";

export function Why({ layer, program }: { layer: Layer; program: Program }) {
  const unfused = layer.kind === "sum" ? `${count(layer.groups)} × [B, ${layer.elements}] · [${layer.elements}, ${layer.nodes}]` : `${count(layer.groups)} × [B, ${layer.nodes}]`;
  const steps: [string, string, string][] = [
    [
      layer.kind === "input" ? "Values of the variable" : "Vectors of the children",
      layer.kind === "input" ? "one a block" : `${plural(layer.elements, "element")} a block`,
      layer.kind === "sum" ? "gathered, and multiplied where products are fused in" : layer.kind === "product" ? "gathered by address" : "codes of the data",
    ],
    [plural(layer.groups, "block"), `${plural(layer.nodes, "node")} each`, `one level and shape; values from byte ${layer.offset.toLocaleString("en")} on`],
    [layer.kernel, unfused, "one launch for all blocks and rows B"],
  ];
  return (
    <div className="pcb-why-layer" tabIndex={0} role="region" aria-label="Why">
      <ol className="pcb-flowline" aria-label="From vectors to a launch">
        {steps.map(([title, size, note]) => (
          <li key={title}>
            <b>{title}</b>
            <span>{size}</span>
            <small>{note}</small>
          </li>
        ))}
      </ol>
      <dl className="pcb-facts">
        <dt>kernel</dt>
        <dd><code>{layer.kernel}</code>: {layer.why}</dd>
        {layer.rejected.map((other) => (
          <div key={other.kernel} className="pcb-rejected">
            <dt>not <code>{other.kernel}</code></dt>
            <dd>{other.reason}</dd>
          </div>
        ))}
        <dt>Tensor Cores</dt>
        <dd data-eligible={layer.tensor_cores.eligible}>{layer.tensor_cores.eligible ? "yes" : "no"}: {layer.tensor_cores.reason}</dd>
        <dt>work</dt>
        <dd>{count(layer.flops)} FLOP a sample and step: {percent(layer.flops / Math.max(1, Number(program.totals.flops)))} of the program's</dd>
        <dt>memory</dt>
        <dd>{bytes(layer.parameter_bytes)} of parameters, {bytes(layer.value_bytes)} of values and flows a sample</dd>
        {layer.kind === "sum" && (
          <>
            <dt>padding</dt>
            <dd>
              {percent(layer.padding)} of what the kernel multiplies; {percent(layer.tile_padding)} if whole tiles of {layer.tile_size} × {layer.tile_size} were stored ({plural(layer.tiles, "tile")})
            </dd>
          </>
        )}
      </dl>
    </div>
  );
}
