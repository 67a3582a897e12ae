/**
 * `plan`: the article's three steps, worded from the goal, with only the capabilities that the mesh has. For `parallel` the first of them is split by
 * kinds of facts, and one step joins what they find.
 */
import { BadInput, type Carried, isObject, optionalText } from './carried.ts';
import { keyTerms } from './extract.ts';
import { collapsed } from './text.ts';

export interface Step {
  readonly id: string;
  readonly title: string;
  readonly description: string;
  readonly capability: string;
  /** Ids of the steps it waits for. */
  readonly dependsOn: readonly string[];
}

const STEPS = [
  { id: 'analyze', capability: 'research', title: 'Analyze' },
  { id: 'implement', capability: 'code', title: 'Implement' },
  { id: 'review', capability: 'review', title: 'Review' },
] as const;

const HEADLINE_MAX = 200;
/** Words that say what to do, not what about. */
const ORDERS = new Set(
  'brief write make give summarise summarize summary text following please short analyze analyse describe'.split(' '),
);

/** Input: `{ goal, pattern?, failed?, finished?, capabilities?: (string | { name })[] }`; the capabilities may also stand in words: "capabilities: a, b". */
export function answerPlan(carried: Carried, schemaCapabilities: readonly string[]): { steps: Step[] } {
  const goal = optionalText(carried.fields, 'goal', 'description') ?? carried.userText;
  const available = capabilitiesIn(carried, schemaCapabilities);
  const [first] = available;
  if (first === undefined) {
    throw new BadInput(
      '"plan" expects the capabilities to plan with: "capabilities" in the JSON object of the user message, e.g. ["research", "code", "review"]',
    );
  }
  const headline = headlineOf(goal);
  const about = keyTerms(goal, 8)
    .filter((term) => !ORDERS.has(term.toLowerCase()))
    .slice(0, 3)
    .join(', ');
  const describe = (what: string): string => `${what}${about === '' ? '' : ` (about: ${about})`}`;
  const failed = partsIn(carried.fields['failed']);
  if (failed.length > 0) return { steps: stepsAnew(carried, failed, available, describe(headline)) };
  if (carried.fields['pattern'] === 'parallel') return { steps: parallelSteps(headline, available, first, describe) };
  const usable = STEPS.filter((step) => available.includes(step.capability));
  if (usable.length === 0)
    return { steps: [{ id: 'work', title: 'Do', description: headline, capability: first, dependsOn: [] }] };
  const steps = usable.map(({ id, capability, title }, index): Step => {
    const before = usable[index - 1];
    return {
      id,
      title,
      description: describe(headline),
      capability,
      dependsOn: before === undefined ? [] : [before.id],
    };
  });
  return { steps };
}

interface Part {
  readonly taskId: string;
  readonly capability: string;
}

function partsIn(value: unknown): readonly Part[] {
  return Array.isArray(value)
    ? value.filter(isObject).flatMap((part) => {
        const taskId = optionalText(part, 'taskId');
        const capability = optionalText(part, 'capability');
        return taskId === undefined || capability === undefined ? [] : [{ taskId, capability }];
      })
    : [];
}

/** What is left of the three steps without what failed and what is done; where that leaves nothing, what failed once more, by other means if there are any. */
function stepsAnew(
  carried: Carried,
  failed: readonly Part[],
  available: readonly string[],
  description: string,
): Step[] {
  const finished = partsIn(carried.fields['finished']);
  const gone = new Set([...failed, ...finished].map(({ capability }) => capability));
  const broken = new Set(failed.map(({ capability }) => capability));
  const left = STEPS.filter(({ capability }) => available.includes(capability) && !gone.has(capability));
  const [first] = failed;
  const other = available.find((name) => !broken.has(name)) ?? first?.capability ?? '';
  const again = { id: 'again', capability: other, title: 'Another way' };
  return (left.length > 0 ? left : [again]).map(({ id, capability, title }, index, all): Step => {
    const before = all[index - 1];
    const dependsOn = before === undefined ? finished.map(({ taskId }) => taskId) : [`${before.id}-anew`];
    return { id: `${id}-anew`, title, description, capability, dependsOn };
  });
}

const PARTS = [
  { id: 'points', title: 'The main points' },
  { id: 'figures', title: 'The figures' },
  { id: 'names', title: 'The names' },
] as const;

function parallelSteps(
  headline: string,
  available: readonly string[],
  any: string,
  describe: (what: string) => string,
): Step[] {
  const first = (...wanted: readonly string[]): string => wanted.find((name) => available.includes(name)) ?? any;
  const parts = PARTS.map(({ id, title }): Step => {
    return { id, title, description: describe(headline), capability: first('research', 'code'), dependsOn: [] };
  });
  const join = first('code', 'review', 'research');
  const merge = { id: 'join', title: 'Join', description: describe(headline), capability: join };
  return [...parts, { ...merge, dependsOn: PARTS.map(({ id }) => id) }];
}

function headlineOf(goal: string): string {
  const line = collapsed(goal);
  return line.length <= HEADLINE_MAX ? line : `${line.slice(0, HEADLINE_MAX - 3).trimEnd()}...`;
}

function capabilitiesIn(carried: Carried, schemaCapabilities: readonly string[]): readonly string[] {
  const listed = carried.fields['capabilities'];
  if (Array.isArray(listed)) {
    return listed
      .map((item: unknown) => (isObject(item) ? optionalText(item, 'name', 'capability') : item))
      .filter((name): name is string => typeof name === 'string' && name !== '');
  }
  if (isObject(listed)) return Object.keys(listed);
  const inWords = /capabilities\W{0,3}[:=]\s*([^\n.;]+)/iu.exec(carried.allText)?.[1];
  if (inWords === undefined) return schemaCapabilities;
  return inWords.match(/[A-Za-z0-9_-]+/gu)?.filter((word) => word !== 'and' && word !== 'or') ?? [];
}
