// Canvases cannot read CSS variables: this resolves them, and again whenever the theme changes.

import { useEffect, useState, type RefObject } from "react";
import type { Kind } from "./protocol";

export interface Palette {
  background: string;
  foreground: string;
  muted: string;
  border: string;
  accent: string;
  kinds: Record<Kind, string>;
  series: string[];
  font: string;
}

const FALLBACK: Palette = {
  background: "#fff",
  foreground: "#222",
  muted: "#666",
  border: "#ccc",
  accent: "#1976d2",
  kinds: { input: "#00785a", product: "#c2500a", sum: "#0067a8" },
  series: ["#0067a8", "#c2500a", "#00785a", "#a4447a", "#555"],
  font: "sans-serif",
};

function read(element: Element): Palette {
  const style = getComputedStyle(element);
  const color = (name: string) => style.getPropertyValue(name).trim();
  return {
    background: color("--pcb-paper"),
    foreground: color("--pcb-text"),
    muted: color("--pcb-muted"),
    border: color("--pcb-border"),
    accent: color("--pcb-accent"),
    kinds: { input: color("--pcb-input"), product: color("--pcb-product"), sum: color("--pcb-sum") },
    series: [1, 2, 3, 4, 5].map((i) => color(`--pcb-series-${i}`)),
    font: style.fontFamily,
  };
}

export function usePalette(root: RefObject<Element | null>): Palette {
  const [palette, setPalette] = useState(FALLBACK);
  useEffect(() => {
    const update = () => root.current && setPalette(read(root.current));
    update();
    const observer = new MutationObserver(() => requestAnimationFrame(update));
    observer.observe(document.body, { attributes: true });
    // JupyterLab swaps a style sheet after the attribute: read once more when the new sheet has loaded.
    const head = new MutationObserver(() => setTimeout(update, 60));
    head.observe(document.head, { childList: true });
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", update);
    return () => {
      observer.disconnect();
      head.disconnect();
      dark.removeEventListener("change", update);
    };
  }, [root]);
  return palette;
}
