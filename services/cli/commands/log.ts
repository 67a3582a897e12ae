/** `conclave log`: the story of a goal as the log stream alone tells it. */
import { z } from 'zod';
import type { LogEntry } from '../../../shared/core/log-entry.ts';
import type { MeshClient } from '../../../shared/adapters/mesh-client.ts';
import { isTerminalGoal } from '../../../shared/protocol/goal.ts';
import { type Context, idArgument, withMesh } from '../context.ts';
import { CommandFailure, EXIT, type ExitCode } from '../failure.ts';
import { logLine } from '../render/log.ts';
import { sequenceDiagram } from '../render/mermaid.ts';
import { count, safeJson } from '../render/text.ts';
import { requireGoal } from '../waiting.ts';
import { verifyLog } from './log-verify.ts';

const Options = z.object({
  json: z.boolean().default(false),
  mermaid: z.boolean().default(false),
  follow: z.boolean().default(false),
  verify: z.boolean().default(false),
  agent: z.string().optional(),
  task: z.string().optional(),
  type: z.array(z.string()).optional(),
});
type Options = z.infer<typeof Options>;

export async function log(context: Context, args: readonly string[], given: unknown): Promise<ExitCode> {
  const options = Options.parse(given);
  if (options.verify) return verifyLog(context, args, options.json);
  if (args.length === 0) throw new CommandFailure(EXIT.usage, 'goalId: expected one, or --verify for the whole mesh');
  const goalId = idArgument(args, 0, 'goalId');
  return withMesh(context, async (mesh) => tell(context, mesh, goalId, options));
}

async function tell({ terminal }: Context, mesh: MeshClient, goalId: string, options: Options): Promise<ExitCode> {
  const { json, mermaid, follow } = options;
  const wanted = filterOf(options);
  const diagram = sequenceDiagram();
  let entries = 0;
  let told = 0;
  let over = false;
  for await (const entry of mesh.log(goalId, follow ? terminal.signal : undefined)) {
    if (terminal.signal.aborted) return EXIT.interrupted;
    entries += 1;
    over ||= entry.kind === 'goal' && isTerminalGoal(entry.record);
    if (!wanted(entry)) continue;
    told += 1;
    if (mermaid) diagram.add(entry);
    else if (json) terminal.out(safeJson({ ...entry, at: new Date(entry.at).toISOString() }));
    else if (!isBookkeeping(entry, options)) terminal.out(logLine(terminal.screen(), entry));
    await terminal.room();
  }
  if (entries === 0) throw await absent(mesh, goalId);
  if (told === 0) terminal.note(`none of the ${count(entries, 'entry', 'entries')} of goal ${goalId} is as asked for`);
  if (mermaid) terminal.out(diagram.text());
  if (terminal.signal.aborted) return EXIT.interrupted;
  if (!over && !follow && !json && !mermaid) terminal.note(`goal ${goalId} is not over; --follow goes on until it is`);
  return EXIT.done;
}

/** What is reserved before a call and given back after it is no part of the story, unless somebody asks for it. */
function isBookkeeping(entry: LogEntry, { type }: Options): boolean {
  return entry.kind === 'cost' && entry.change.kind === 'reserve' && type === undefined;
}

/** Why the log has nothing of this goal. */
async function absent(mesh: MeshClient, goalId: string): Promise<CommandFailure> {
  await requireGoal(mesh, goalId);
  return new CommandFailure(
    EXIT.failed,
    `the log ${mesh.subjects.logStream} has no record of goal ${goalId} yet, though the goal exists: the broker copies records into the log a moment later, so try again; if it stays so, run: conclave log ${goalId} --verify`,
  );
}

/** True for the entries that every given filter lets through. */
function filterOf({ agent, task, type }: Options): (entry: LogEntry) => boolean {
  const kinds: ReadonlySet<string> | undefined = type === undefined ? undefined : new Set<string>(type);
  /** Ballots name their round only. */
  const taskOfRound = new Map<string, string>();
  return (entry) => {
    if (entry.kind === 'vote' && entry.record.taskId !== undefined)
      taskOfRound.set(entry.record.roundId, entry.record.taskId);
    return (
      (kinds === undefined || kinds.has(entry.kind)) &&
      (task === undefined || taskOf(entry, taskOfRound) === task) &&
      (agent === undefined || agentsOf(entry).includes(agent))
    );
  };
}

function taskOf(entry: LogEntry, taskOfRound: ReadonlyMap<string, string>): string | undefined {
  switch (entry.kind) {
    case 'task':
    case 'message':
    case 'round':
    case 'vote':
      return entry.record.taskId;
    case 'plan':
      return entry.record.cause;
    case 'ballot':
      return taskOfRound.get(entry.record.roundId);
    case 'goal':
    case 'cost':
    case 'unreadable':
      return undefined;
  }
}

/** Every agent that has a part in the entry. */
function agentsOf(entry: LogEntry): readonly string[] {
  switch (entry.kind) {
    case 'goal':
      return 'acceptedBy' in entry.record ? [entry.record.acceptedBy] : [];
    case 'task':
      return entry.agentId === undefined ? [] : [entry.agentId];
    case 'cost':
      return entry.change.agents;
    case 'message':
      return [entry.record.sender, entry.record.receiver];
    case 'vote':
    case 'round':
      return entry.record.roster;
    case 'ballot':
      return [entry.record.agent];
    case 'plan':
    case 'unreadable':
      return [];
  }
}
