// What can be seen of a layer, as tabs that arrow keys walk.

import { useRef, type KeyboardEvent } from "react";
import { TABS, type Tab } from "./commands";

interface TabsProps {
  /** Id of what the tabs change. */
  panel: string;
  layer: number;
  kind: string;
  kernel: string;
  tab: Tab;
  onTab: (tab: Tab) => void;
}

export function Tabs({ panel, layer, kind, kernel, tab, onTab }: TabsProps) {
  const list = useRef<HTMLDivElement>(null);
  const names = Object.keys(TABS) as Tab[];
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const next = names[(names.indexOf(tab) + by + names.length) % names.length];
    onTab(next);
    list.current?.querySelector<HTMLElement>(`[data-tab='${next}']`)?.focus();
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div className="pcb-detail-head">
      <h3>Layer {layer} · {kind} · <code>{kernel}</code></h3>
      <div role="tablist" aria-label="About the layer" ref={list} onKeyDown={onKeyDown}>
        {names.map((name) => (
          <button key={name} type="button" role="tab" data-tab={name} aria-selected={tab === name} aria-controls={panel} tabIndex={tab === name ? 0 : -1} onClick={() => onTab(name)}>{TABS[name]}</button>
        ))}
      </div>
    </div>
  );
}
