// The command line of Turnpike.

import { Command, Option } from 'commander'
import { type ConfigOptions, check, explain, reference, schema } from './cli/config-commands.ts'
import { ExitCode } from './cli/exit-codes.ts'
import { addManageCommands } from './cli/manage.ts'
import { type RunOptions, run } from './cli/run.ts'
import { version } from './threads/version.ts'

async function main(argv: readonly string[]): Promise<number> {
  let exitCode: number = ExitCode.ok
  const program = createProgram(code => {
    exitCode = code
  })
  try {
    await program.parseAsync([...argv])
  } catch (error) {
    return explainUsage(error)
  }
  return exitCode
}

/** `end` takes the exit code of the command that was run. */
function createProgram(end: (code: number) => void): Command {
  const program = new Command('turnpike')
    .description('A fast, strict, live-reloadable HTTP gateway.')
    .version(version(), '-V, --version')
    .exitOverride()
    .addHelpText('after', exitCodesHelp)
  const withConfig = (name: string, description: string) =>
    program
      .command(name)
      .description(description)
      .argument('<config>', 'the config: a YAML or JSON file, or a folder of them')
      .addOption(extensionOption())
  const withoutConfig = (name: string, description: string) =>
    program.command(name).description(description).addOption(extensionOption())

  withConfig('run', 'run the gateway in the foreground')
    .addOption(
      new Option('--log-level <level>', 'what the log says')
        .choices(['debug', 'info', 'warn', 'error'])
        .default('info'),
    )
    .addOption(new Option('--log-format <format>', 'pretty on a terminal, else json').choices(['pretty', 'json']))
    .option('--no-watch', 'reload on SIGHUP or by the admin API only, not when the config changes')
    .action(async (config: string, options: RunOptions) => end(await run(config, options)))
  withConfig('check', 'say what is wrong with a config').action(async (config: string, options: ConfigOptions) =>
    end(await check(config, options)),
  )
  withConfig('explain', 'print the blueprint: the config with every default written out').action(
    async (config: string, options: ConfigOptions) => end(await explain(config, options)),
  )
  withoutConfig('schema', 'print the JSON Schema of the config, for editors').action(async (options: ConfigOptions) =>
    end(await schema(options)),
  )
  withoutConfig('reference', 'print the reference page of the config, in Markdown').action(
    async (options: ConfigOptions) => end(await reference(options)),
  )
  addManageCommands(program, end)
  return program
}

function extensionOption(): Option {
  return new Option('--extension <file...>', 'modules that add policies and ends').default([], 'none')
}

const exitCodesHelp = `
Exit codes:
  0  done
  1  something failed
  2  the command was not understood
  3  the config has mistakes
  4  a port cannot be listened on
  5  no gateway answers`

/** Commander has said what is wrong; help and version are no mistakes. */
function explainUsage(error: unknown): number {
  const { exitCode, code } = error as { exitCode?: number; code?: string }
  if (code?.startsWith('commander.')) return exitCode === 0 ? ExitCode.ok : ExitCode.usage
  process.stderr.write(`turnpike: ${error instanceof Error ? error.message : String(error)}\n`)
  return ExitCode.failed
}

// Last, when everything above is defined.
process.exitCode = await main(process.argv)
