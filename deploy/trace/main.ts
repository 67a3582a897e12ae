/** `make trace`: the demo's goal through the demo's mesh, with traces sent to a receiver of this process, and the trace as a tree. */
import { mkdirSync, rmSync } from 'node:fs';
import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommandFailure, EXIT } from '../../services/cli/failure.ts';
import { runCommandLine } from '../../services/cli/program.ts';
import { processTerminal, type Terminal } from '../../services/cli/terminal.ts';
import { crew, type DemoMesh, startMesh } from '../demo/mesh.ts';
import { optionsFrom } from '../demo/options.ts';
import { newFleet } from '../demo/processes.ts';
import { type Receiver, receiveTraces } from './receiver.ts';
import { traceOf, traceText } from './tree.ts';

const logFolder = fileURLToPath(new URL('../../.cache/trace/logs', import.meta.url));
const interrupted = new AbortController();
const terminal = processTerminal(interrupted.signal);
const options = optionsFrom(process.env);

/** Runs the goal; its id when the goal was handed in. */
async function runGoal(mesh: DemoMesh): Promise<string> {
  const cli = (to: Terminal, args: readonly string[]): Promise<number> =>
    runCommandLine(['--url', mesh.url, '--mesh', mesh.name, ...args], to);
  const printed: string[] = [];
  const capturing: Terminal = { ...terminal, out: (text) => void printed.push(text) };
  const submitted = await cli(capturing, ['submit', '--input', options.input, '--', options.goal]);
  const [goalId] = printed;
  if (submitted !== EXIT.done || goalId === undefined) throw new Error('the goal could not be handed in: see above');
  await cli(terminal, ['watch', goalId]);
  return goalId;
}

/** Agents send what they have left when they are told to stop. */
function report(receiver: Receiver, goalId: string): number {
  const root = receiver.spans().find(({ attributes }) => attributes['conclave.goal.id'] === goalId);
  const spans = receiver.spans().filter(({ traceId }) => traceId === root?.traceId);
  if (spans.length === 0)
    throw new Error(`no span of goal ${goalId} came; see the logs in ${relative('.', logFolder)}`);
  terminal.out(`\n${traceText(terminal.screen(), spans)}`);
  const { roots, orphans } = traceOf(spans);
  return roots.length === 1 && orphans.length === 0 ? EXIT.done : EXIT.failed;
}

const fleet = newFleet(logFolder);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    if (interrupted.signal.aborted) fleet.kill();
    interrupted.abort();
  });
}
process.on('exit', () => fleet.kill());

try {
  rmSync(logFolder, { recursive: true, force: true });
  mkdirSync(logFolder, { recursive: true });
  const receiver = await receiveTraces();
  Object.assign(process.env, {
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_TRACES_EXPORTER: 'otlp',
  });
  terminal.note(`starting ${crew()} ...`);
  const goalId = await runGoal(await startMesh(fleet, options, terminal.signal));
  await fleet.stop();
  process.exitCode = report(receiver, goalId);
  await receiver.close();
} catch (error) {
  if (interrupted.signal.aborted) process.exitCode = EXIT.interrupted;
  else {
    terminal.note(`trace: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = error instanceof CommandFailure ? error.exitCode : EXIT.failed;
  }
} finally {
  await fleet.stop();
}
