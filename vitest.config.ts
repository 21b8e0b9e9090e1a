import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { BaseSequencer, type TestSpecification } from "vitest/node"

const src = fileURLToPath(new URL("src/", import.meta.url))

/** At the end they would be alone, with the other core idle. */
const longest = [/\/test\/mutants\//, /\/live\/kill\.test/, /\/programs\/interruption\.test/]

class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    const isLong = ({ moduleId }: TestSpecification) => longest.some((one) => one.test(moduleId))
    const sorted = await super.sort(files)
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))]
  }
}

export default defineConfig({
  // the examples import the package by its name
  resolve: {
    alias: [
      { find: /^quiesce$/, replacement: `${src}index.ts` },
      { find: /^quiesce\/(.+)$/, replacement: `${src}$1.ts` }
    ]
  },
  test: {
    include: process.env["QUIESCE_LONG"] === "1"
      ? ["test/**/*.long.test.ts"]
      : ["test/**/*.test.ts", "examples/**/*.test.ts"],
    // whole sweeps of kills and faults: `npm run test:long`
    exclude: process.env["QUIESCE_LONG"] === "1" ? [] : ["test/**/*.long.test.ts"],
    globalSetup: ["test/support/globalSetup.ts"],
    setupFiles: ["test/support/setup.ts"],
    sequence: { sequencer: LongestFirst },
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // for two cores: live tests wait for real processes most of the time, and measure them
    maxWorkers: 3,
    minWorkers: 1
  }
})
