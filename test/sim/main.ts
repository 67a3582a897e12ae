/** `node test/sim/main.ts --schedules N --seed S`: plays N schedules from seed S on, prints what happened in them, and exits 1 at the first violation. */
import { parseArgs } from 'node:util';
import { violations } from '../support/sim-check.ts';
import { Tally, World } from '../support/sim-world.ts';

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '1000' },
    seed: { type: 'string', default: '1' },
    all: { type: 'boolean', default: false },
    harsh: { type: 'boolean', default: false },
    until: { type: 'string', default: '' },
  },
});
const schedules = Number(values.schedules);
const firstSeed = Number(values.seed);
if (!Number.isInteger(schedules) || schedules < 1 || !Number.isInteger(firstSeed)) {
  process.stderr.write(
    'expected --schedules N (1 or more) --seed S (a whole number) [--all: go on after a violation] [--harsh: half of all deliveries come twice] [--until PATTERN: go on to a violation that matches]\n',
  );
  process.exit(2);
}

const until = new RegExp(values.until);
const tally = new Tally();
let broken = 0;
let played = 0;
const startedAt = performance.now();
for (let seed = firstSeed; seed < firstSeed + schedules; seed += 1) {
  const world = new World(seed, { harsh: values.harsh });
  await world.run();
  tally.merge(world.tally);
  played += 1;
  const found = violations(world);
  if (found.length === 0) continue;
  broken += 1;
  process.stdout.write(
    `seed ${seed}: ${found.length} violations\n${found
      .slice(0, 10)
      .map((line) => `  ${line}\n`)
      .join('')}`,
  );
  if (!values.all && found.some((line) => until.test(line))) break;
}
const seconds = (performance.now() - startedAt) / 1_000;
process.stdout.write(
  `${played} schedules from seed ${firstSeed} in ${seconds.toFixed(1)} s, ${broken} with violations\n${tally.summary().replaceAll(', ', '\n')}\n`,
);
process.stdout.write(`${played - broken} passed, ${broken} failed\n`);
process.exitCode = broken > 0 ? 1 : 0;
