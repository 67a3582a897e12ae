/** `conclave vote`: a vote round held from the command line; anyone may hold one. */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { CLIENT_ID, type MeshClient } from '../../../shared/adapters/mesh-client.ts';
import type { Clock } from '../../../shared/ports.ts';
import type { Presence } from '../../../shared/protocol/agent.ts';
import { TRACEPARENT_HEADER } from '../../../shared/protocol/headers.ts';
import { isId } from '../../../shared/protocol/ids.ts';
import { type RoundRecord, VoteMethod, type VoteRule } from '../../../shared/protocol/vote.ts';
import { LINGER_MS, RoundRefused } from '../../../shared/runtime/vote/collect.ts';
import type { RoundObserver } from '../../../shared/runtime/vote/observer.ts';
import { holdRound } from '../../../shared/runtime/vote/proposer.ts';
import { type Context, withMesh } from '../context.ts';
import { CommandFailure, EXIT, type ExitCode } from '../failure.ts';
import { readInput } from '../input.ts';
import { roundPage } from '../render/vote.ts';
import { count, safeJson, safeLine } from '../render/text.ts';
import type { Terminal } from '../terminal.ts';
import { withTraces } from '../tracing.ts';

const Options = z.object({
  options: z.array(z.string()),
  electorate: z.string(),
  input: z.string().optional(),
  method: VoteMethod,
  quorum: z.number().optional(),
  k: z.number().optional(),
  threshold: z.number().optional(),
  weights: z.record(z.string(), z.number()).optional(),
  roundId: z.string().optional(),
  timeoutMs: z.number(),
  json: z.boolean().default(false),
});
type Options = z.infer<typeof Options>;

export async function vote(context: Context, args: readonly string[], given: unknown): Promise<ExitCode> {
  const { terminal } = context;
  const options = Options.parse(given);
  const { electorate, roundId = `round-${randomUUID()}` } = options;
  const fresh = options.roundId === undefined;
  for (const [name, id] of [
    ['--electorate', electorate],
    ['--round-id', roundId],
  ] as const) {
    if (!isId(id))
      throw new CommandFailure(
        EXIT.usage,
        `${name}: expected 1 to 64 characters of A-Z a-z 0-9 _ -, got ${JSON.stringify(id)}`,
      );
  }
  refuseStrayOptions(options);
  const material = options.input === undefined ? {} : { context: await readInput(terminal, options.input) };
  return withMesh(context, async (mesh) => {
    const voters = (await mesh.agents.list()).filter((agent) => agent.capabilities.includes(electorate));
    if (voters.length === 0) throw await nobody(mesh, electorate);
    const rule = ruleOf(options, voters);
    terminal.note(`round ${roundId}: asking ${count(voters.length, 'voter')}`);
    const round = await hold(context, mesh, {
      roundId,
      capability: electorate,
      proposal: args[0] ?? '',
      ...material,
      options: options.options,
      rule,
      roster: voters.map((voter) => voter.agentId).sort(),
      deadlineMs: options.timeoutMs,
      correlationId: roundId,
      signal: terminal.signal,
      fresh,
    });
    terminal.out(options.json ? safeJson(round) : roundPage(terminal.screen(), round));
    return round.consensus ? EXIT.done : EXIT.failed;
  });
}

async function hold(context: Context, mesh: MeshClient, spec: Parameters<typeof holdRound>[1]): Promise<RoundRecord> {
  const { terminal } = context;
  const { bus, store, subjects } = mesh;
  const deps = { bus, store, subjects, clock, agentId: CLIENT_ID, observer: observerOf(terminal) };
  try {
    const round = await withTraces(context, (traces, above) => {
      const headers = above === undefined ? {} : { headers: { [TRACEPARENT_HEADER]: above } };
      return traces.rounds((told) => holdRound(deps, told))({ ...spec, ...headers });
    });
    // Whoever still thinks is told a moment after the decision; the connection must last until then.
    if (round.ballots.length < round.roster.length) await pause(LINGER_MS);
    return round;
  } catch (error) {
    if (error instanceof RoundRefused) throw new CommandFailure(EXIT.usage, error.message, { cause: error });
    if (terminal.signal.aborted) {
      throw new CommandFailure(EXIT.interrupted, `round ${spec.roundId} was given up before a decision`, {
        cause: error,
      });
    }
    throw error;
  } finally {
    await bus.flush().catch(() => undefined);
  }
}

/** Which method an option belongs to: with any other it would be ignored, and its user none the wiser. */
const METHODS_OF = [
  ['k', 'ahead-by-k'],
  ['threshold', 'weighted'],
  ['weights', 'weighted'],
] as const;

function refuseStrayOptions(options: Options): void {
  for (const [name, method] of METHODS_OF) {
    if (options[name] !== undefined && options.method !== method)
      throw new CommandFailure(EXIT.usage, `--${name} is for --method ${method}, not for ${options.method}`);
  }
}

/** A weight that an agent announces counts unless the command line says another. */
function ruleOf(options: Options, voters: readonly Presence[]): VoteRule {
  const { method, quorum, threshold, k, weights = {} } = options;
  const strangers = Object.keys(weights).filter((agentId) => !voters.some((voter) => voter.agentId === agentId));
  if (strangers.length > 0) {
    throw new CommandFailure(
      EXIT.usage,
      `--weights: ${strangers.join(', ')} cannot vote here; voters are ${voters.map((voter) => voter.agentId).join(', ')}`,
    );
  }
  const announced = voters.flatMap((voter) =>
    voter.weight === undefined ? [] : [[voter.agentId, voter.weight] as const],
  );
  const known = Object.fromEntries([...announced, ...Object.entries(weights)]);
  return {
    method,
    ...(quorum === undefined ? {} : { quorum }),
    ...(threshold === undefined ? {} : { threshold }),
    ...(k === undefined ? {} : { k }),
    ...(method === 'weighted' && Object.keys(known).length > 0 ? { weights: known } : {}),
  };
}

async function nobody(mesh: MeshClient, capability: string): Promise<CommandFailure> {
  const offered = new Set((await mesh.agents.list()).flatMap((agent) => agent.capabilities));
  const instead = offered.size === 0 ? 'no agent is present at all' : `present are ${[...offered].sort().join(', ')}`;
  return new CommandFailure(EXIT.failed, `no present agent has the capability "${capability}": ${instead}`);
}

/** A ballot that does not count is told; everything else is in the record. */
function observerOf(terminal: Terminal): RoundObserver {
  return {
    asked: () => {},
    counted: () => {},
    ended: () => {},
    rejected: ({ token, reason, detail }) =>
      terminal.note(safeLine(`a ballot of ${token} does not count (${reason}): ${detail}`)),
    decided: ({ created }) => {
      if (!created) terminal.note('another proposer decided this round first; this is that decision');
    },
  };
}

const clock: Clock = {
  now: () => Date.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
