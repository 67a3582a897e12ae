/** JSON as the project's formatter lays it out, so that a generated file passes the same check as a written one. */
import type { Json } from './schemas.ts';

const LINE_WIDTH = 120;

export function layOut(value: Json): string {
  return `${written(value, '', 0, 0)}\n`;
}

/** `before`: columns of what stands on the line already; `after`: of what follows it. */
function written(value: Json, indent: string, before: number, after: number): string {
  const deeper = `${indent}  `;
  if (Array.isArray(value)) {
    const flat = value.some((item) => typeof item === 'object' && item !== null)
      ? undefined
      : `[${value.map((item) => JSON.stringify(item)).join(', ')}]`;
    if (value.length === 0) return '[]';
    if (flat !== undefined && before + flat.length + after <= LINE_WIDTH) return flat;
    return `[\n${value.map((item: Json) => `${deeper}${written(item, deeper, deeper.length, 1)}`).join(',\n')}\n${indent}]`;
  }
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value);
  if (entries.length === 0) return '{}';
  const lines = entries.map(([name, item]) => {
    const head = `${deeper}${JSON.stringify(name)}: `;
    return `${head}${written(item, deeper, head.length, 1)}`;
  });
  return `{\n${lines.join(',\n')}\n${indent}}`;
}
