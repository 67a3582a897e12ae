/** JSON that a tool printed, taken apart with care. */

type Fields = Readonly<Record<string, unknown>>;

/** @throws Error naming `what`, when `value` is no object. */
export function fieldsOf(value: unknown, what: string): Fields {
  if (!isFields(value)) throw new Error(`${what}: expected an object, got ${JSON.stringify(value)?.slice(0, 80)}`);
  return value;
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
