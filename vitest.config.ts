import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const src = fileURLToPath(new URL("src/", import.meta.url))

export default defineConfig({
  // the examples import the package by its name
  resolve: {
    alias: [
      { find: /^quiesce$/, replacement: `${src}index.ts` },
      { find: /^quiesce\/(.+)$/, replacement: `${src}$1.ts` }
    ]
  },
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    globalSetup: ["test/support/globalSetup.ts"],
    setupFiles: ["test/support/setup.ts"],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // two cores: live tests measure real processes
    maxWorkers: 2,
    minWorkers: 1
  }
})
