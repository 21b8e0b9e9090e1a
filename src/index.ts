/**
 * quiesce for other Effect programs: the contracts, the programs over them, and the layers to choose from.
 *
 * A service and its errors are in the module of the service's name, a layer in the module of its own:
 * `StackControl.StackControl`, `StackControlMemory.layer`. Each module is also a path of its own, which starts faster:
 * `quiesce/services/StackControl`.
 */
export * as AgentConfig from "./domain/AgentConfig.ts"
export * as Backup from "./domain/Backup.ts"
export * as Config from "./domain/Config.ts"
export * as Consistency from "./domain/Consistency.ts"
export * as DurationText from "./domain/DurationText.ts"
export * as Guest from "./domain/Guest.ts"
export * as LiveRun from "./domain/LiveRun.ts"
export * as Marker from "./domain/Marker.ts"
export * as Plan from "./domain/Plan.ts"
export * as Order from "./domain/Order.ts"
export * as Policy from "./domain/Policy.ts"
export * as Report from "./domain/Report.ts"
export * as RunId from "./domain/RunId.ts"
export * as SourceConfig from "./domain/SourceConfig.ts"
export * as Stack from "./domain/Stack.ts"
export * as Timetable from "./domain/Timetable.ts"
export * as Upid from "./domain/Upid.ts"
export * as VzdumpConfig from "./domain/VzdumpConfig.ts"
export * as VzdumpLog from "./domain/VzdumpLog.ts"
export * as Watch from "./domain/Watch.ts"
export * as WatchEvent from "./domain/WatchEvent.ts"

export * as AgentApi from "./protocol/AgentApi.ts"

export * as AgentClient from "./services/AgentClient.ts"
export * as DeadMan from "./services/DeadMan.ts"
export * as Engine from "./services/Engine.ts"
export * as EventSink from "./services/EventSink.ts"
export * as JobStore from "./services/JobStore.ts"
export * as LiveStatus from "./services/LiveStatus.ts"
export * as MarkerStore from "./services/MarkerStore.ts"
export * as ReportStore from "./services/ReportStore.ts"
export * as RunLock from "./services/RunLock.ts"
export * as Snapshotter from "./services/Snapshotter.ts"
export * as StackControl from "./services/StackControl.ts"
export * as Supervisor from "./services/Supervisor.ts"
export * as TokenStore from "./services/TokenStore.ts"
export * as Transfer from "./services/Transfer.ts"
export * as WatchStore from "./services/WatchStore.ts"

export {
  BackupFailed,
  type QuiesceError,
  ResumeFailed,
  RunAborted,
  RunBusy,
  RunRefused,
  UnitFailure
} from "./programs/errors.ts"
export { plan, type PlanError, StackUnsettled } from "./programs/plan.ts"
export { quiesce, type QuiesceOptions } from "./programs/quiesce.ts"
export { recover, type RecoverPolicy } from "./programs/recover.ts"
export { watch, type WatchOptions } from "./programs/watch.ts"

export * as AgentClientHttp from "./layers/AgentClientHttp.ts"
export * as AgentClientLocal from "./layers/AgentClientLocal.ts"
export * as AgentClientMemory from "./layers/AgentClientMemory.ts"
export * as AgentServer from "./layers/AgentServer.ts"
export * as AgentClientProxmox from "./layers/AgentClientProxmox.ts"
export * as DeadManMemory from "./layers/DeadManMemory.ts"
export * as DeadManShell from "./layers/DeadManShell.ts"
export * as EngineVzdump from "./layers/EngineVzdump.ts"
export * as JobStoreFile from "./layers/JobStoreFile.ts"
export * as JobStoreMemory from "./layers/JobStoreMemory.ts"
export * as Journal from "./layers/Journal.ts"
export * as LiveStatusFile from "./layers/LiveStatusFile.ts"
export * as LiveStatusMemory from "./layers/LiveStatusMemory.ts"
export * as MarkerStoreFile from "./layers/MarkerStoreFile.ts"
export * as MarkerStoreMemory from "./layers/MarkerStoreMemory.ts"
export * as ReportStoreFile from "./layers/ReportStoreFile.ts"
export * as ReportStoreMemory from "./layers/ReportStoreMemory.ts"
export * as RunLockFlock from "./layers/RunLockFlock.ts"
export * as RunLockMemory from "./layers/RunLockMemory.ts"
export * as SnapshotterAuto from "./layers/SnapshotterAuto.ts"
export * as SnapshotterBtrfs from "./layers/SnapshotterBtrfs.ts"
export * as SnapshotterCopy from "./layers/SnapshotterCopy.ts"
export * as SnapshotterMemory from "./layers/SnapshotterMemory.ts"
export * as SnapshotterNone from "./layers/SnapshotterNone.ts"
export * as SnapshotterReflink from "./layers/SnapshotterReflink.ts"
export * as StackControlCommand from "./layers/StackControlCommand.ts"
export * as StackControlDocker from "./layers/StackControlDocker.ts"
export * as StackControlMemory from "./layers/StackControlMemory.ts"
export * as TokenStoreFile from "./layers/TokenStoreFile.ts"
export * as TransferArchive from "./layers/TransferArchive.ts"
export * as TransferCommand from "./layers/TransferCommand.ts"
export * as TransferMemory from "./layers/TransferMemory.ts"
export * as WatchStoreFile from "./layers/WatchStoreFile.ts"
export * as WatchStoreMemory from "./layers/WatchStoreMemory.ts"

export * as AgentClientContract from "./testing/AgentClientContract.ts"
export * as StackControlContract from "./testing/StackControlContract.ts"
