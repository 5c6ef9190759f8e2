// The anywidget adapter: a model gets a connection, an element gets a view. Nothing here draws.

import "./rendering";
import type { AnyModel } from "@anywidget/types";
import { createRoot } from "react-dom/client";
import { connect, type Channel } from "./connection";
import type { Store } from "./store";
import { Workbench, type PaneName } from "./view";

interface Traits {
  panes: PaneName[];
  height: number;
}

interface Context {
  model: AnyModel<Traits>;
}

/** A factory and not an object: anywidget calls it once a model, so that a model's views share one store. */
export default function workbench() {
  let store: Store;
  return {
    // Here and not in render: messages that come before the first view would be lost.
    initialize({ model }: Context) {
      const connection = connect(model as unknown as Channel);
      store = connection.store;
      return connection.disconnect;
    },
    render({ model, el }: Context & { el: HTMLElement }) {
      const root = createRoot(el);
      root.render(<Workbench store={store} panes={model.get("panes")} height={model.get("height")} />);
      return () => root.unmount();
    },
  };
}
