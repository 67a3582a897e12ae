/** `conclave watch`: a goal's tasks as they go, repainted on a terminal, one line per change anywhere else. */
import { z } from 'zod';
import type { MeshClient } from '../../../shared/adapters/mesh-client.ts';
import type { FollowEvent } from '../../../shared/adapters/mesh-client-follow.ts';
import type { Presence } from '../../../shared/protocol/agent.ts';
import { type EndedGoal, type GoalRecord, isTerminalGoal } from '../../../shared/protocol/goal.ts';
import type { TaskRecord } from '../../../shared/protocol/task.ts';
import { type Context, idArgument, withMesh } from '../context.ts';
import type { ExitCode } from '../failure.ts';
import { errorLine, unstaffed } from '../render/goal.ts';
import { frame, goalChange, taskChange } from '../render/live.ts';
import { clock, safeJson } from '../render/text.ts';
import type { Terminal } from '../terminal.ts';
import { exitCodeOf, unknownGoal, waitForGoal } from '../waiting.ts';

const Options = z.object({ timeoutMs: z.number().optional(), json: z.boolean().default(false) });

/** Running times on the screen move this often, milliseconds. */
const REPAINT_MS = 250;
/** How often the agents that are present are asked for, milliseconds. */
const PRESENCE_MS = 5_000;

export async function watch(context: Context, args: readonly string[], given: unknown): Promise<ExitCode> {
  const { terminal } = context;
  const goalId = idArgument(args, 0, 'goalId');
  const options = Options.parse(given);
  return withMesh(context, async (mesh) => {
    if ((await mesh.goal(goalId)) === undefined && !(await mesh.hasReceipt(goalId))) throw unknownGoal(mesh, goalId);
    const view = new View(goalId);
    const follow = (onEvent: (event: FollowEvent) => void | Promise<void>) =>
      waitForGoal(terminal, mesh, goalId, { timeoutMs: options.timeoutMs, tasks: true, onEvent });
    if (options.json) return exitCodeOf(await follow((event) => tell(terminal, event)));
    const goal = terminal.interactive
      ? await repaint(terminal, mesh, view, follow)
      : await print(terminal, mesh, view, follow);
    return exitCodeOf(goal);
  });
}

type Follow = (onEvent: (event: FollowEvent) => void | Promise<void>) => Promise<EndedGoal>;

/** Records without what is never shown: ten thousand results need not be held for it. */
class View {
  readonly goalId: string;
  goal: GoalRecord | undefined;
  readonly byId = new Map<string, TaskRecord>();
  agents: readonly Presence[] | undefined;

  constructor(goalId: string) {
    this.goalId = goalId;
  }

  get tasks(): readonly TaskRecord[] {
    return [...this.byId.values()];
  }

  take(event: FollowEvent): void {
    if (event.kind === 'goal') this.goal = event.record;
    if (event.kind === 'task') this.byId.set(event.record.taskId, lean(event.record));
  }
}

function lean(task: TaskRecord): TaskRecord {
  const { input: _input, ...shown } = task;
  return shown.status === 'completed' ? { ...shown, result: null } : shown;
}

function tell(terminal: Terminal, event: FollowEvent): void {
  if (event.kind !== 'goal' && event.kind !== 'task') return;
  const { kind, revision, record } = event;
  terminal.out(safeJson({ kind, revision, record }));
}

async function repaint(terminal: Terminal, mesh: MeshClient, view: View, follow: Follow): Promise<EndedGoal> {
  const area = await terminal.live();
  const paint = () => area.paint(frame(terminal.screen(), view, terminal.now(), terminal.rows()));
  const refresh = async () => {
    // Who is there only adds a hint: without an answer the last one stands.
    view.agents = await mesh.agents.list().catch(() => view.agents);
  };
  void refresh();
  const painting = setInterval(paint, REPAINT_MS);
  const asking = setInterval(() => void refresh(), PRESENCE_MS);
  try {
    const goal = await follow((event) => view.take(event));
    paint();
    return goal;
  } finally {
    clearInterval(painting);
    clearInterval(asking);
    area.close();
    const { goal } = view;
    if (goal !== undefined && isTerminalGoal(goal) && 'error' in goal)
      terminal.out(errorLine(terminal.screen(), goal.error));
  }
}

function print(terminal: Terminal, mesh: MeshClient, view: View, follow: Follow): Promise<EndedGoal> {
  const told = new Set<string>();
  const line = (text: string) => {
    if (text !== '') terminal.out(`${clock(terminal.now())}  ${text}`);
  };
  return follow(async (event) => {
    const screen = terminal.screen();
    const before = event.kind === 'task' ? view.byId.get(event.record.taskId) : undefined;
    const goalBefore = view.goal;
    view.take(event);
    if (event.kind === 'task') line(taskChange(screen, before, event.record, terminal.now()));
    if (event.kind === 'goal') line(goalChange(screen, goalBefore, event.record, terminal.now()));
    if (event.kind === 'quiet') {
      for (const hint of unstaffed(view.tasks, await mesh.agents.list())) {
        if (!told.has(hint)) line(hint);
        told.add(hint);
      }
    }
  });
}
