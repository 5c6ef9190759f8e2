import { useEffect, useLayoutEffect, useRef, useState, type RefObject } from "react";

export interface Size {
  width: number;
  height: number;
}

/** The element's size in CSS pixels, followed. */
export function useSize(ref: RefObject<HTMLElement | null>): Size {
  const [size, setSize] = useState<Size>({ width: 0, height: 0 });
  useEffect(() => {
    if (!ref.current) return;
    const observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry.contentRect;
      setSize({ width, height });
    });
    observer.observe(ref.current);
    return () => observer.disconnect();
  }, [ref]);
  return size;
}

/** Draws in the next frame, and only once however many changes came before it; those that keep coming never put it off. */
export function useFrame(draw: () => void): void {
  const latest = useRef(draw);
  const pending = useRef(0);
  latest.current = draw;
  useLayoutEffect(() => {
    pending.current ||= requestAnimationFrame(() => {
      pending.current = 0;
      latest.current();
    });
  });
  useEffect(
    () => () => {
      cancelAnimationFrame(pending.current);
      pending.current = 0;
    },
    [],
  );
}

/** A crisp canvas: its pixels are the device's. Null when the canvas is not there or has no size. */
export function prepareCanvas(canvas: HTMLCanvasElement | null, size: Size): CanvasRenderingContext2D | null {
  if (canvas === null || size.width === 0 || size.height === 0) return null;
  const ratio = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(size.width * ratio), Math.round(size.height * ratio)];
  if (canvas.width !== width || canvas.height !== height) {
    canvas.width = width;
    canvas.height = height;
  }
  const context = canvas.getContext("2d");
  context?.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

/**
 * Keeps the focus in a pane when what had it is gone (a dialog, the canvas behind the table, a quiz) or was disabled (Undo,
 * at the beginning): the page would get it, and the next keys would be JupyterLab's, where two of them delete a cell.
 */
export function useKeptFocus(body: RefObject<HTMLElement | null>, dialog: boolean): void {
  const ours = useRef(false);
  useEffect(() => {
    const pane = body.current!.closest(".pcb-pane")!;
    const follow = (event: Event) => (ours.current = pane.contains(event.target as Node));
    const events = ["focusin", "pointerdown"];
    events.forEach((name) => document.addEventListener(name, follow, true));
    return () => events.forEach((name) => document.removeEventListener(name, follow, true));
  }, [body]);
  // Before the next key can come, and so not in useEffect(), which waits for a frame.
  useLayoutEffect(() => {
    const active = document.activeElement;
    const lost = active === null || active === document.body || (active as HTMLButtonElement).disabled === true;
    if (!ours.current || !lost || dialog) return;
    const home = body.current!.querySelector<HTMLElement>("[data-home]") ?? body.current!.querySelector<HTMLElement>("[role='tab'][tabindex='0']");
    home?.focus({ preventScroll: true });
  });
}
