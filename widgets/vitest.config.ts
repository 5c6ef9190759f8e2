import { defineConfig } from "vitest/config";

// The fixture of the protocol lies beside the Python tests, one folder above this one.
export default defineConfig({
  test: { include: ["src/**/*.test.ts"], environment: "node" },
  server: { fs: { allow: [".."] } },
});
