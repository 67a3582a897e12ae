import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { instanceOf, sourceOf } from '../../../services/model/schema.ts';

const source = () => sourceOf(['The mast fell on the quay.', 'It rained 31 millimetres.']);

/** Schemas as people write them, nested to some depth. */
const { schema: anySchema } = fc.letrec<{ schema: z.ZodType }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<z.ZodType>(
      z.string(),
      z.string().min(40),
      z.string().max(5),
      z.number(),
      z.int(),
      z.int().min(3).max(9),
      z.number().gt(0).lt(1),
      z.number().multipleOf(0.5).min(2),
      z.int().max(-7),
      z.boolean(),
      z.null(),
      z.literal('fixed'),
      z.enum(['x', 'y']),
      z.iso.datetime(),
      z.iso.date(),
      z.uuid(),
      z.email(),
      z.url(),
      z.string().regex(/^[a-z0-9-]{1,16}$/),
      z.unknown(),
    ),
    fc
      .array(tie('schema'), { minLength: 1, maxLength: 4 })
      .map((parts) => z.object(Object.fromEntries(parts.map((part, index) => [`p${index}`, part])))),
    tie('schema').map((item) => z.array(item).min(2).max(5)),
    tie('schema').map((item) => z.object({ maybe: item.optional() })),
    tie('schema').map((item) => item.nullable()),
    fc.tuple(tie('schema'), tie('schema')).map(([a, b]) => z.union([a, b])),
    fc.tuple(tie('schema'), tie('schema')).map(([a, b]) => z.tuple([a, b])),
    fc
      .tuple(tie('schema'), tie('schema'))
      .map(([a, b]) => z.intersection(z.object({ left: a }), z.object({ right: b }))),
    tie('schema').map((item) => z.record(z.string(), item)),
  ),
}));

describe('instanceOf', () => {
  it('satisfies the schema', () => {
    fc.assert(
      fc.property(anySchema, (schema) => {
        const made = instanceOf(z.toJSONSchema(schema), source());
        expect(schema.safeParse(JSON.parse(JSON.stringify(made))).error).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });

  it('fills strings with sentences of the text, one after the other', () => {
    const schema = z.toJSONSchema(z.object({ a: z.string(), b: z.string() }));
    expect(instanceOf(schema, source())).toEqual({ a: 'The mast fell on the quay.', b: 'It rained 31 millimetres.' });
  });

  it('ends recursion where the schema lets it', () => {
    interface Tree {
      readonly name: string;
      readonly left: Tree | null;
      readonly list: Tree[];
    }
    const Node: z.ZodType<Tree> = z.object({
      name: z.string(),
      get left() {
        return Node.nullable();
      },
      get list() {
        return z.array(Node).max(0);
      },
    });
    expect(Node.safeParse(instanceOf(z.toJSONSchema(Node), source())).success).toBe(true);
  });

  it.each([
    ['a pattern that no text meets', { type: 'string', pattern: '^[0-9]{40}$' }, /pattern/],
    ['limits without a number', { type: 'integer', minimum: 3, maximum: 2 }, /no number/],
    [
      'endless required nesting',
      {
        $defs: { n: { type: 'object', properties: { n: { $ref: '#/$defs/n' } }, required: ['n'] } },
        $ref: '#/$defs/n',
      },
      /nesting/,
    ],
    ['a reference to nowhere', { $ref: '#/$defs/none' }, /leads nowhere/],
    ['a reference to itself', { $ref: '#' }, /leads nowhere/],
    ['a type that does not exist', { type: 'poem' }, /unknown type "poem"/],
    ['an array beyond all bounds', { type: 'array', minItems: 1e9, items: {} }, /items/],
  ])('refuses %s', (_, schema, message) => {
    expect(() => instanceOf(schema, source())).toThrow(message);
  });
});
