/** The mesh of a test file. */
import { afterAll, afterEach, beforeAll, inject } from 'vitest';
import { type Mesh, openMesh } from '../support/open-mesh.ts';

export { type Mesh, openMesh };

/** The mesh of a whole file; what its agents wrote last is printed when a test fails. */
export function meshOfFile(label: string, start: (mesh: Mesh) => Promise<unknown>): () => Mesh {
  let open: Mesh | undefined;
  const mesh = (): Mesh => {
    if (open === undefined) throw new Error('The mesh of this file is not open.');
    return open;
  };
  beforeAll(async () => {
    open = await openMesh(label, inject('natsUrl'));
    await start(open);
  });
  afterEach(({ task }) => {
    if (task.result?.state === 'fail') process.stderr.write(`${mesh().tails()}\n`);
  });
  afterAll(() => open?.close());
  return mesh;
}
