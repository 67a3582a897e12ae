/** The command line's grammar. What a command does is loaded when it is called, so that `--help` and a wrong option answer at once. */
import { Command as Program, CommanderError, Option } from 'commander';
import conclave from '../../package.json' with { type: 'json' };
import type { LogKind } from '../../shared/core/log-entry.ts';
import type { GoalStatus, Pattern } from '../../shared/protocol/goal.ts';
import type { DeadOrigin } from '../../shared/protocol/subjects.ts';
import type { VoteMethod } from '../../shared/protocol/vote.ts';
import { withSecretFiles } from '../../shared/runtime/secret-files.ts';
import type { Command, Context } from './context.ts';
import { CommandFailure, EXIT, type ExitCode } from './failure.ts';
import { safeLine } from './render/text.ts';
import type { Terminal } from './terminal.ts';
import { amount, everyWhole, ids, list, listOf, metadata, oneOf, share, weights, whole } from './values.ts';

// Named here again because the schemas would be half of the start-up; the types see to it that none is missing.
const PATTERNS: Readonly<Record<Pattern, true>> = {
  sequential: true,
  parallel: true,
  orchestrator: true,
  'peer-to-peer': true,
};
const STATUSES: Readonly<Record<GoalStatus, true>> = {
  planning: true,
  running: true,
  completed: true,
  failed: true,
  cancelled: true,
  rejected: true,
};
const ORIGINS: Readonly<Record<DeadOrigin, true>> = {
  goals: true,
  tasks: true,
  cancel: true,
  ready: true,
  message: true,
  vote: true,
};

const METHODS: Readonly<Record<VoteMethod, true>> = {
  majority: true,
  weighted: true,
  unanimous: true,
  'ahead-by-k': true,
};

const LOG_KINDS: Readonly<Record<LogKind, true>> = {
  goal: true,
  task: true,
  plan: true,
  cost: true,
  message: true,
  vote: true,
  ballot: true,
  round: true,
  unreadable: true,
};

const EXIT_CODES = `
Exit codes: 0 done, 1 the goal failed, 2 usage, 69 broker unreachable, 124 waited too long.
Environment: NATS_URL, MESH, NATS_CA, NATS_CREDS or NATS_NKEY_SEED (or NATS_NKEY_SEED_FILE), NO_COLOR; LOG_LEVEL=debug adds the stack of an error.`;

/** Widest help text that is still read with ease. */
const HELP_WIDTH = 110;
const URL_DEFAULT = 'nats://127.0.0.1:4222';
const MESH_DEFAULT = 'mesh';

