/** `make sbom`: bills of materials (CycloneDX), of the packages that production needs by the lock file, and of the image if it is built. */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { exists, run } from '../../bootstrap/command.ts';
import { fieldsOf } from '../../bootstrap/json.ts';
import { imageName } from '../../engine/build.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const folder = join(root, '.cache', 'sbom');
const NPM_MS_MAX = 120_000;
const ENGINE_MS_MAX = 60_000;

function write(name: string, text: string): void {
  const file = join(folder, name);
  writeFileSync(file, text);
  const bill: unknown = JSON.parse(text);
  const { components } = fieldsOf(bill, name);
  process.stdout.write(`${file}: ${Array.isArray(components) ? components.length : 0} components\n`);
}

function ofImage(): string | undefined {
  if (!exists('docker')) return undefined;
  try {
    const container = run('docker', ['create', imageName], { timeoutMs: ENGINE_MS_MAX }).trim();
    try {
      run('docker', ['cp', `${container}:/sbom.cdx.json`, join(folder, 'image.cdx.json')], {
        timeoutMs: ENGINE_MS_MAX,
      });
    } finally {
      run('docker', ['rm', container], { timeoutMs: ENGINE_MS_MAX });
    }
    return readFileSync(join(folder, 'image.cdx.json'), 'utf8');
  } catch {
    // No engine, or no such image.
    return undefined;
  }
}

/** By a lock of production alone: `npm sbom --omit dev` leaves out what production shares with a tool of development. */
function ofPackages(): string {
  const work = mkdtempSync(join(tmpdir(), 'conclave-sbom-'));
  try {
    for (const file of ['package.json', 'package-lock.json', '.npmrc'])
      copyFileSync(join(root, file), join(work, file));
    run(process.execPath, [join(root, 'deploy/image/production-lock.ts')], { timeoutMs: NPM_MS_MAX, cwd: work });
    const flags = ['--sbom-format', 'cyclonedx', '--sbom-type', 'application', '--package-lock-only'];
    const text = run('npm', ['sbom', ...flags], { timeoutMs: NPM_MS_MAX, cwd: work });
    const lock: unknown = JSON.parse(readFileSync(join(work, 'package-lock.json'), 'utf8'));
    const locked = Object.keys(fieldsOf(fieldsOf(lock, 'lock')['packages'], 'packages')).filter(Boolean);
    const missing = locked.find((path) => !text.includes(`"name": "${path.replace(/^.*node_modules\//, '')}"`));
    if (missing !== undefined)
      throw new Error(`npm's bill of materials lacks ${missing}, which package-lock.json names`);
    return text;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

try {
  mkdirSync(folder, { recursive: true });
  write('packages.cdx.json', ofPackages());
  const image = ofImage();
  if (image === undefined)
    process.stdout.write(`No image ${imageName} here: make image, then this again, for its own.\n`);
  else write('image.cdx.json', image);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
