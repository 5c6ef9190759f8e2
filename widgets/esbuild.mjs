// The whole bundler configuration. Without `define.amd` a page that carries RequireJS (JupyterLab, nbclassic) would
// make UMD dependencies register themselves with it, instead of exporting into our module.
import { build } from "esbuild";

await build({
  entryPoints: { workbench: "src/workbench/index.tsx", "workbench.style": "src/workbench/style.css" },
  outdir: "pcbench_widgets/static",
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  charset: "utf8", // and not six bytes for each ·, × and Σ
  legalComments: "none",
  jsx: "automatic",
  // The sources, and zustand, import React by its name; DECISIONS.md says why they get Preact.
  alias: { react: "preact/compat", "react-dom/client": "preact/compat/client", "react/jsx-runtime": "preact/jsx-runtime" },
  define: { "process.env.NODE_ENV": '"production"', "define.amd": "false" },
  logLevel: "warning",
});
