// What lies over the canvas: reasons at their blocks, the names of regions, and what a screen reader hears.

import type { Camera } from "../stage/camera";
import type { Size } from "../hooks";
import { sentence } from "./actions";
import type { Connection } from "./connection";
import type { BuilderPart } from "./part";
import { CARD } from "./places";
import type { Scene } from "./scene";

interface Ground {
  part: BuilderPart;
  scene: Scene;
  camera: Camera;
  size: Size;
}

const [WHY_WIDTH, WHY_HEIGHT] = [300, 74];

/** Why the connection may not end where it aims; else why the last edit was not made. */
export function Why({ part, scene, camera, size, connection, reach }: Ground & { connection: Connection; reach: number }) {
  const { notice } = part.state;
  const text = connection.against ?? notice?.reason;
  if (text === undefined) return null;
  const at = notice?.node ?? null;
  const node = connection.against !== null ? connection.aimed : at === null ? null : (scene.index.get(at) ?? null);
  return (
    <div className="pcb-why" role="alert" style={anchor(node, scene, camera, size, reach)}>
      <span>{text}</span>
      <button type="button" aria-label="Close" onClick={() => part.dismiss()}>×</button>
    </div>
  );
}

function anchor(node: number | null, scene: Scene, camera: Camera, size: Size, reach: number): { left: number; top: number } {
  if (node === null) return { left: Math.max(8, (size.width - WHY_WIDTH) / 2), top: 10 };
  const [x, y] = [scene.x[node] * camera.scale + camera.x, scene.y[node] * camera.scale + camera.y];
  const off = Math.max(reach, CARD.height / 3) * camera.scale + 8;
  // Above, if there is room: the line to it mostly comes from below.
  const top = y - off - WHY_HEIGHT > 0 ? y - off - WHY_HEIGHT : y + off;
  const inside = (value: number, most: number) => Math.min(Math.max(value, 8), Math.max(8, most));
  return { left: inside(x - WHY_WIDTH / 2, size.width - WHY_WIDTH - 8), top: inside(top, size.height - WHY_HEIGHT) };
}

/** The name of each region on its frame, which folds it. */
export function RegionBars({ part, scene, camera, size }: Ground) {
  return scene.regions.map((region) => {
    const left = region.left * camera.scale + camera.x;
    const top = region.top * camera.scale + camera.y;
    const wide = (region.right - region.left) * camera.scale;
    const folded = region.node !== null;
    if ((wide < 60 && !folded) || left > size.width || left + wide < 0 || top > size.height || top < -24) return null;
    return (
      <button
        key={region.name}
        type="button"
        className="pcb-region-bar"
        aria-expanded={!folded}
        title={`${folded ? "Unfold" : "Fold"} ${region.name}, ${region.ids.length} blocks (F)`}
        style={{ left: Math.max(left, 4), top: Math.max(top - (folded ? 22 : 0), 4) }}
        onClick={() => part.fold(region.name)}
        onDblClick={(event) => event.stopPropagation()}
      >
        {folded ? "▸" : "▾"} {region.name}
      </button>
    );
  });
}

export function Empty() {
  return (
    <p className="pcb-empty pcb-canvas-empty">
      An empty circuit. Press <kbd>i</kbd> for an input, mark two with <kbd>Space</kbd> and put a product above them with{" "}
      <kbd>p</kbd>, a sum with <kbd>s</kbd>; or start from a template. <kbd>?</kbd> lists all keys.
    </p>
  );
}

/** What is focused, or aimed at, in a sentence. */
export function Live({ part, scene, connection }: { part: BuilderPart; scene: Scene; connection: Connection }) {
  const { wire, aimed, against } = connection;
  const { focus } = part.state;
  const block = part.draft.blocks.get(aimed !== null ? scene.ids[aimed] : (focus ?? -1));
  const said = block && sentence(part, block);
  return (
    <div className="pcb-hidden" aria-live="polite" data-live="canvas">
      {wire && aimed !== null
        ? `${said}. ${against ?? "The connection is legal; Enter makes it."}`
        : wire
          ? "Choose the other end with the arrow keys; Escape ends."
          : said}
    </div>
  );
}
