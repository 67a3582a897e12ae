/** `make bench-patterns`: the same ten goals through all four patterns, left alone, and with processes killed. Real agents, broker and model endpoint. */
import { parseArgs } from 'node:util';
import { startModel } from '../../integration/model/model-process.ts';
import { startBroker } from '../../support/broker.ts';
import { runSuite, type Suite } from '../../support/suite.ts';
import { machine } from '../machine.ts';
import { pageOf } from '../page.ts';
import { figuresOf, isCompleted, mustHit } from './figures.ts';
import { latencyChart } from './pictures.ts';
import { play, type Played, type Stage } from './play.ts';
import { calmTable, type Measured, struckTable, wordsTable } from './report.ts';
import { BROKER_DOWN_MS, CREW, GOALS, MODEL_LATENCY_MS, type Pattern, PATTERNS } from './setting.ts';
import { EACH, strikesOf } from './strikes.ts';

const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, docs: { type: 'boolean', default: false } },
});
const seed = Number(values.seed);
if (!Number.isInteger(seed)) {
  process.stderr.write(`--seed: expected a whole number, got ${JSON.stringify(values.seed)}\n`);
  process.exit(2);
}

/** One line for each goal: ended as it must is completed, whatever was killed. */
function judged(suite: Suite, name: string, { pattern, ended, violations }: Played): void {
  for (const one of ended) {
    const { goalId, goal, latencyMs, strike } = one;
    const how = `${goal?.status ?? 'never ended'} after ${(latencyMs / 1_000).toFixed(2)} s`;
    const why = goal?.error === undefined ? '' : ` (${goal.error.code}: ${goal.error.message.slice(0, 200)})`;
    const what =
      strike === undefined
        ? ''
        : `; ${strike.kind} killed, ${strike.hit ? `went on after ${((strike.recoveryMs ?? 0) / 1_000).toFixed(2)} s` : 'nothing was lost'}`;
    suite.check(`${pattern}, ${name}, ${goalId}`, isCompleted(one), `${how}${why}${what}`);
  }
  suite.check(
    `${pattern}, ${name}: the streams show no violation`,
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
  const stage: Stage = { broker, model };
  const strikes = strikesOf(seed);
  const calm: Played[] = [];
  const struck: Played[] = [];
  const measured = new Map<Pattern, Measured>();
  for (const pattern of PATTERNS) {
    const alone = await play(stage, pattern);
    judged(suite, 'left alone', alone);
    const hit = await play(stage, pattern, { strikes, latencies: alone.ended.map(({ latencyMs }) => latencyMs) });
    judged(suite, 'struck', hit);
    const figures = { calm: figuresOf(alone), struck: figuresOf(hit) };
    for (const kind of mustHit(pattern)) {
      const { hits } = figures.struck.recovery[kind];
      suite.check(`${pattern}: killing the ${kind} took something from a goal`, hits > 0, `${hits} of ${EACH}`);
    }
    calm.push(alone);
    struck.push(hit);
    measured.set(pattern, figures);
  }
  const where = `One run: ${on.cores} cores, ${on.model}; Node ${on.node}; one nats-server with \`sync_interval: always\`; ${Object.entries(
    CREW,
  )
    .map(([role, count]) => `${count} ${role}s`)
    .join(
      ', ',
    )} as processes of their own; the offline model, ${MODEL_LATENCY_MS} ms for each answer; one goal at a time; seed ${seed}.`;
  const strikesText = `${EACH} of the ten goals lose the agent that works on them, ${EACH} a planner, ${EACH} the broker, which is down for ${BROKER_DOWN_MS / 1_000} s; the others are left alone.`;
  suite.note(where);
  for (const text of [wordsTable(measured), calmTable(measured), struckTable(measured)])
    process.stdout.write(`\n${text}\n`);
  const broken = [...calm, ...struck].some(
    ({ ended, violations }) => violations.length > 0 || !ended.every(isCompleted),
  );
  if (!values.docs || broken) return;
  const page = pageOf('patterns');
  page.writeBlock('words', `${where}\n\n${wordsTable(measured)}`);
  page.writeBlock('calm', calmTable(measured));
  page.writeBlock('struck', `${strikesText}\n\n${struckTable(measured)}`);
  page.writeChart('calm', latencyChart('Ten goals, left alone', 'Steps: goals that have completed.', calm, 20));
  page.writeChart('struck', latencyChart('The same ten goals, six of them struck', strikesText, struck, 20));
  suite.note('written: docs/patterns.md and docs/patterns/*.svg');
});
