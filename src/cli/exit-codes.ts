// What the command line's exit codes mean; documented in docs/cli.md.

export const ExitCode = {
  ok: 0,
  /** Something failed that is neither the config's nor the command's fault. */
  failed: 1,
  /** The command was called in a way it does not understand. */
  usage: 2,
  /** The config has mistakes. */
  config: 3,
  /** A port cannot be listened on. */
  port: 4,
  /** No gateway answers. */
  unreachable: 5,
} as const
