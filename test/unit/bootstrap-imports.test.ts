import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { checkImports } from '../../deploy/bootstrap/check-imports/imports.ts';
import { type FakeMachine, fakeMachine } from '../support/fake-machine.ts';

let machine: FakeMachine;

beforeEach(() => {
  machine = fakeMachine('.dependency-cruiser.cjs');
});

afterEach(() => {
  machine.remove();
});

/** Writes modules that import what is named and nothing else; a name with `type ` before it is a type import. */
function tree(modules: Readonly<Record<string, readonly string[]>>): void {
  const packages = [
    'zod',
    'openai',
    'cockatiel',
    '@nats-io/jetstream',
    'vitest',
    'fast-check',
    'testcontainers',
    'knip',
  ];
  for (const name of packages) {
    machine.file(`node_modules/${name}/package.json`, JSON.stringify({ name, version: '1.0.0', main: 'index.js' }));
    machine.file(`node_modules/${name}/index.js`, '');
  }
  const devDependencies = { vitest: '1', 'fast-check': '1', testcontainers: '1', knip: '1' };
  const dependencies = { zod: '1', openai: '1', cockatiel: '1', '@nats-io/jetstream': '1' };
  machine.file('package.json', JSON.stringify({ name: 'tree', type: 'module', dependencies, devDependencies }));
  for (const [path, imports] of Object.entries(modules)) {
    const statements = imports.map((name, index) =>
      name.startsWith('type ')
        ? `import type { T${index} } from '${name.slice(5)}';`
        : `import * as m${index} from '${name}';`,
    );
    const uses = imports.map((name, index) =>
      name.startsWith('type ') ? `export type U${index} = T${index};` : `export const x${index}: unknown = m${index};`,
    );
    machine.file(path, `${[...statements, ...uses].join('\n')}\nexport const own = 1;\n`);
  }
}

const violations = async (): Promise<string[]> => {
  const { violations: found } = await checkImports(machine.folder, 1);
  return found.map((line) => line.replace(/ {2}\(.*$/, '')).toSorted();
};

test('a tree that keeps to its layers passes', async () => {
  tree({
    'shared/protocol/task.ts': ['zod', './ids.ts'],
    'shared/protocol/ids.ts': [],
    'shared/core/dag.ts': ['../protocol/task.ts'],
    'shared/ports.ts': ['type ./core/dag.ts', 'type zod'],
    'shared/adapters/bus.ts': ['@nats-io/jetstream', 'openai', 'cockatiel', 'type ../ports.ts', 'node:fs'],
    'shared/runtime/agent.ts': ['../core/dag.ts', 'type ../ports.ts', 'zod', 'node:http'],
    'services/echo/main.ts': ['./handler.ts', '../../shared/runtime/agent.ts', '../../shared/adapters/bus.ts'],
    'services/echo/handler.ts': [],
    'deploy/check/main.ts': ['knip'],
    'test/unit/a.test.ts': [
      'vitest',
      'fast-check',
      'testcontainers',
      '@nats-io/jetstream',
      '../../services/echo/handler.ts',
    ],
  });
  expect(await checkImports(machine.folder, 10)).toMatchObject({ modules: 10, violations: [], blindSpots: [] });
});

test('every rule is broken once, and every breach is seen', async () => {
  tree({
    'shared/protocol/a.ts': ['node:fs', 'type ../core/a.ts'],
    'shared/core/a.ts': ['zod', 'node:crypto', 'type ../ports.ts'],
    'shared/ports.ts': ['type ./adapters/a.ts', './protocol/b.ts'],
    'shared/protocol/b.ts': [],
    'shared/adapters/a.ts': ['../runtime/b.ts'],
    'shared/runtime/b.ts': [],
    'shared/runtime/a.ts': ['@nats-io/jetstream', 'openai', 'cockatiel', 'knip', '../../services/echo/handler.ts'],
    'services/echo/handler.ts': [
      '../coder/handler.ts',
      'type ../coder/handler.ts',
      'fast-check',
      '../../test/support/x.ts',
    ],
    'services/coder/handler.ts': ['./gone.ts'],
    'services/coder/left.ts': ['./right.ts'],
    'services/coder/right.ts': ['./left.ts'],
    'deploy/demo/main.ts': ['vitest', 'testcontainers'],
    'test/support/x.ts': [],
  });
  expect(await violations()).toEqual([
    'adapters-below-runtime: shared/adapters/a.ts -> shared/runtime/b.ts',
    'adapters-hold-the-outside: shared/runtime/a.ts -> node_modules/@nats-io/jetstream/index.js',
    'adapters-hold-the-outside: shared/runtime/a.ts -> node_modules/cockatiel/index.js',
    'adapters-hold-the-outside: shared/runtime/a.ts -> node_modules/openai/index.js',
    'core-is-pure: shared/core/a.ts -> crypto',
    'core-is-pure: shared/core/a.ts -> node_modules/zod/index.js',
    'core-is-pure: shared/core/a.ts -> shared/ports.ts',
    'no-cycles: services/coder/left.ts -> services/coder/right.ts',
    'no-unresolved: services/coder/handler.ts -> ./gone.ts',
    'ports-are-types-of-the-core: shared/ports.ts -> shared/adapters/a.ts',
    'ports-hold-no-code: shared/ports.ts -> shared/protocol/b.ts',
    'protocol-is-pure: shared/protocol/a.ts -> fs',
    'protocol-is-pure: shared/protocol/a.ts -> shared/core/a.ts',
    'runs-without-dev-dependencies: services/echo/handler.ts -> node_modules/fast-check/index.js',
    'runs-without-dev-dependencies: shared/runtime/a.ts -> node_modules/knip/index.js',
    'services-meet-on-the-bus: services/echo/handler.ts -> services/coder/handler.ts',
    'shared-below-services: shared/runtime/a.ts -> services/echo/handler.ts',
    'test-tools-in-tests: deploy/demo/main.ts -> node_modules/testcontainers/index.js',
    'test-tools-in-tests: deploy/demo/main.ts -> node_modules/vitest/index.js',
    'test-tools-in-tests: services/echo/handler.ts -> node_modules/fast-check/index.js',
    'tests-import-not-imported: services/echo/handler.ts -> test/support/x.ts',
  ]);
});

test.each([
  ['modules', "includeOnly: '^nowhere/'", 'shared/core/a.ts was not looked at'],
  ['imports', "extraExtensionsToScan: ['.ts']", 'no import was seen in shared/core/a.ts, which has some'],
])('a tool that sees no %s is not taken for a clean tree', async (_what, blinding, blindSpot) => {
  tree({ 'shared/core/a.ts': ['zod'] });
  const config = readFileSync(join(machine.folder, '.dependency-cruiser.cjs'), 'utf8');
  machine.file('.dependency-cruiser.cjs', config.replace("parser: 'swc'", `${blinding}, parser: 'swc'`));
  expect(await checkImports(machine.folder, 1)).toMatchObject({ violations: [], blindSpots: [blindSpot] });
});

test('a tree far too small is not taken for a clean one', async () => {
  tree({ 'shared/core/a.ts': [] });
  expect((await checkImports(machine.folder, 50)).blindSpots).toEqual(['only 1 modules where at least 50 belong']);
});
