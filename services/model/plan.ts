/** `plan`: the article's three steps, worded from the goal, with only the capabilities that the mesh has. */
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

/** Input: `{ goal, capabilities?: (string | { name })[] }`; the capabilities may also stand in words: "capabilities: a, b". */
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
  const usable = STEPS.filter((step) => available.includes(step.capability));
  if (usable.length === 0)
    return { steps: [{ id: 'work', title: 'Do', description: headline, capability: first, dependsOn: [] }] };
  const steps = usable.map(({ id, capability, title }, index): Step => {
    const before = usable[index - 1];
    const description = about === '' ? headline : `${headline} (about: ${about})`;
    return { id, title, description, capability, dependsOn: before === undefined ? [] : [before.id] };
  });
  return { steps };
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
