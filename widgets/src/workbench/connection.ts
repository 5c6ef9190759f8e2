// Between a Jupyter model and the store: decodes, asks for what is missing, keeps an eye on the heartbeat.

import { decode, type Outgoing } from "./protocol";
import { createWorkbenchStore, receive, watchHeartbeat, type Store } from "./store";

/** The part of an anywidget model that is used here; a test brings its own. */
export interface Channel {
  on(event: "msg:custom", callback: (message: unknown, buffers: DataView[]) => void): void;
  off(event: "msg:custom", callback: (message: unknown, buffers: DataView[]) => void): void;
  send(message: Outgoing): void;
}

const HEARTBEAT_CHECK_MS = 1000;
const SYNC_RETRY_MS = 3000;

export function connect(channel: Channel): { store: Store; disconnect: () => void } {
  const store = createWorkbenchStore((message) => channel.send(message));
  let answered = false;
  const listener = (message: unknown, buffers: DataView[]) => {
    answered = true;
    try {
      const decoded = decode(message as Record<string, unknown>, buffers);
      if (decoded !== null) receive(store, decoded);
    } catch (error) {
      store.setState({ notice: `A message could not be read: ${String(error)}` });
    }
  };
  channel.on("msg:custom", listener);
  const sync = () => channel.send({ type: "sync", have: store.getState().have });
  sync();
  // The first request can be lost while the kernel is still connecting; a kernel that was gone may be back.
  const retry = setInterval(() => (!answered || store.getState().kernelGone) && sync(), SYNC_RETRY_MS);
  const heartbeat = setInterval(() => watchHeartbeat(store), HEARTBEAT_CHECK_MS);
  const disconnect = () => {
    clearInterval(retry);
    clearInterval(heartbeat);
    channel.off("msg:custom", listener);
  };
  return { store, disconnect };
}
