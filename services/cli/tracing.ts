/** The command line's part in traces: a goal's begins where it is handed in. A context in the environment (`TRACEPARENT`) is gone on with. */
import { setTimeout as pause } from 'node:timers/promises';
import conclave from '../../package.json' with { type: 'json' };
import { cleanTraceparent } from '../../shared/protocol/trace.ts';
import { openTraces } from '../../shared/runtime/open-tracing.ts';
import type { Traces } from '../../shared/runtime/traces.ts';
import type { Context } from './context.ts';
import { CommandFailure, EXIT } from './failure.ts';
import { safeLine } from './render/text.ts';

/** A collector that is away must not keep a command from ending. */
const CLOSE_MS = 2_000;

/** `above`: the context that the environment gives, if any. Spans are sent before this resolves. */
export async function withTraces<T>(
  { terminal, broker }: Context,
  work: (traces: Traces, above: string | undefined) => Promise<T>,
): Promise<T> {
  const traces = await openTraces(process.env, {
    agentId: 'cli',
    role: 'cli',
    version: conclave.version,
    mesh: broker.mesh,
    onTrouble: (message) => terminal.note(safeLine(`traces: ${message}`)),
  }).catch((error: unknown) => {
    throw new CommandFailure(EXIT.usage, error instanceof Error ? error.message : String(error), { cause: error });
  });
  try {
    return await work(traces, cleanTraceparent(process.env['TRACEPARENT']));
  } finally {
    await Promise.race([traces.close(), pause(CLOSE_MS, undefined, { ref: false })]);
  }
}
