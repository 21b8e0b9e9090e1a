/**
 * Agents for scenarios.
 */
import type { AgentScript, Fault } from "../../src/layers/AgentClientMemory.ts"

/** A storage snapshot after 2 s, the end after 20 s. */
export const snapshotAgent: AgentScript = {
  phases: [
    { at: 0, phase: "running", mode: "snapshot" },
    { at: "2 seconds", phase: "snapshotted" },
    { at: "20 seconds", phase: "done", artifact: "backup.tar.zst" }
  ]
}

/** An agent that is ready at once. */
export const after = (...phases: AgentScript["phases"]): AgentScript => ({ phases })

/** A fault in some calls of one operation. */
export const faultAt = (
  operation: Parameters<NonNullable<AgentScript["fault"]>>[0],
  fault: Fault,
  when: (n: number) => boolean = () => true
): AgentScript["fault"] =>
(called, n) => called === operation && when(n) ? fault : undefined
