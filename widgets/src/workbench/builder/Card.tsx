// A block as a card in the DOM, for the few that are seen from near.

import { memo } from "react";
import { SYMBOL } from "../circuit/draw";
import { CARD } from "./places";
import type { NodeKind } from "./scene";

export interface CardProps {
  /** A block's id, or a folded region's number below zero. */
  id: number;
  kind: NodeKind;
  label: string;
  units: number;
  chips: string;
  more: number;
  foot: string;
  root: boolean;
  selected: boolean;
  /** Pointed at in another pane. */
  lit: boolean;
  focused: boolean;
  /** While a connection is drawn: whether it may end here; undefined where none is, or at its start. */
  legal: boolean | undefined;
  bad: boolean;
  x: number;
  y: number;
}

export const Card = memo(function Card(props: CardProps) {
  const { id, kind, label, units, chips, more, foot, legal } = props;
  const state = [
    props.selected && "pcb-card-selected",
    props.lit && "pcb-card-lit",
    props.focused && "pcb-card-focused",
    props.bad && "pcb-card-bad",
    legal === true && "pcb-card-legal",
    legal === false && "pcb-card-illegal",
  ].filter(Boolean);
  return (
    <div
      className={`pcb-card pcb-card-${kind} ${state.join(" ")}`}
      data-block={id}
      data-kind={kind}
      style={{ left: props.x - CARD.width / 2, top: props.y - CARD.height / 2 }}
    >
      {kind !== "region" && <i className="pcb-port pcb-port-top" data-port="parent" title="Drag to a parent" />}
      <div className="pcb-card-head">
        {kind === "region" ? (
          <span className="pcb-glyph pcb-glyph-region">▸</span>
        ) : (
          <span className={`pcb-glyph pcb-glyph-${kind}`}>{SYMBOL[kind]}</span>
        )}
        <strong>{label}</strong>
        {units > 1 && <span>×{units}</span>}
      </div>
      <div className="pcb-chips">
        {chips && chips.split("\n").map((name) => <b key={name}>{name}</b>)}
        {more > 0 && <span>+{more}</span>}
      </div>
      <div className="pcb-card-foot">
        <span>{foot}</span>
        {props.root && <em>root</em>}
      </div>
      {kind !== "input" && kind !== "region" && (
        <i className="pcb-port pcb-port-bottom" data-port="child" title="Drag to a child" />
      )}
    </div>
  );
});
