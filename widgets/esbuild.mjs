// The whole bundler configuration. Without `define.amd` a page that carries RequireJS (JupyterLab, nbclassic) would
// make UMD dependencies register themselves with it, instead of exporting into our module.
import { build } from "esbuild";

await build({
  entryPoints: ["src/workbench/index.tsx"],
  outfile: "pcbench_widgets/static/workbench.js",
  bundle: true,
  format: "esm",
  target: "es2022",
  minify: true,
  legalComments: "none",
  jsx: "automatic",
  loader: { ".css": "text" },
  define: { "process.env.NODE_ENV": '"production"', "define.amd": "false" },
  logLevel: "warning",
});
