// The weight map: a canvas that pans, zooms, names what is under the pointer or the cursor, and is driven by keys alone.

import { useEffect, useImperativeHandle, useLayoutEffect, useMemo, useRef, useState, type Ref } from "react";
import { useStore } from "zustand";
import { usePainting, useSurface, useWheel, Zoom, type Point } from "../stage/stage";
import { hoverBlocks, type Store } from "../store";
import type { Palette } from "../theme";
import { blocksAt, spansOf } from "./links";
import { fitView, keepInside, levelOf, pixelAt, tilesInView, WRITTEN, type TileAt } from "./lod";
import { useProbe, useTiles, useWritten } from "./mapData";
import { useHands, type Cell } from "./mapHands";
import { covers, paint } from "./paint";
import type { MapInfo, ProgramPart } from "./part";
import { placeText } from "./words";

export interface MapControls {
  zoom(factor: number): void;
  fit(): void;
}

interface Props {
  store: Store;
  part: ProgramPart;
  map: MapInfo;
  palette: Palette;
  controls: Ref<MapControls>;
  onPin: (row: number, col: number) => void;
  onUnpin: () => void;
}

export function MapView({ store, part, map, palette, controls, onPin, onUnpin }: Props) {
  const surface = useSurface();
  const { canvas, frame, size } = surface;
  const frames = useRef(0);
  const state = useStore(part.store);
  const [hovered, setPoint] = useState<Point | null>(null);
  const lit = useStore(store, (s) => s.hovered);
  const [cursor, setCursor] = useState<Cell | null>(null);
  const view = useMemo(() => (state.view ? keepInside(state.view, map, size) : fitView(map, size)), [state.view, map, size]);
  const level = levelOf(view.scale, map.levels);

  useEffect(() => setCursor(null), [map]);
  const setHovered = (point: Point | null) => {
    setPoint(point);
    const at = point && pixelAt(view, point, map);
    hoverBlocks(store, at ? blocksAt(map, at) : []);
  };
  const wanted = useMemo(() => tilesInView(view, size, map, level), [view, size, map, level]);
  const rev = part.valueRev();
  useTiles(part, wanted, size, rev, state.mode);
  const numbers = useWritten(part, map, view, size, state.rev);

  const marked: TileAt | null = hovered ? pixelAt(view, hovered, map) : cursor && { level, row: cursor.row >> level, col: cursor.col >> level };
  const told = useProbe(part, marked, map, state.mode, state.rev);
  const pin = state.pin?.layer === map.layer && state.pin.block === map.block ? state.pin : null;
  const written = view.scale < WRITTEN || covers(numbers, view, size, map, state.mode, state.rev);
  const settled = size.width > 0 && written && part.tiles.settled(part.mapKey(), wanted, rev);
  useLayoutEffect(() => {
    if (!settled && canvas.current) canvas.current.dataset.settled = "false"; // at once; true only once it is painted
  });
  usePainting(surface, (context, element) => {
    paint(context, { map, mode: state.mode, view, size, palette, tiles: part.tiles, key: part.mapKey(), marked, pin, numbers, lit }, window.devicePixelRatio || 1);
    element.dataset.frames = String(++frames.current);
    element.dataset.settled = String(settled);
  });

  const hands = useHands({ view, size, map, state, cursor, setCursor, setHovered, setView: (next) => part.setView(next), onPin, onUnpin });
  const { zoom, fit } = hands;
  useWheel(canvas, zoom);
  useImperativeHandle(controls, () => ({ zoom: (factor) => zoom(factor), fit }));

  return (
    <figure className="pcb-map">
      <div className="pcb-map-frame" ref={frame}>
        <canvas
          ref={canvas}
          className="pcb-canvas"
          tabIndex={0}
          role="application"
          aria-label={`Weights of layer ${map.layer}: ${map.rows.toLocaleString("en")} nodes downward, ${map.cols.toLocaleString("en")} elements to the right. Arrow keys move, plus and minus zoom, Enter pins.`}
          data-home
          data-layer={map.layer}
          data-block={map.block}
          data-mode={state.mode}
          data-rows={map.rows}
          data-cols={map.cols}
          data-rev={state.rev}
          data-level={level}
          data-view={`${view.x},${view.y},${view.scale}`}
          data-lit-rows={lit.has(map.parent)}
          data-lit={spansOf(map, lit).map(([from, to]) => `${from}-${to}`).join(" ")}
          data-tick={state.tick}
          data-requested={state.requested}
          data-cells={numbers && view.scale >= WRITTEN ? numbers.height * numbers.width : 0}
          {...hands.events}
        />
        <Zoom zoom={zoom} fit={fit} what="map" step={1.6} />
      </div>
      <figcaption
        className="pcb-probe"
        data-probe={told && marked && same(told.at, marked) ? `${told.at.level},${told.at.row},${told.at.col}` : ""}
        data-rev={told?.rev ?? ""}
        aria-live={hovered ? "off" : "polite"}
      >
        {marked ? (
          <span>
            <b>{placeText(marked, map)}</b>: {told && same(told.at, marked) ? told.text : "…"}
          </span>
        ) : (
          <span className="pcb-muted">Point at the map, or walk it with the arrow keys. Enter or a click pins a cell.</span>
        )}
        {pin && <span className="pcb-pinned">Pinned: {pin.text}</span>}
      </figcaption>
    </figure>
  );
}

const same = (a: TileAt, b: TileAt) => a.level === b.level && a.row === b.row && a.col === b.col;