/** Runs one command line. Resolves to the exit code; whatever goes wrong has been said on stderr by then. */
export async function runCommandLine(argv: readonly string[], terminal: Terminal): Promise<ExitCode> {
  let code: ExitCode = EXIT.done;
  const program = grammar(terminal, (finished) => {
    code = finished;
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
    return code;
  } catch (error) {
    // Commander has said what it expected by now; asking for help or the version is no mistake.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    const message = error instanceof Error ? error.message : String(error);
    terminal.note(`conclave: ${safeLine(message)}`);
    if (process.env['LOG_LEVEL'] === 'debug' && error instanceof Error) terminal.note(stacks(error));
    return error instanceof CommandFailure ? error.exitCode : EXIT.failed;
  }
}

function stacks(error: Error): string {
  const cause = error.cause instanceof Error ? `\ncaused by ${stacks(error.cause)}` : '';
  return `${error.stack ?? error.message}${cause}`;
}

function grammar(terminal: Terminal, finish: (code: ExitCode) => void): Program {
  const program = new Program('conclave')
    .description('Submit goals to a mesh of agents over NATS, and look at what becomes of them.')
    .addOption(new Option('--url <url>', 'NATS broker').env('NATS_URL').default(URL_DEFAULT))
    .addOption(new Option('--mesh <name>', 'name of the mesh').env('MESH').default(MESH_DEFAULT))
    .version(conclave.version)
    .exitOverride()
    .configureOutput({
      writeOut: (text) => terminal.out(text.replace(/\n$/, '')),
      writeErr: (text) => terminal.note(safeBlockOf(text)),
      getOutHelpWidth: () => Math.min(HELP_WIDTH, terminal.screen().width),
      getErrHelpWidth: () => HELP_WIDTH,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .showHelpAfterError('(add --help to see what is accepted)')
    .addHelpText('after', EXIT_CODES);

  const runs = (command: Program, load: () => Promise<Command>): void => {
    command.action(async () => {
      const { url, mesh } = program.opts<{ url: string; mesh: string }>();
      finish(await (await load())(contextOf(terminal, url, mesh), command.args, command.opts()));
    });
  };

  const submit = program
    .command('submit')
    .description('submit a goal and print its goalId')
    .argument('<description>', 'what is to be done')
    .option('--input <file>', 'a .json file is its value, other text becomes {"text": ...}; - is standard input')
    .addOption(new Option('--pattern <pattern>', 'how the goal is run').choices(Object.keys(PATTERNS)))
    .option('--tasks <file>', 'an explicit task graph: a JSON array of tasks, or {"tasks": [...]}')
    .option('--goal-id <id>', 'a second submission of the same id is ignored')
    .addOption(
      new Option('--on-task-failure <what>', 'fail: cancel the rest; continue: run what does not depend on it').choices(
        ['fail', 'continue'],
      ),
    )
    .option(
      '--replans <n>',
      'plan anew what a failed task leaves undone, at most so often (default: 2 for a planned orchestrator goal)',
      whole(0),
    )
    .option('--budget-usd <usd>', 'spend at most this', amount)
    .option('--budget-tokens <n>', 'use at most this many tokens', whole(0))
    .option('--budget-messages <n>', 'send at most this many messages between agents', whole(0))
    .option('--wall-ms <ms>', 'end after this time', whole(1))
    .option('--metadata <key=value>', 'returned untouched; may be repeated', metadata)
    .option('--wait', 'wait for the end and print the result (the goalId goes to stderr)')
    .option('--timeout-ms <ms>', 'with --wait: wait no longer than this', whole(1))
    .option('--json', 'print the receipt, or with --wait the goal record, as JSON');
  runs(submit, async () => (await import('./commands/submit.ts')).submit);

  const watch = program
    .command('watch')
    .description("watch a goal's tasks until it ends")
    .argument('<goalId>')
    .option('--timeout-ms <ms>', 'watch no longer than this', whole(1))
    .option('--json', 'print each changed record as one line of JSON');
  runs(watch, async () => (await import('./commands/watch.ts')).watch);

  const show = program
    .command('show')
    .description('show a goal with its tasks and its result, or one of its tasks')
    .argument('<goalId>')
    .argument('[taskId]')
    .option('--json', 'print the record as JSON');
  runs(show, async () => (await import('./commands/show.ts')).show);

  const goals = program
    .command('goals')
    .description('list goals, newest first')
    .addOption(new Option('--status <status>', 'only those').choices(Object.keys(STATUSES)))
    .option('--limit <n>', 'at most this many', whole(1), 20)
    .option('--json', 'print the records as a JSON array, one per line');
  runs(goals, async () => (await import('./commands/goals.ts')).goals);

  const agents = program
    .command('agents')
    .description('list the agents that are present')
    .option('--json', 'print the records as a JSON array, one per line');
  runs(agents, async () => (await import('./commands/agents.ts')).agents);

  const cancel = program
    .command('cancel')
    .description('end a goal: no new task starts, running ones are aborted')
    .argument('<goalId>')
    .option('--reason <text>', 'told in the goal record')
    .option('--wait', 'wait until the goal has ended')
    .option('--timeout-ms <ms>', 'with --wait: wait no longer than this', whole(1))
    .option('--json', 'with --wait: print the goal record as JSON');
  runs(cancel, async () => (await import('./commands/cancel.ts')).cancel);

  const log = program
    .command('log')
    .description(
      "tell a goal's story from the log alone: transitions, messages, votes, retries, costs, in causal order",
    )
    .argument('[goalId]', 'with --verify it may be absent: the whole mesh')
    .option('--agent <agentId>', 'only what this agent has a part in')
    .option('--task <taskId>', 'only what is about this task')
    .option('--type <kind,...>', `only these: ${Object.keys(LOG_KINDS).join(', ')}`, listOf(Object.keys(LOG_KINDS)))
    .option('--follow', 'go on until the goal is over')
    .option('--json', 'print each entry (with --verify each finding) as one line of JSON')
    .addOption(new Option('--mermaid', 'print a Mermaid sequence diagram').conflicts('json'))
    .addOption(
      new Option('--verify', 'check that nothing is missing from the log; exit code 1 if something is').conflicts([
        'agent',
        'task',
        'type',
        'follow',
        'mermaid',
      ]),
    );
  runs(log, async () => (await import('./commands/log.ts')).log);

  const vote = program
    .command('vote')
    .description('hold a vote round among the agents of a capability')
    .argument('<proposal>', 'what is voted on')
    .requiredOption('--options <a,b>', 'the positions to choose from', list)
    .requiredOption('--electorate <capability>', 'every present agent that has it may vote')
    .addOption(new Option('--method <method>', 'how it is decided').choices(Object.keys(METHODS)).default('majority'))
    .option('--input <file>', 'what voters shall judge by, as in submit')
    .option('--quorum <n>', 'ballots that must be present (default: more than half of the voters)', whole(1))
    .option('--k <n>', 'ahead-by-k: the lead that decides', whole(1))
    .option('--threshold <share>', 'weighted: the share of the scores that the leader must hold, 0 to 1', share)
    .option('--weights <agent=weight,...>', 'weighted: weights of voters (default: their own, else 1)', weights)
    .option('--round-id <id>', 'a round that was decided already is not held again')
    .option('--timeout-ms <ms>', 'the deadline of the round', whole(1), 30_000)
    .option('--json', 'print the round record as JSON');
  runs(vote, async () => (await import('./commands/vote.ts')).vote);

  const dead = program
    .command('dead')
    .description('look at dead letters and send them again')
    .argument('[action]', 'list or redrive', oneOf('list', 'redrive'), 'list')
    .option('--id <id...>', 'redrive: the letters with these ids', everyWhole)
    .option('--all', 'redrive: all letters')
    .option('--goal <goalId>', 'only letters of this goal')
    .option('--code <code>', 'only letters with this cause')
    .addOption(new Option('--origin <origin>', 'only letters from here').choices(Object.keys(ORIGINS)))
    .option('--json', 'list: print the records as a JSON array, one per line');
  runs(dead, async () => (await import('./commands/dead.ts')).dead);

  const cost = program
    .command('cost')
    .description('what a goal cost: per agent, per task, per message type; predicted and measured')
    .argument('<goalId>')
    .option('--json', 'print the goal record as JSON, with a `report` beside it');
  runs(cost, async () => (await import('./commands/cost.ts')).cost);

  const admin = program.command('admin').description('look after a mesh');
  const init = admin
    .command('init')
    .description('create the streams, buckets and queues of the mesh where they are missing')
    .option('--replicas <n>', '1 on a single server, 3 on a cluster', whole(1), 1)
    .option('--capabilities <names>', 'also their queues, which otherwise come with the first agent or task', ids);
  runs(init, async () => (await import('./commands/admin.ts')).init);
  const backup = admin
    .command('backup')
    .description('copy every stream of the mesh to files, while it runs')
    .argument('<folder>', 'made if it is not there');
  runs(backup, async () => (await import('./commands/admin.ts')).backup);
  const restore = admin
    .command('restore')
    .description('bring the streams of a backup to a broker that has none of them; agents must not run')
    .argument('<folder>', 'what backup wrote')
    .option('--replicas <n>', 'other than they were backed up with', whole(1));
  runs(restore, async () => (await import('./commands/admin.ts')).restore);

  return program;
}

function contextOf(terminal: Terminal, url: string, mesh: string): Context {
  const { env, unreadable } = withSecretFiles(process.env);
  if (unreadable !== undefined) {
    throw new CommandFailure(
      EXIT.usage,
      `${unreadable.variable}: expected a readable file, and there is none at ${unreadable.file}`,
    );
  }
  const { NATS_CREDS: credsFile, NATS_NKEY_SEED: nkeySeed, NATS_CA: caFile } = env;
  return {
    terminal,
    broker: {
      // As for agents, a variable that is set to nothing is not set.
      url: url === '' ? URL_DEFAULT : url,
      mesh: mesh === '' ? MESH_DEFAULT : mesh,
      ...(caFile === undefined || caFile === '' ? {} : { caFile }),
      ...(credsFile === undefined || credsFile === '' ? {} : { credsFile }),
      ...(nkeySeed === undefined || nkeySeed === '' ? {} : { nkeySeed }),
    },
  };
}

/** Commander quotes what it was given. */
function safeBlockOf(text: string): string {
  return text.replace(/\n$/, '').split('\n').map(safeLine).join('\n');
}
