import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { testKinds } from './deploy/bootstrap/test-kinds.ts';

const isAskedFor = ({ name, byNameOnly }: (typeof testKinds)[number]): boolean =>
  !byNameOnly || process.argv.some((argument) => argument === name || argument === `--project=${name}`);

export default defineConfig({
  test: {
    reporters: ['default', './test/support/count-reporter.ts'],
    maxWorkers: Math.max(2, availableParallelism() - 1),
    allowOnly: false,
    passWithNoTests: false,
    retry: 0,
    projects: testKinds.filter(isAskedFor).map((kind) => ({
      extends: true,
      test: {
        name: kind.name,
        isolate: kind.alone,
        include: [`test/${kind.name}/**/*.test.ts`],
        testTimeout: kind.timeoutMs,
        hookTimeout: kind.timeoutMs,
        globalSetup: kind.broker ? ['./test/support/broker-setup.ts'] : [],
      },
    })),
  },
});
