/** What `kubectl apply -k` would send, made by the kustomize of this machine, or by Debian's when it has none. */
import { chmodSync, copyFileSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseAllDocuments } from 'yaml';
import { exists, run } from '../../deploy/bootstrap/command.ts';
import { fetchWithApt } from '../../deploy/bootstrap/fetch-with-apt.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const fetched = join(root, '.cache', 'kustomize', 'kustomize');
const BUILD_MS_MAX = 30_000;

/** The objects of one folder of deploy/kubernetes. @throws Error with kustomize's own complaint, or with what to install. */
export function buildKustomization(folder: string): readonly unknown[] {
  const [command, ...args] = kustomize();
  const text = run(command, [...args, join(root, 'deploy', 'kubernetes', folder)], { timeoutMs: BUILD_MS_MAX });
  return parseAllDocuments(text).map((document) => {
    if (document.errors[0] !== undefined) throw document.errors[0];
    const value: unknown = document.toJS();
    return value;
  });
}

let found: readonly [string, ...string[]] | undefined;

function kustomize(): readonly [string, ...string[]] {
  found ??= findKustomize();
  return found;
}

function findKustomize(): readonly [string, ...string[]] {
  if (exists('kustomize')) return ['kustomize', 'build'];
  if (existsSync(fetched)) return [fetched, 'build'];
  try {
    if (!exists('apt-get') || !exists('dpkg')) throw new Error('this machine has no Debian packages');
    const work = join(dirname(fetched), `work.${process.pid}`);
    mkdirSync(work, { recursive: true });
    try {
      const whole = join(work, 'whole');
      copyFileSync(fetchWithApt(work, { package: 'kustomize', path: 'usr/bin/kustomize' }), whole);
      chmodSync(whole, 0o755);
      renameSync(whole, fetched);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
    return [fetched, 'build'];
  } catch (error) {
    if (exists('kubectl')) return ['kubectl', 'kustomize'];
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(
      `kustomize is needed (${why}): install it (https://kubectl.docs.kubernetes.io/installation/kustomize), then run this again.`,
      { cause: error },
    );
  }
}
