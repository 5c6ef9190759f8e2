// Between a Jupyter model and the store: decodes, asks for what is missing, keeps an eye on the heartbeat.

import { decode, type Outgoing } from "./protocol";
import { createWorkbenchStore, receive, requestSync, watchHeartbeat, type Store } from "./store";

/** The part of an anywidget model that is used here; a test brings its own. */
export interface Channel {
  on(event: "msg:custom" | "comm_live_update", callback: (message: unknown, buffers: DataView[]) => void): void;
  off(event: "msg:custom" | "comm_live_update", callback: (message: unknown, buffers: DataView[]) => void): void;
  send(message: Outgoing, callbacks?: unknown, buffers?: ArrayBuffer[]): void;
}

const HEARTBEAT_CHECK_MS = 1000;
const FIRST_RETRY_MS = 1000;
const LAST_RETRY_MS = 16_000;

export function connect(channel: Channel): { store: Store; disconnect: () => void } {
  const store = createWorkbenchStore((message, buffers) => {
    try {
      channel.send(message, undefined, buffers);
    } catch {
      // Jupyter throws once the kernel was shut down. `heard: 0` keeps it gone until a message comes.
      store.setState({ heard: 0, kernelGone: true, kernelEnded: true });
    }
  });
  const listener = (message: unknown, buffers: DataView[]) => {
    try {
      const decoded = decode(message as Record<string, unknown>, buffers);
      if (decoded !== null) receive(store, decoded);
    } catch (error) {
      store.setState({ notice: `A message could not be read: ${String(error)}` });
    }
  };
  // Jupyter cuts the line when a kernel is restarted: whoever speaks then learns of it, sooner than by missing heartbeats.
  const probe = () => requestSync(store);
  channel.on("msg:custom", listener);
  channel.on("comm_live_update", probe);
  requestSync(store);
  const stopRetrying = retrySync(store);
  const heartbeat = setInterval(() => watchHeartbeat(store), HEARTBEAT_CHECK_MS);
  const disconnect = () => {
    stopRetrying();
    clearInterval(heartbeat);
    channel.off("msg:custom", listener);
    channel.off("comm_live_update", probe);
  };
  return { store, disconnect };
}

/**
 * A request can be lost, while the kernel is still connecting or just after a page reload; a kernel that was gone may
 * be back. Each try waits twice as long as the one before: a busy kernel answers all of them, one after another.
 */
function retrySync(store: Store): () => void {
  let wait = FIRST_RETRY_MS;
  let timer: ReturnType<typeof setTimeout>;
  const check = () => {
    const { syncing, kernelGone } = store.getState();
    if (syncing || kernelGone) {
      requestSync(store);
      wait = Math.min(2 * wait, LAST_RETRY_MS);
    } else wait = FIRST_RETRY_MS;
    timer = setTimeout(check, wait);
  };
  timer = setTimeout(check, wait);
  return () => clearTimeout(timer);
}
