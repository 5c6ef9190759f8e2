import { defineConfig } from "vitest/config";

// The fixture of the protocol lies beside the Python tests, one folder above this one.
export default defineConfig({
  resolve: { alias: { react: "preact/compat" } }, // as in esbuild.mjs
  test: { include: ["src/**/*.test.ts"], environment: "node", server: { deps: { inline: ["zustand"] } } },
  server: { fs: { allow: [".."] } },
});
