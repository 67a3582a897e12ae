import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { parseAnswer, responseFormat } from '../../../shared/adapters/openai-schema.ts';

describe('responseFormat', () => {
  it('closes every object and asks for strict enforcement', () => {
    const format = responseFormat('x', z.object({ list: z.array(z.object({ a: z.string(), b: z.enum(['p', 'q']) })) }));
    expect(format.json_schema).toEqual({
      name: 'x',
      strict: true,
      schema: {
        type: 'object',
        properties: {
          list: {
            type: 'array',
            items: {
              type: 'object',
              properties: { a: { type: 'string' }, b: { type: 'string', enum: ['p', 'q'] } },
              required: ['a', 'b'],
              additionalProperties: false,
            },
          },
        },
        required: ['list'],
        additionalProperties: false,
      },
    });
  });

  it('moves string lengths, which strict mode rejects, into the description', () => {
    const schema = z.object({ title: z.string().min(1).max(80).describe('Of the brief'), free: z.string().min(3) });
    const { json_schema: format } = responseFormat('x', schema);
    expect(format.strict).toBe(true);
    expect(format.schema['properties']).toEqual({
      title: { type: 'string', description: 'Of the brief (1 to 80 characters)' },
      free: { type: 'string', description: '3 to any number of characters' },
    });
  });

  it.each([
    ['an optional property', z.object({ a: z.string().optional() })],
    ['free keys', z.object({ a: z.record(z.string(), z.number()) })],
    ['an open object', z.looseObject({ a: z.string() })],
    ['any value', z.object({ a: z.unknown() })],
    ['an optional property deep inside', z.object({ a: z.array(z.object({ b: z.number().optional() })) })],
  ])('does not ask for strict enforcement of %s', (_, schema) => {
    expect(responseFormat('x', schema).json_schema.strict).toBe(false);
  });

  it('describes what the model writes, not what a transform makes of it', () => {
    const schema = z.object({ n: z.string().transform(Number) });
    expect(responseFormat('x', schema).json_schema.schema['properties']).toEqual({ n: { type: 'string' } });
  });
});

describe('parseAnswer', () => {
  const schema = z.object({ a: z.number() });

  it.each(['{"a":1}', '  {"a":1}\n', '```json\n{"a":1}\n```', '```\n{"a":1}\n```'])('reads %j', (text) => {
    expect(parseAnswer(text, schema)).toEqual({ ok: true, value: { a: 1 } });
  });

  it.each(['', 'null', '[]', '{"a":"1"}', '{"a":1}{"a":2}', 'Sure! {"a":1}', '{"a":1'])(
    'refuses %j with a reason',
    (text) => {
      const parsed = parseAnswer(text, schema);
      expect(parsed.ok).toBe(false);
      expect(!parsed.ok && parsed.problem.length).toBeGreaterThan(10);
    },
  );

  it('tells the place of at most eight issues', () => {
    const many = z.object({ list: z.array(z.object({ n: z.number() })) });
    const parsed = parseAnswer(JSON.stringify({ list: Array.from({ length: 20 }, () => ({ n: 'x' })) }), many);
    const problem = parsed.ok ? '' : parsed.problem;
    expect(problem).toContain('- list.0.n: ');
    expect(problem.split('\n')).toHaveLength(9);
  });

  it('survives nesting deeper than the stack', () => {
    const deep = `${'[{"__proto__":'.repeat(100_000)}1${'}]'.repeat(100_000)}`;
    expect(parseAnswer(deep, z.json()).ok).toBe(false);
    const list = `${'['.repeat(100_000)}${']'.repeat(100_000)}`;
    expect(parseAnswer(list, z.json()).ok).toBe(false);
  });

  it('drops __proto__ wherever it stands', () => {
    const parsed = parseAnswer('{"x":{"__proto__":{"p":1},"k":[{"__proto__":2}]}}', z.unknown());
    expect(JSON.stringify(parsed)).toBe('{"ok":true,"value":{"x":{"k":[{}]}}}');
  });
});
