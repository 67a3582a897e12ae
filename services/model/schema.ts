/** A JSON Schema answered from text: values for schemas nobody wrote code for, and answers brought into the form that was asked for. */
import { BadInput, isObject } from './carried.ts';

type Schema = Readonly<Record<string, unknown>>;

/** Sentences that fill the strings of an answer, one after the other. */
export interface Source {
  next(): string;
}

export function sourceOf(texts: readonly string[]): Source {
  let index = 0;
  return {
    next() {
      const text = texts[index % Math.max(texts.length, 1)] ?? 'No text was given.';
      index += 1;
      return text;
    },
  };
}

const DEPTH_MAX = 24;
const PATTERN_TRY_MAX = 256;

/** A value that satisfies `schema`. Throws BadInput where it cannot make one: a pattern that no text meets, endless required nesting. */
export function instanceOf(schema: unknown, source: Source): unknown {
  return make(schema, { root: schema, source, path: 'the schema', depth: 0 });
}

/** `value` with what the schema requires and it lacks, and without what a closed object refuses. Parts that fit stay as they are. */
export function fitted(value: unknown, schema: unknown, source: Source): unknown {
  return fit(value, schema, { root: schema, source, path: 'the schema', depth: 0 });
}

interface At {
  readonly root: unknown;
  readonly source: Source;
  readonly path: string;
  readonly depth: number;
}

function fit(value: unknown, raw: unknown, at: At): unknown {
  const schema = resolved(raw, at);
  const properties = isObject(schema['properties']) ? schema['properties'] : undefined;
  if (isObject(value) && properties !== undefined) {
    const required = strings(schema['required']);
    const open = schema['additionalProperties'] !== false;
    const known = Object.entries(properties).flatMap(([name, part]): [string, unknown][] => {
      if (Object.hasOwn(value, name)) return [[name, fit(value[name], part, below(at, name))]];
      return required.includes(name) ? [[name, make(part, below(at, name))]] : [];
    });
    const extra = open ? Object.entries(value).filter(([name]) => !Object.hasOwn(properties, name)) : [];
    return Object.fromEntries([...known, ...extra]);
  }
  if (Array.isArray(value) && schema['items'] !== undefined) {
    return value
      .slice(0, numberOr(schema['maxItems'], value.length))
      .map((item: unknown) => fit(item, schema['items'], below(at, '[]')));
  }
  if (typeof value === 'string') return value.slice(0, numberOr(schema['maxLength'], value.length));
  return value;
}

function make(raw: unknown, at: At): unknown {
  if (at.depth > DEPTH_MAX)
    throw new BadInput(`${at.path}: required nesting deeper than ${DEPTH_MAX} levels cannot be answered`);
  const schema = resolved(raw, at);
  if ('const' in schema) return schema['const'];
  if (Array.isArray(schema['enum']) && schema['enum'].length > 0) return schema['enum'][0];
  const branches = [schema['anyOf'], schema['oneOf']].find((list) => Array.isArray(list));
  if (Array.isArray(branches)) return makeBranch(branches, at);
  if (Array.isArray(schema['allOf'])) return make(merged(schema['allOf'], at), at);
  switch (typeOf(schema)) {
    case 'object':
      return makeObject(schema, at);
    case 'array':
      return makeArray(schema, at);
    case 'string':
      return makeString(schema, at);
    case 'integer':
    case 'number':
      return makeNumber(schema, at);
    case 'boolean':
      return false;
    case 'null':
      return null;
    case 'any':
      return at.source.next();
    default:
      throw new BadInput(
        `${at.path}: unknown type ${JSON.stringify(schema['type'])}; expected object, array, string, number, integer, boolean or null`,
      );
  }
}

function makeBranch(branches: readonly unknown[], at: At): unknown {
  // A branch of substance first; null and endless branches only when nothing else works.
  const ordered = [...branches].sort((a, b) => Number(isNull(a)) - Number(isNull(b)));
  let refusal = new BadInput(`${at.path}: a choice without branches cannot be answered`);
  for (const branch of ordered) {
    try {
      return make(branch, below(at, '|'));
    } catch (error) {
      if (!(error instanceof BadInput)) throw error;
      refusal = error;
    }
  }
  throw refusal;
}

function isNull(schema: unknown): boolean {
  return isObject(schema) && schema['type'] === 'null';
}

function makeObject(schema: Schema, at: At): Record<string, unknown> {
  const properties = isObject(schema['properties']) ? schema['properties'] : {};
  // Optional properties are left out: fewer places to go wrong, and recursion ends.
  return Object.fromEntries(
    strings(schema['required']).map((name) => [
      name,
      make(Object.hasOwn(properties, name) ? properties[name] : {}, below(at, name)),
    ]),
  );
}

