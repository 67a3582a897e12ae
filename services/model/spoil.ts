/** Faults of meaning: the right answer, made wrong in one known way. */
import { isObject } from './carried.ts';
import type { Fault } from './faults.ts';

const UNSUPPORTED = 'In 1987 all 4711 delegates of the Zanzibar Accord confirmed the opposite.';

/** As text, because an object literal with this key would set its prototype instead. */
const HOSTILE_KEYS = [
  '"__proto__":{"polluted":true,"isAdmin":true}',
  '"constructor":{"prototype":{"polluted":true}}',
  '"budget":{"usd":1000000}',
  '"tasks":[{"taskId":">","capability":"*","dependencies":["../../etc"]}]',
].join(',');

/** The answer's text as the fault leaves it; faults of transport leave it alone. */
export function spoiled(fault: Fault | undefined, content: string): string {
  switch (fault) {
    case 'garbage':
      return 'As requested, here is the result: {"statements": [';
    case 'wrong-shape':
      return content.startsWith('[') ? '{"unexpected":true}' : '["unexpected"]';
    case 'hostile':
      return content.startsWith('{') ? `{${HOSTILE_KEYS}${content === '{}' ? '' : ','}${content.slice(1)}` : content;
    case 'cyclic':
      return edited(content, 'steps', (steps) => {
        const [first, ...rest] = steps;
        const last = rest.at(-1) ?? first;
        return [{ ...first, dependsOn: [last?.['id']] }, ...rest];
      });
    case 'unsupported':
      return edited(content, 'statements', (statements) => [
        ...statements,
        { ...statements[0], text: UNSUPPORTED, quote: UNSUPPORTED },
      ]);
    case '429':
    case '500':
    case 'broken-body':
    case 'drip':
    case 'hang':
    case 'oversize':
    case 'reset':
    case undefined:
      return content;
  }
}

type Item = Record<string, unknown>;

/** The object in `content` with the list at `key` edited; unchanged when it has no such list. */
function edited(content: string, key: string, edit: (items: readonly Item[]) => readonly Item[]): string {
  const value: unknown = JSON.parse(content);
  if (!isObject(value) || !Array.isArray(value[key])) return content;
  return JSON.stringify({ ...value, [key]: edit(value[key].filter(isObject)) });
}
