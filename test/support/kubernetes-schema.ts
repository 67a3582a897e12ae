/**
 * Whether objects are what a cluster expects. Two judges, made from the official schemas by the packages `kubernetes-models`: their validators, for
 * values; and the type checker on their types, for names, because a validator lets an unknown field pass.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as keda from '@kubernetes-models/keda/keda.sh/v1alpha1';
import * as monitoring from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import * as apps from 'kubernetes-models/apps/v1';
import * as batch from 'kubernetes-models/batch/v1';
import * as networking from 'kubernetes-models/networking.k8s.io/v1';
import * as policy from 'kubernetes-models/policy/v1';
import * as core from 'kubernetes-models/v1';
import { z } from 'zod';

const root = fileURLToPath(new URL('../../', import.meta.url));

interface Group {
  readonly module: Readonly<Record<string, unknown>>;
  readonly specifier: string;
}

const groups: Readonly<Record<string, Group>> = {
  v1: { module: core, specifier: 'kubernetes-models/v1' },
  'apps/v1': { module: apps, specifier: 'kubernetes-models/apps/v1' },
  'batch/v1': { module: batch, specifier: 'kubernetes-models/batch/v1' },
  'networking.k8s.io/v1': { module: networking, specifier: 'kubernetes-models/networking.k8s.io/v1' },
  'policy/v1': { module: policy, specifier: 'kubernetes-models/policy/v1' },
  'keda.sh/v1alpha1': { module: keda, specifier: '@kubernetes-models/keda/keda.sh/v1alpha1' },
  'monitoring.coreos.com/v1': {
    module: monitoring,
    specifier: '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1',
  },
};

export const KubernetesObject = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({
    name: z.string(),
    namespace: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
  }),
});
export type KubernetesObject = z.infer<typeof KubernetesObject>;

const Model = z.custom<new (data: unknown) => { validate(): void }>((value) => typeof value === 'function');

/** What is wrong with them, one line each, naming the object and the field. */
export function schemaProblems(objects: readonly KubernetesObject[]): readonly string[] {
  const problems = objects.flatMap((object): string[] => {
    const group = groups[object.apiVersion];
    const model = Model.safeParse(group?.module[object.kind]);
    if (!model.success) return [`${nameOf(object)}: no schema of ${object.apiVersion} ${object.kind} is known here`];
    try {
      new model.data(object).validate();
      return [];
    } catch (error) {
      return [`${nameOf(object)}: ${error instanceof Error ? error.message : String(error)}`];
    }
  });
  return problems.length > 0 ? problems : nameProblems(objects);
}

function nameOf({ kind, metadata }: KubernetesObject): string {
  return `${kind} ${metadata.name}`;
}

/** As object literals of the schema's type, in which an unknown name is an error. */
function nameProblems(objects: readonly KubernetesObject[]): readonly string[] {
  const parent = join(root, '.cache', 'kubernetes');
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(join(parent, 'check-'));
  try {
    const lines = objects.flatMap((object, at) => {
      const { specifier } = groups[object.apiVersion] ?? { specifier: '' };
      return [
        `import type { I${object.kind} as T${at} } from ${JSON.stringify(specifier)};`,
        `export const object${at}: T${at} = ${JSON.stringify(object)};`,
      ];
    });
    writeFileSync(join(folder, 'objects.ts'), `${lines.join('\n')}\n`);
    const flags = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--skipLibCheck',
      '--module',
      'nodenext',
      '--target',
      'esnext',
    ];
    const tsc = spawnSync(
      process.execPath,
      [
        join(root, 'node_modules/typescript/bin/tsc'),
        ...flags,
        '--types',
        '',
        '--pretty',
        'false',
        join(folder, 'objects.ts'),
      ],
      {
        encoding: 'utf8',
        cwd: root,
      },
    );
    if (tsc.status === 0) return [];
    const complaints = tsc.stdout.split('\n').filter((line) => /error TS\d+/.test(line));
    if (complaints.length === 0) return [`the type checker failed without a word about an object: ${tsc.stderr}`];
    return complaints.map((line) => {
      const at = Math.floor((Number(/\((\d+),/.exec(line)?.[1] ?? '1') - 1) / 2);
      const object = objects[at];
      return `${object === undefined ? '?' : nameOf(object)}: ${line.replace(/^.*error TS\d+: /, '')}`;
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
