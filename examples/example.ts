// What an example consists of: its services, its config, and calls that show what it does.

export interface Service {
  readonly name: string
  /** Path from the root of the repository. */
  readonly file: string
  readonly port: number
}

export interface SampleCall {
  readonly title: string
  /** A command for a POSIX shell that works word for word from the root of the repository. */
  readonly command: string
  /** What its output must match; the tests hold it against that. */
  readonly expect: RegExp
}

export interface Example {
  readonly title: string
  /** Path of the config file from the root of the repository. */
  readonly config: string
  /** Paths of modules that add policies and ends, from the root of the repository. */
  readonly extensions?: readonly string[]
  readonly services: readonly Service[]
  /** Ports that the gateway takes, the one that answers calls first. */
  readonly ports: readonly number[]
  readonly calls: readonly SampleCall[]
  /** Makes what the config needs, such as certificates. */
  prepare?(): Promise<void>
}
