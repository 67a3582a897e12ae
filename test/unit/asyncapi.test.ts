import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { asyncApiDocument } from '../../deploy/asyncapi/document.ts';
import { layOut } from '../../deploy/asyncapi/layout.ts';
import { schemaComponents } from '../../deploy/asyncapi/schemas.ts';
import { faultsOf } from '../../deploy/asyncapi/validate.ts';
import { subjectsOf } from '../../shared/protocol/subjects.ts';

const text = readFileSync(new URL('../../docs/asyncapi.json', import.meta.url), 'utf8');
const document = JSON.parse(text);

/** The parser compiles its rules first, which a busy machine takes long for. */
const PARSER_MS = 60_000;

describe('docs/asyncapi.json', () => {
  it('is what shared/protocol says now (else: make asyncapi)', () => {
    expect(text === layOut(asyncApiDocument())).toBe(true);
  });

  it(
    'is valid AsyncAPI 3',
    async () => {
      expect(document.asyncapi).toBe('3.0.0');
      expect(await faultsOf(text)).toEqual([]);
    },
    PARSER_MS,
  );

  it('names the subjects and keys of the protocol page', () => {
    const addresses = Object.values<{ address: string }>(document.channels).map(({ address }) => address);
    expect(addresses).toEqual([
      '{mesh}.goals.submit',
      '{mesh}.tasks.{capability}',
      '{mesh}.goals.cancel',
      '{mesh}.msg.{sender}.{receiver}.{messageType}',
      '{mesh}.msg.{sender}.{receiver}.announce',
      '{mesh}.inbox.{receiver}.reply.{sender}.{messageId}',
      '{mesh}.msg.{sender}.{receiver}.question',
      '{mesh}.inbox.{receiver}.reply.{sender}.{messageId}',
      '{mesh}.inbox.{receiver}.reply.{sender}.{messageId}',
      '{mesh}.msg.{sender}.{receiver}.handover',
      '{mesh}.inbox.{receiver}.reply.{sender}.{messageId}',
      '{mesh}.vote.{capability}',
      '{mesh}.ballot.{roundId}.{agentId}',
      '{mesh}.dead.{origin}',
      '$KV.{mesh}_dag.goal.{goalId}',
      '$KV.{mesh}_dag.task.{goalId}.{taskId}',
      '$KV.{mesh}_dag.plan.{goalId}.{revision}',
      '$KV.{mesh}_dag.round.{roundId}',
      '$KV.{mesh}_agents.agent.{agentId}',
    ]);
    const subjects = subjectsOf('mesh');
    const filled = addresses.map((address) => address.replace('{mesh}', 'mesh').replace(/\{\w+\}/g, 'x'));
    expect(filled).toContain(subjects.message('x', 'x', 'x'));
    expect(filled).toContain(subjects.dagSubject(subjects.taskKey('x', 'x')));
  });

  it('has a payload and every parameter for every channel', () => {
    for (const channel of Object.values<{ address: string; messages: object; parameters: object }>(document.channels)) {
      const [message] = Object.keys(channel.messages);
      expect(document.components.messages[String(message)].payload.$ref).toBe(`#/components/schemas/${message}`);
      expect(document.components.schemas[String(message)]).toBeDefined();
      expect(Object.keys(channel.parameters)).toEqual(
        [...channel.address.matchAll(/\{(\w+)\}/g)].map(([, name]) => name),
      );
    }
  });

  it('refers only to what it holds', () => {
    const references = [...text.matchAll(/"\$ref": "#\/([^"]+)"/g)].map(([, path]) => String(path));
    expect(references.length).toBeGreaterThan(50);
    for (const path of references) {
      const target = path
        .split('/')
        .reduce((part: unknown, name) => (part as Record<string, unknown> | undefined)?.[name], document);
      expect(target, path).toBeDefined();
    }
  });

  it('lets readers ignore unknown fields and writers leave out what has a default', () => {
    const { GoalSubmission, TaskSpec } = document.components.schemas;
    expect(text).not.toContain('"additionalProperties": false');
    expect(GoalSubmission.required).toEqual(['description']);
    expect(TaskSpec.required).toEqual(['taskId', 'capability']);
  });
});

describe('what checks it', () => {
  it(
    'finds a document that is none',
    async () => {
      const sound = { asyncapi: '3.0.0', info: { title: 'x', version: '1' } };
      expect(await faultsOf(JSON.stringify(sound))).toEqual([]);
      const { info: _info, ...nameless } = sound;
      const malformed = { ...sound, channels: { x: { address: 1 } } };
      const dangling = { ...sound, operations: { x: { action: 'send', channel: { $ref: '#/channels/nowhere' } } } };
      for (const broken of [nameless, malformed, dangling])
        expect(await faultsOf(JSON.stringify(broken))).not.toEqual([]);
    },
    PARSER_MS,
  );

  it('has no leftover of the schema library', () => {
    expect(JSON.stringify(schemaComponents())).not.toMatch(/__shared|\$id|\$schema/);
  });
});
