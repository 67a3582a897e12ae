/** What one reviewer looks at, and the part of it that needs no model. Pure. */
export const CRITERIA = ['support', 'figures', 'economy'] as const;
export type Criterion = (typeof CRITERIA)[number];

export type Configured =
  | { readonly ok: true; readonly criterion: Criterion | undefined }
  | { readonly ok: false; readonly message: string };

/** Value of `REVIEW_CRITERION`; unset or empty: each reviewer finds its own by `criterionOf`. */
export function criterionFrom(value: string | undefined): Configured {
  if (value === undefined || value === '') return { ok: true, criterion: undefined };
  const criterion = CRITERIA.find((known) => known === value);
  if (criterion !== undefined) return { ok: true, criterion };
  return {
    ok: false,
    message: `REVIEW_CRITERION: expected ${CRITERIA.join(', ')} or nothing, got ${JSON.stringify(value)}`,
  };
}

/** The same agent judges by the same criterion after a restart, and agents with random ids spread over all of them. */
export function criterionOf(agentId: string): Criterion {
  let hash = 0;
  for (let at = 0; at < agentId.length; at += 1) hash = (hash * 31 + agentId.charCodeAt(at)) >>> 0;
  return CRITERIA[hash % CRITERIA.length] ?? 'support';
}

/** One thing that a result claims. An empty quote: it names no evidence. */
export interface Statement {
  readonly text: string;
  readonly quote: string;
}

const SHOWN = 400;
/** Violations that are told; a result with more is no better for it. */
const TOLD_MAX = 5;

/**
 * What is wrong beyond dispute. A made-up quote is a fault by every criterion; the rest belongs to one: a figure that the text does not have
 * (`figures`), the same said twice or more words than the text (`economy`).
 */
export function violations(criterion: Criterion, statements: readonly Statement[], text: string): readonly string[] {
  const found = inventedQuotes(statements, text);
  switch (criterion) {
    case 'support':
      break;
    case 'figures':
      found.push(...inventedFigures(statements, text));
      break;
    case 'economy':
      found.push(...waste(statements, text));
      break;
  }
  return found.slice(0, TOLD_MAX);
}

function inventedQuotes(statements: readonly Statement[], text: string): string[] {
  const source = squash(text);
  return statements
    .filter(({ quote }) => quote.trim() !== '' && !source.includes(squash(quote)))
    .map((statement) => `the text does not contain the quote of ${shown(statement.text)}`);
}

function inventedFigures(statements: readonly Statement[], text: string): string[] {
  const known = figuresIn(text);
  return statements.flatMap((statement) =>
    [...figuresIn(statement.text)]
      .filter((figure) => !known.has(figure))
      .map((figure) => `the text does not contain the figure ${figure} of ${shown(statement.text)}`),
  );
}

/** Numbers as digits, without the marks that group thousands: `1,250` and `1250` are one figure, `3.5` and `35` are two. */
function figuresIn(text: string): ReadonlySet<string> {
  return new Set([...text.matchAll(/\d+(?:[.,]\d+)*/g)].map(([figure]) => figure.replaceAll(/,(?=\d{3}(?!\d))/g, '')));
}

function waste(statements: readonly Statement[], text: string): string[] {
  const seen = new Set<string>();
  const found: string[] = [];
  for (const statement of statements) {
    const words = squash(statement.text).toLowerCase();
    if (seen.has(words)) found.push(`said twice: ${shown(statement.text)}`);
    seen.add(words);
  }
  const length = statements.reduce((sum, statement) => sum + squash(statement.text).length, 0);
  const limit = squash(text).length;
  if (length > limit) found.push(`expected fewer characters than the text has (${limit}), got ${length}`);
  return found;
}

/** Models break and join lines as they copy: runs of white space count as one. */
export function squash(text: string): string {
  return text.replaceAll(/\s+/g, ' ').trim();
}

/** Unescaped: whoever mends the result finds the statement by its words. */
function shown(statement: string): string {
  return `"${squash(statement).slice(0, SHOWN).toWellFormed()}"`;
}
