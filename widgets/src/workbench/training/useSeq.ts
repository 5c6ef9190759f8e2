import { useEffect, useState } from "react";
import type { Store } from "../store";

const APART_MS = 80;

/** The newest point's number, at most twelve times a second: nobody reads what changes oftener, and charts take time to draw. */
export function useSeq(store: Store): number {
  const [seq, setSeq] = useState(store.getState().seq);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const take = () => {
      timer = undefined;
      setSeq(store.getState().seq);
    };
    take();
    const unsubscribe = store.subscribe((now, before) => {
      if (now.seq !== before.seq) timer ??= setTimeout(take, APART_MS);
    });
    return () => {
      unsubscribe();
      clearTimeout(timer);
    };
  }, [store]);
  return seq;
}
