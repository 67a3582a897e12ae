/** `make image`: the project's own image, on an engine and from base images that are made present first. */
import { buildImage, imageName } from './build.ts';
import { ensureEngine } from './engine.ts';

try {
  await ensureEngine();
  process.stdout.write(`${buildImage()}\n`);
  process.stdout.write(`docker run --rm ${imageName} planner\n`);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