function makeArray(schema: Schema, at: At): unknown[] {
  const tuple = Array.isArray(schema['prefixItems']) ? schema['prefixItems'] : [];
  const size = Math.max(
    numberOr(schema['minItems'], 0),
    tuple.length,
    schema['items'] === undefined ? 0 : Math.min(1, numberOr(schema['maxItems'], 1)),
  );
  if (size > 1000) throw new BadInput(`${at.path}: an array of ${size} items is more than this endpoint makes up`);
  return Array.from({ length: size }, (_, index) =>
    make(tuple[index] ?? schema['items'] ?? {}, below(at, `[${index}]`)),
  );
}

const FORMATS: Readonly<Record<string, string>> = {
  'date-time': '2000-01-01T00:00:00.000Z',
  date: '2000-01-01',
  time: '00:00:00Z',
  duration: 'P1D',
  email: 'nobody@example.org',
  uri: 'https://example.org/',
  uuid: '00000000-0000-4000-8000-000000000000',
  ipv4: '127.0.0.1',
  ipv6: '::1',
  hostname: 'example.org',
};

function makeString(schema: Schema, at: At): string {
  const format = schema['format'];
  const known = typeof format === 'string' ? FORMATS[format] : undefined;
  if (known !== undefined) return known;
  const shortest = numberOr(schema['minLength'], 0);
  const longest = numberOr(schema['maxLength'], Number.MAX_SAFE_INTEGER);
  const text = at.source.next();
  const sized = (candidate: string) => candidate.padEnd(shortest, '.').slice(0, longest);
  const pattern = schema['pattern'];
  if (typeof pattern !== 'string') return sized(text);
  const words = text.split(/\s+/u);
  const candidates = [
    text,
    ...words,
    ...words.map((word) => word.toLowerCase().replace(/[^a-z0-9]/gu, '')),
    'a',
    'A',
    '0',
    'a-1',
  ];
  const met = candidates
    .map(sized)
    .find((candidate) => candidate.length <= PATTERN_TRY_MAX && meets(pattern, candidate));
  if (met === undefined)
    throw new BadInput(`${at.path}: found no text for the pattern ${pattern}; offline, only plain patterns can be met`);
  return met;
}

function meets(pattern: string, candidate: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(candidate);
  } catch {
    return false;
  }
}

function makeNumber(schema: Schema, at: At): number {
  const whole = schema['type'] === 'integer';
  const step = numberOr(schema['multipleOf'], whole ? 1 : 0);
  const lowest = Math.max(numberOr(schema['minimum'], -Infinity), numberOr(schema['exclusiveMinimum'], -Infinity));
  const highest = Math.min(numberOr(schema['maximum'], Infinity), numberOr(schema['exclusiveMaximum'], Infinity));
  const inner = step > 0 ? step : Math.min(1, (highest - lowest) / 2);
  const fromLow = step > 0 ? Math.ceil(lowest / step) * step : lowest;
  const allowed = (value: number) =>
    value >= lowest &&
    value <= highest &&
    value !== schema['exclusiveMinimum'] &&
    value !== schema['exclusiveMaximum'] &&
    Number.isFinite(value);
  const found = [0, fromLow, fromLow + inner, highest].find(
    (value) => allowed(value) && (step === 0 || value % step === 0),
  );
  if (found === undefined) throw new BadInput(`${at.path}: found no number within its limits`);
  return found;
}

function typeOf(schema: Schema): unknown {
  const type = schema['type'];
  if (Array.isArray(type)) return type.find((each) => each !== 'null') ?? 'null';
  if (type !== undefined) return type;
  if (schema['properties'] !== undefined) return 'object';
  return schema['items'] === undefined ? 'any' : 'array';
}

function merged(parts: readonly unknown[], at: At): Schema {
  const schemas = parts.map((part) => resolved(part, at));
  const entries = schemas.flatMap((schema) => Object.entries(schema));
  const properties = schemas.flatMap((schema) =>
    isObject(schema['properties']) ? Object.entries(schema['properties']) : [],
  );
  const required = schemas.flatMap((schema) => strings(schema['required']));
  return { ...Object.fromEntries(entries), properties: Object.fromEntries(properties), required };
}

/** Follows `$ref` within the document. `true` and anything that is no object stand for "any value". */
function resolved(raw: unknown, at: At): Schema {
  let schema = raw;
  for (let hops = 0; isObject(schema) && typeof schema['$ref'] === 'string'; hops += 1) {
    const ref = schema['$ref'];
    if (hops > DEPTH_MAX || !ref.startsWith('#'))
      throw new BadInput(`${at.path}: the reference ${ref} leads nowhere in the schema`);
    schema = ref
      .slice(1)
      .split('/')
      .filter((step) => step !== '')
      .reduce((node: unknown, step) => child(node, step), at.root);
    if (schema === undefined) throw new BadInput(`${at.path}: the reference ${ref} leads nowhere in the schema`);
  }
  return isObject(schema) ? schema : {};
}

function child(node: unknown, step: string): unknown {
  const name = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~');
  return isObject(node) && Object.hasOwn(node, name) ? node[name] : undefined;
}

function below(at: At, step: string): At {
  return { ...at, path: `${at.path}.${step}`, depth: at.depth + 1 };
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}

function numberOr(value: unknown, otherwise: number): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : otherwise;
}
