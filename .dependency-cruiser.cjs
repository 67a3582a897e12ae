/**
 * Which layer may import what. deploy/bootstrap/check-imports runs these rules, and fails as well when the tool saw less of the
 * tree than there is.
 */
const outside = (name) => `^node_modules/${name}/`;

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    {
      name: 'protocol-is-pure',
      comment: 'shared/protocol imports zod and itself: anybody can read it as the contract.',
      severity: 'error',
      from: { path: '^shared/protocol/' },
      to: { pathNot: ['^shared/protocol/', outside('zod')] },
    },
    {
      name: 'core-is-pure',
      comment:
        'shared/core imports shared/protocol and itself: time, randomness and effects arrive as arguments or leave as values.',
      severity: 'error',
      from: { path: '^shared/core/' },
      to: { pathNot: ['^shared/core/', '^shared/protocol/'] },
    },
    {
      name: 'ports-are-types-of-the-core',
      comment: 'shared/ports.ts imports what core and protocol define.',
      severity: 'error',
      from: { path: '^shared/ports\\.ts$' },
      to: { pathNot: ['^shared/core/', '^shared/protocol/', outside('zod')] },
    },
    {
      name: 'ports-hold-no-code',
      comment: 'shared/ports.ts holds types only, so it imports types only.',
      severity: 'error',
      from: { path: '^shared/ports\\.ts$' },
      to: { dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'adapters-hold-the-outside',
      comment: 'Only shared/adapters import NATS, openai and cockatiel; everybody else talks to shared/ports.ts.',
      severity: 'error',
      from: { pathNot: ['^shared/adapters/', '^test/'] },
      to: { path: [outside('@nats-io/[^/]+'), outside('openai'), outside('cockatiel')] },
    },
    {
      name: 'traces-in-one-adapter',
      comment: 'OpenTelemetry and its names, which are in development, are known to shared/adapters/otel-* alone.',
      severity: 'error',
      from: { pathNot: ['^shared/adapters/otel-', '^test/'] },
      to: { path: outside('@opentelemetry/[^/]+') },
    },
    {
      name: 'adapters-below-runtime',
      comment: 'An adapter implements a port; it does not know who joins it to the core.',
      severity: 'error',
      from: { path: '^shared/adapters/' },
      to: { path: '^shared/runtime/' },
    },
    {
      name: 'shared-below-services',
      comment: 'What is shared knows no service, deployment or test.',
      severity: 'error',
      from: { path: '^shared/' },
      to: { path: '^(services|deploy|test)/' },
    },
    {
      name: 'services-meet-on-the-bus',
      comment: 'A service never imports another.',
      severity: 'error',
      from: { path: '^services/([^/]+)/' },
      to: { path: '^services/', pathNot: '^services/$1/' },
    },
    {
      name: 'tests-import-not-imported',
      comment: 'Nothing outside test/ imports from it.',
      severity: 'error',
      from: { pathNot: '^test/' },
      to: { path: '^test/' },
    },
    {
      name: 'test-tools-in-tests',
      comment: 'Only test/ imports the tools of tests.',
      severity: 'error',
      from: { pathNot: '^test/' },
      to: { path: [outside('vitest'), outside('fast-check'), outside('testcontainers')] },
    },
    {
      name: 'runs-without-dev-dependencies',
      comment: 'An installed agent has the packages under "dependencies" only.',
      severity: 'error',
      from: { path: '^(shared|services)/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'no-cycles',
      comment: 'Two modules that need each other are one module, or hide a third.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-unresolved',
      comment: 'An import that leads nowhere.',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    // TypeScript 7 has no API that the tool can parse with: without swc it would see no import and pass.
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.json'],
    },
  },
};
