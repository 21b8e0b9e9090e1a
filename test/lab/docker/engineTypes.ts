/**
 * What tests look at of the Engine's answers.
 */
/** Of `GET /containers/ID/json`. */
export interface Inspect {
  readonly Id: string
  readonly Name: string
  readonly Image: string
  readonly RestartCount: number
  readonly State: {
    readonly Status: "created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead"
    readonly Running: boolean
    readonly Paused: boolean
    readonly Restarting: boolean
    readonly OOMKilled: boolean
    readonly Pid: number
    readonly ExitCode: number
    readonly Error: string
    readonly StartedAt: string
    readonly FinishedAt: string
    readonly Health?: { readonly Status: string; readonly FailingStreak: number }
  }
  readonly Config: {
    readonly Labels: Readonly<Record<string, string>>
    readonly StopSignal?: string
    readonly StopTimeout?: number
    readonly Env: ReadonlyArray<string>
  }
  readonly HostConfig: {
    readonly NetworkMode: string
    readonly AutoRemove: boolean
    readonly RestartPolicy: { readonly Name: string; readonly MaximumRetryCount: number }
  }
  readonly Mounts: ReadonlyArray<{ readonly Type: string; readonly Source: string; readonly Destination: string }>
}

/** One entry of `GET /containers/json`. */
export interface Listed {
  readonly Id: string
  readonly Names: ReadonlyArray<string>
  readonly State: Inspect["State"]["Status"]
  readonly Status: string
  readonly Labels: Readonly<Record<string, string>>
}
