/** Builds the project's image. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import conclave from '../../package.json' with { type: 'json' };
import { run } from '../bootstrap/command.ts';
import { ensureImages, only } from './images.ts';

const BUILD_MS_MAX = 600_000;
const root = fileURLToPath(new URL('../../', import.meta.url));

/** The one name of the project's image; an older build of the same version gives way. */
export const imageName = `conclave:${conclave.version}`;

/** Returns what it is, in one line. @throws Error with what could not be had, or with the builder's last words. */
export function buildImage(): string {
  const [missing] = ensureImages(only(['node'])).missing;
  if (missing !== undefined) throw new Error(`${missing.image} is needed and cannot be had: ${missing.why}`);
  const build = spawnSync(
    'docker',
    [
      'build',
      '--tag',
      imageName,
      '--build-arg',
      `VERSION=${conclave.version}`,
      '--build-arg',
      `REVISION=${revision()}`,
      root,
    ],
    { encoding: 'utf8', timeout: BUILD_MS_MAX, maxBuffer: 64 * 1024 * 1024 },
  );
  if (build.status !== 0) {
    const words = `${build.stdout}\n${build.stderr}`.trim().split('\n').slice(-20).join('\n');
    throw new Error(`The image could not be built:\n${words}`);
  }
  const [id = '', bytes = '0'] = run('docker', ['inspect', '--format', '{{.Id}} {{.Size}}', imageName], {
    timeoutMs: 30_000,
  }).split(' ');
  return `${imageName} is built: ${(Number(bytes) / 1e6).toFixed(0)} MB, ${id.slice(0, 'sha256:'.length + 12)}`;
}

function revision(): string {
  try {
    return run('git', ['-C', root, 'rev-parse', 'HEAD'], { timeoutMs: 10_000 }).trim();
  } catch {
    // A copy of the sources without their history.
    return 'unknown';
  }
}
