/** The subcommands of `cyclegrad` and their exit status. */
import { Command, CommanderError } from 'commander';
import { addDataCommand } from './commands/data.ts';
import { addDoctorCommand } from './commands/doctor.ts';
import { addEvaluateCommand } from './commands/evaluate.ts';
import { addExampleCommand } from './commands/example.ts';
import { describeFailure, EXIT_USAGE, exitCodeOf } from './failure.ts';
import type { Host } from './host.ts';
import { addExportCommand } from './commands/export.ts';
import { addFindLrCommand } from './commands/find-lr.ts';
import { widthOf } from './terminal/plot.ts';
import { addPredictCommand } from './commands/predict.ts';
import { addProfileCommand } from './commands/profile.ts';
import { addScheduleCommand } from './commands/schedule.ts';
import { addTrainCommand } from './commands/train.ts';
import { addUiCommand } from './commands/ui.ts';
import { ownVersion } from './version.ts';

/**
 * Runs the command with the arguments after its name. Returns the exit status: 0 for success, 1 for failure, 2 for a usage error, 129, 130 or
 * 143 for SIGHUP, Ctrl-C or SIGTERM. Never throws. Failures are reported on `host.stderr`.
 */
export async function runCli(args: readonly string[], host: Host): Promise<number> {
  let code = 0;
  const setCode = (value: number): void => void (code = value);
  const program = new Command('cyclegrad')
    .description('Train neural networks with cyclical learning rates.')
    .version(ownVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .option('--verbose', 'print the stack of an error')
    .showSuggestionAfterError()
    .showHelpAfterError("(--help after a command's name lists its options)")
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void host.stdout.write(text),
      writeErr: (text) => void host.stderr.write(text),
      getOutHelpWidth: () => Math.min(widthOf(host.stdout, host.env), 110),
      getErrHelpWidth: () => Math.min(widthOf(host.stderr, host.env), 110),
    })
    .exitOverride();
  // Subcommands copy these settings when they are created, so they come last.
  addTrainCommand(program, host, args, setCode);
  addEvaluateCommand(program, host, setCode);
  addPredictCommand(program, host, setCode);
  addExportCommand(program, host);
  addDataCommand(program, host, setCode);
  addDoctorCommand(program, host, setCode);
  addProfileCommand(program, host);
  addFindLrCommand(program, host, setCode);
  addScheduleCommand(program, host);
  addExampleCommand(program, host, setCode);
  addUiCommand(program, host);

  try {
    await program.parseAsync([...args], { from: 'user' });
    return code;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_USAGE; // commander has printed the reason
    host.stderr.write(`${describeFailure(error, args.includes('--verbose'))}\n`);
    return exitCodeOf(error);
  }
}
