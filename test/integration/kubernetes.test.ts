/** deploy/kubernetes, without a cluster: it builds, every object fits its schema, and it says the same as the code. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { pinnedImages } from '../../deploy/engine/pins.ts';
import conclave from '../../package.json' with { type: 'json' };
import { manifest as coder } from '../../services/coder/handler.ts';
import { manifest as echo } from '../../services/echo/handler.ts';
import { manifest as planner } from '../../services/planner/handler.ts';
import { manifest as researcher } from '../../services/researcher/handler.ts';
import { manifestWith } from '../../services/reviewer/handler.ts';
import { subjectsOf } from '../../shared/protocol/subjects.ts';
import type { Manifest } from '../../shared/runtime/manifest.ts';
import { KubernetesObject, schemaProblems } from '../support/kubernetes-schema.ts';
import { buildKustomization } from '../support/kustomize.ts';

const folder = fileURLToPath(new URL('../../deploy/kubernetes/', import.meta.url));
const overlays = ['base', ...readdirSync(join(folder, 'overlays')).map((name) => `overlays/${name}`)];
const agents: readonly Manifest[] = [planner, researcher, coder, manifestWith('support'), echo];

const built = new Map<string, readonly KubernetesObject[]>();

function objectsOf(overlay: string): readonly KubernetesObject[] {
  const known = built.get(overlay) ?? buildKustomization(overlay).map((object) => KubernetesObject.parse(object));
  built.set(overlay, known);
  return known;
}

const ofKind = (overlay: string, kind: string): readonly KubernetesObject[] =>
  objectsOf(overlay).filter((object) => object.kind === kind);

const Container = z.looseObject({
  name: z.string(),
  image: z.string(),
  args: z.array(z.string()),
  env: z.array(z.object({ name: z.string(), value: z.string() })).optional(),
  envFrom: z.array(z.object({ configMapRef: z.object({ name: z.string() }) })).optional(),
  securityContext: z.looseObject({
    allowPrivilegeEscalation: z.literal(false),
    readOnlyRootFilesystem: z.literal(true),
    privileged: z.literal(false),
    capabilities: z.strictObject({ drop: z.tuple([z.literal('ALL')]) }),
  }),
  resources: z.object({
    requests: z.object({ cpu: z.string(), memory: z.string() }),
    limits: z.object({ cpu: z.string(), memory: z.string() }),
  }),
  volumeMounts: z
    .array(z.looseObject({ name: z.string(), mountPath: z.string(), readOnly: z.literal(true) }))
    .optional(),
});
const PodTemplate = z.looseObject({
  metadata: z.looseObject({ labels: z.record(z.string(), z.string()) }),
  spec: z.looseObject({
    automountServiceAccountToken: z.literal(false),
    securityContext: z.looseObject({
      runAsNonRoot: z.literal(true),
      runAsUser: z.literal(65_532),
      seccompProfile: z.object({ type: z.literal('RuntimeDefault') }),
    }),
    containers: z.tuple([Container]),
    volumes: z.array(z.looseObject({ name: z.string() })).optional(),
  }),
});
const Workload = z.looseObject({ spec: z.looseObject({ template: PodTemplate, replicas: z.number().optional() }) });

test.each(overlays)('%s: every object fits its schema', (overlay) => {
  const objects = objectsOf(overlay);
  expect(objects.length).toBeGreaterThan(10);
  expect(schemaProblems(objects)).toEqual([]);
  expect(objects.filter(({ kind, metadata }) => kind !== 'Namespace' && metadata.namespace !== 'conclave')).toEqual([]);
});

test.each([
  ['Deployment', '"readinessProbe":', '"readynessProbe":', /^Deployment \w+: .*readynessProbe/],
  ['Deployment', '"drop":', '"dropped":', /^Deployment \w+: .*dropped/],
  ['Deployment', '"replicas":2', '"replicas":"two"', /^Deployment \w+: .*replicas/],
  ['ScaledObject', '"maxReplicaCount":', '"maxReplicas":', /^ScaledObject \w+: .*maxReplicas/],
  ['PodMonitor', '"podMetricsEndpoints":', '"podMetricEndpoints":', /^PodMonitor conclave-agents: .*podMetricE?/],
  ['NetworkPolicy', '"podSelector":', '"podSelectors":', /^NetworkPolicy [\w-]+: .*podSelector/],
  ['PodDisruptionBudget', '"maxUnavailable":', '"maxUnavailble":', /^PodDisruptionBudget \w+: .*maxUnavailble/],
])('a %s in which %s is spelt %s is refused', (kind, right, wrong, complaint) => {
  const overlay = ['ScaledObject', 'PodMonitor'].includes(kind) ? 'overlays/production' : 'base';
  const whole = JSON.stringify(ofKind(overlay, kind));
  expect(whole).toContain(right);
  const broken = z.array(KubernetesObject).parse(JSON.parse(whole.replace(right, wrong)));
  expect(schemaProblems(broken)).toEqual([expect.stringMatching(complaint)]);
});

test.each(overlays)('%s: every pod is restricted, limited and of the version of this tree', (overlay) => {
  const workloads = [...ofKind(overlay, 'Deployment'), ...ofKind(overlay, 'Job')];
  expect(workloads.length).toBeGreaterThan(agents.length);
  for (const workload of workloads) {
    const { spec } = Workload.parse(workload);
    const [container] = spec.template.spec.containers;
    expect(container.image).toBe(`conclave:${conclave.version}`);
    const mounted = (container.volumeMounts ?? []).map(({ name }) => name).toSorted();
    expect((spec.template.spec.volumes ?? []).map(({ name }) => name).toSorted()).toEqual(mounted);
  }
});

test('every agent has a Deployment, a budget for disruptions and its credentials alone, as its manifest says', () => {
  const deployments = ofKind('base', 'Deployment');
  expect(deployments.map(({ metadata }) => metadata.name).toSorted()).toEqual(
    agents.map(({ role }) => role).toSorted(),
  );
  const budgets = ofKind('base', 'PodDisruptionBudget').map(({ metadata }) => metadata.name);
  for (const { role, usesModel } of agents) {
    const deployment = deployments.find(({ metadata }) => metadata.name === role);
    const { template } = Workload.parse(deployment).spec;
    expect(template.spec.containers[0].args).toEqual([role]);
    expect(template.metadata.labels['conclave/uses-model'], role).toBe(usesModel ? 'true' : undefined);
    const secrets = [...JSON.stringify(template.spec.volumes).matchAll(/"secretName":"([^"]+)"/g)].map(
      ([, name]) => name ?? '',
    );
    expect(secrets.toSorted()).toEqual([`conclave-identities-${role}`, ...(usesModel ? ['conclave-openai'] : [])]);
    expect(budgets).toContain(role);
  }
});

test('every agent is scaled by the queues of its capabilities, which are created before', () => {
  const Scaled = z.looseObject({
    metadata: z.looseObject({ name: z.string() }),
    spec: z.looseObject({
      scaleTargetRef: z.object({ name: z.string() }),
      minReplicaCount: z.number().min(1),
      fallback: z.object({ failureThreshold: z.number(), replicas: z.number() }),
      triggers: z.array(
        z.strictObject({
          type: z.literal('nats-jetstream'),
          // A trigger's settings are free text to the schema: these are all that the scaler knows.
          metadata: z.strictObject({
            natsServerMonitoringEndpoint: z.string(),
            account: z.literal('mesh'),
            stream: z.string(),
            consumer: z.string(),
            lagThreshold: z.string(),
            activationLagThreshold: z.string(),
            useHttps: z.literal('false'),
          }),
        }),
      ),
    }),
  });
  const subjects = subjectsOf('mesh');
  const scaled = ofKind('overlays/production', 'ScaledObject').map((object) => Scaled.parse(object));
  const [init] = ofKind('overlays/production', 'Job').map(
    (job) => Workload.parse(job).spec.template.spec.containers[0].args,
  );
  const created = init?.[init.indexOf('--capabilities') + 1]?.split(',');
  for (const { role, capabilities, limits } of agents) {
    const own = scaled.find(({ metadata }) => metadata.name === role);
    const names = Object.keys(capabilities);
    expect(own?.spec.scaleTargetRef.name).toBe(role);
    expect(own?.spec.triggers.map(({ metadata }) => [metadata.stream, metadata.consumer])).toEqual(
      names.map((name) => [subjects.dagStream, subjects.capabilityConsumer(name)]),
    );
    // As many waiting as one agent works on at once is what one more agent is for.
    for (const { metadata } of own?.spec.triggers ?? []) expect(Number(metadata.lagThreshold), role).toBe(limits.slots);
    for (const name of names) expect(created).toContain(name);
  }
  expect(scaled.length).toBe(agents.length);
  for (const deployment of ofKind('overlays/production', 'Deployment')) {
    expect(Workload.parse(deployment).spec.replicas).toBeUndefined();
  }
});

test('what agents are told in their environment is what they read, and the files are where they are mounted', () => {
  const [map] = ofKind('base', 'ConfigMap');
  const { data } = z.looseObject({ data: z.record(z.string(), z.string()) }).parse(map);
  const readme = readFileSync(join(folder, '../../README.md'), 'utf8');
  const docs = readme + readFileSync(join(folder, '../../docs/security.md'), 'utf8');
  for (const name of Object.keys(data)) expect(docs).toContain(`\`${name}`);
  for (const workload of [...ofKind('base', 'Deployment'), ...ofKind('base', 'Job')]) {
    const [container] = Workload.parse(workload).spec.template.spec.containers;
    const mounts = container.volumeMounts?.map(({ mountPath }) => mountPath) ?? [];
    const files = [data['NATS_CA'], ...(container.env ?? []).map(({ value }) => value)];
    expect(files.length).toBeGreaterThan(1);
    for (const file of files)
      expect(
        mounts.some((path) => file?.startsWith(`${path}/`)),
        file,
      ).toBe(true);
  }
});

test("the brokers' values: three servers that flush each write, with encryption, of the version that is tested", () => {
  const values = z
    .looseObject({
      container: z.looseObject({ image: z.object({ repository: z.string(), tag: z.string() }) }),
      config: z.looseObject({
        cluster: z.looseObject({
          enabled: z.literal(true),
          replicas: z.literal(3),
          tls: z.looseObject({ enabled: z.literal(true), merge: z.object({ verify: z.literal(true) }) }),
        }),
        nats: z.looseObject({ tls: z.looseObject({ enabled: z.literal(true) }) }),
        jetstream: z.looseObject({ merge: z.object({ sync_interval: z.literal('always') }) }),
        merge: z.looseObject({ $include: z.string() }),
      }),
    })
    .parse(parse(readFileSync(join(folder, 'nats-values.yaml'), 'utf8')));
  expect(pinnedImages()).toContain(`${values.container.image.repository}:${values.container.image.tag}`);
});
