/**
 * One private broker per run, shared by all projects that need one and gone when the last of them is done. A test gets its URL by
 * `inject('natsUrl')` and keeps to a mesh name of its own.
 */
import type { TestProject } from 'vitest/node';
import { startBroker, type TestBroker } from './broker.ts';

declare module 'vitest' {
  interface ProvidedContext {
    natsUrl: string;
  }
}

interface Shared {
  users: number;
  broker: Promise<TestBroker>;
}

declare global {
  // Every project loads this file anew, so that what they share cannot live in it.
  var sharedTestBroker: Shared | undefined;
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const shared = (globalThis.sharedTestBroker ??= { users: 0, broker: startBroker() });
  shared.users += 1;
  project.provide('natsUrl', (await shared.broker).url);
  return async () => {
    shared.users -= 1;
    if (shared.users > 0) return;
    globalThis.sharedTestBroker = undefined;
    await (await shared.broker).stop();
  };
}
