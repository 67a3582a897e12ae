/** zod schema -> the `response_format` of a chat completion; answer text -> a value that fits the schema. */
import { z } from 'zod';

type JsonSchema = z.core.JSONSchema.JSONSchema;

export interface ResponseFormat {
  readonly type: 'json_schema';
  readonly json_schema: { readonly name: string; readonly strict: boolean; readonly schema: Record<string, unknown> };
}

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problem: string };

const ISSUES_MAX = 8;

/**
 * `strict` asks the endpoint to enforce the schema while it writes. That mode takes a subset: every object closed, every property
 * required, no string lengths. Lengths move into the description, where the model still reads them; a schema with optional
 * properties or free keys is sent without `strict`. zod checks the answer either way.
 */
export function responseFormat(name: string, schema: z.ZodType): ResponseFormat {
  const { $schema: _, ...json } = z.toJSONSchema(schema, { io: 'input' });
  const strict = isStrictSubset(json);
  return { type: 'json_schema', json_schema: { name, strict, schema: strict ? strictForm(json) : json } };
}

/** The answer's text as a value of `schema`, or what is wrong with it in words a model can act on. */
export function parseAnswer<T>(text: string, schema: z.ZodType<T>): Parsed<T> {
  let value: unknown;
  try {
    value = JSON.parse(unfenced(text), withoutProto);
  } catch (error) {
    return {
      ok: false,
      problem: `expected one JSON value and nothing else, got text that does not parse: ${messageOf(error)}`,
    };
  }
  try {
    const checked = schema.safeParse(value);
    if (checked.success) return { ok: true, value: checked.data };
    const issues = checked.error.issues
      .slice(0, ISSUES_MAX)
      .map((issue) => `- ${issue.path.map(String).join('.') || 'the answer'}: ${issue.message}`);
    return { ok: false, problem: `the JSON does not fit the schema:\n${issues.join('\n')}` };
  } catch (error) {
    // Nesting deeper than the stack: an answer like any other that does not fit.
    if (error instanceof RangeError) return { ok: false, problem: `the JSON is nested too deeply: ${error.message}` };
    throw error;
  }
}

/** An answer's `__proto__` would become a prototype as soon as anybody copies the object key by key. */
function withoutProto(this: unknown, key: string, value: unknown): unknown {
  return key === '__proto__' ? undefined : value;
}

/** Models that only approximate JSON mode like to wrap it in a Markdown fence. */
function unfenced(text: string): string {
  const trimmed = text.trim();
  if (!trimmed.startsWith('```') || !trimmed.endsWith('```')) return trimmed;
  return trimmed.slice(trimmed.indexOf('\n') + 1, -3).trim();
}

function isStrictSubset(schema: JsonSchema): boolean {
  return everySubschema(schema, (part) => {
    if (part.type !== 'object')
      return (
        part.type !== undefined ||
        part.anyOf !== undefined ||
        part.$ref !== undefined ||
        part.const !== undefined ||
        part.enum !== undefined
      );
    const names = Object.keys(part.properties ?? {});
    const open =
      typeof part.additionalProperties === 'object' ||
      part.additionalProperties === true ||
      part.propertyNames !== undefined;
    return part.properties !== undefined && !open && names.every((name) => part.required?.includes(name) === true);
  });
}

function everySubschema(schema: JsonSchema, test: (part: JsonSchema) => boolean): boolean {
  return test(schema) && childrenOf(schema).every((child) => everySubschema(child, test));
}

function childrenOf(schema: JsonSchema): JsonSchema[] {
  const { properties, items, anyOf, oneOf, allOf, prefixItems, $defs, additionalProperties } = schema;
  const many = [
    ...Object.values(properties ?? {}),
    ...Object.values($defs ?? {}),
    ...(anyOf ?? []),
    ...(oneOf ?? []),
    ...(allOf ?? []),
  ];
  const tuple = [...(Array.isArray(items) ? items : [items]), ...(prefixItems ?? []), additionalProperties];
  return [...many, ...tuple].filter((child) => typeof child === 'object' && child !== null);
}

/** A copy with closed objects and without the keywords that strict mode rejects. */
function strictForm(schema: JsonSchema): Record<string, unknown> {
  const { minLength, maxLength, ...kept } = schema;
  const copy: Record<string, unknown> = Object.fromEntries(
    Object.entries(kept).map(([key, value]) => [key, strictValue(key, value)]),
  );
  if (schema.type === 'object') copy['additionalProperties'] = false;
  if (minLength === undefined && maxLength === undefined) return copy;
  const length = `${minLength ?? 0} to ${maxLength ?? 'any number of'} characters`;
  copy['description'] = schema.description === undefined ? length : `${schema.description} (${length})`;
  return copy;
}

const MAPS = new Set(['properties', '$defs']);
const LISTS = new Set(['anyOf', 'oneOf', 'allOf', 'prefixItems', 'items']);

function strictValue(key: string, value: unknown): unknown {
  if (MAPS.has(key) && isObject(value)) {
    return Object.fromEntries(
      Object.entries(value).map(([name, part]) => [name, isObject(part) ? strictForm(part) : part]),
    );
  }
  if (!LISTS.has(key)) return value;
  if (Array.isArray(value)) return value.map((part: unknown) => (isObject(part) ? strictForm(part) : part));
  return isObject(value) ? strictForm(value) : value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
