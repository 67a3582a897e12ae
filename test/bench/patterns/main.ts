/** `make bench-patterns`: the same ten goals through all four patterns, left alone, and with processes killed. Real agents, broker and model endpoint. */
import { parseArgs } from 'node:util';
import { startModel } from '../../integration/model/model-process.ts';
import { startBroker } from '../../support/broker.ts';
import { runSuite, type Suite } from '../../support/suite.ts';
import { machine } from '../machine.ts';
import { pageOf } from '../page.ts';
import { figuresOf, isCompleted, mustHit } from './figures.ts';
import { latencyChart } from './pictures.ts';
import { play, type Run } from './play.ts';
import { calmTable, type Measured, struckTable, wordsTable } from './report.ts';
import { BROKER_DOWN_MS, CREW, GOALS, MODEL_LATENCY_MS, type Pattern, PATTERNS } from './setting.ts';
import { EACH, STRIKES, strikesOf } from './strikes.ts';

const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, docs: { type: 'boolean', default: false } },
});
const seed = Number(values.seed);
if (!Number.isInteger(seed)) {
  process.stderr.write(`--seed: expected a whole number, got ${JSON.stringify(values.seed)}\n`);
  process.exit(2);
}

/** One line for each goal: ended as it must is completed, whatever was killed. */
function judged(suite: Suite, name: string, { played, violations }: Run): void {
  for (const one of played.flatMap(({ ended }) => ended)) {
    const { goalId, goal, latencyMs, strike } = one;
    const how = `${goal?.status ?? 'never ended'} after ${(latencyMs / 1_000).toFixed(2)} s`;
    const why = goal?.error === undefined ? '' : ` (${goal.error.code}: ${goal.error.message.slice(0, 200)})`;
    const went =
      strike?.recoveryMs === undefined
        ? 'nothing was lost'
        : `went on after ${(strike.recoveryMs / 1_000).toFixed(2)} s`;
    suite.check(
      `${name}, ${goalId}`,
      isCompleted(one),
      `${how}${why}${strike === undefined ? '' : `; ${strike.kind} killed, ${went}`}`,
    );
  }
  suite.check(
    `${name}: the streams show no violation`,
    violations.length === 0,
    violations.slice(0, 5).join('; ') || undefined,
  );
}

await runSuite(`${GOALS} goals through ${PATTERNS.join(', ')}; seed ${seed}`, async (suite) => {
  const on = machine();
  const broker = await startBroker({ jetstream: 'sync_interval: always' });
  suite.onEnd(() => broker.stop());
  const model = await startModel({ MODEL_LATENCY_MS: String(MODEL_LATENCY_MS) });
  suite.onEnd(() => model.stop('SIGKILL'));
  const calm = await play({ broker, model });
  judged(suite, 'left alone', calm);
  const latencies = new Map(
    calm.played.flatMap(({ ended }) => ended.map(({ goalId, latencyMs }) => [goalId, latencyMs])),
  );
  const struck = await play({ broker, model }, { strikes: strikesOf(seed), latencies });
  judged(suite, 'struck', struck);
  const measured = new Map<Pattern, Measured>();
  for (const [index, alone] of calm.played.entries()) {
    const { pattern } = alone;
    const hit = struck.played[index];
    if (hit === undefined) throw new Error(`no goals of pattern ${pattern} were struck`);
    const figures = { calm: figuresOf(alone), struck: figuresOf(hit) };
    measured.set(pattern, figures);
    for (const kind of mustHit(pattern)) {
      const { hits } = figures.struck.recovery[kind];
      suite.check(`${pattern}: killing the ${kind} took something from a goal`, hits > 0, `${hits} of ${EACH}`);
    }
  }
  const crew = Object.entries(CREW).map(([role, count]) => `${count} ${role}s`);
  const where = `One run: ${on.cores} cores, ${on.model}; Node ${on.node}; one nats-server with \`sync_interval: always\`; ${crew.join(', ')} as processes of their own, on the same machine; the offline model, ${MODEL_LATENCY_MS} ms for each answer; one goal at a time; seed ${seed}.`;
  const strikes = `${EACH} goals lose the agent that works on them, ${EACH} a planner, ${EACH} the broker (down for ${BROKER_DOWN_MS / 1_000} s); ${GOALS - EACH * STRIKES.length} are left alone.`;
  suite.note(where);
  for (const text of [wordsTable(measured), calmTable(measured), struckTable(measured)])
    process.stdout.write(`\n${text}\n`);
  const all = [calm, struck];
  const broken = all.some(
    ({ played, violations }) => violations.length > 0 || !played.every(({ ended }) => ended.every(isCompleted)),
  );
  if (!values.docs || broken) return;
  const page = pageOf('patterns');
  page.writeBlock('words', `${where}\n\n${wordsTable(measured)}`);
  page.writeBlock('calm', calmTable(measured));
  page.writeBlock('struck', `${strikes}\n\n${struckTable(measured)}`);
  page.writeChart(
    'calm',
    latencyChart('Ten goals by four patterns, left alone', 'Steps: goals that have completed.', calm.played),
  );
  page.writeChart('struck', latencyChart('The same ten goals, six of them struck', strikes, struck.played));
  suite.note('written: docs/patterns.md and docs/patterns/*.svg');
});
