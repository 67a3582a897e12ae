/** Spans as a tree for people. Pure; words of agents and models are made safe for a terminal. */
import { clip, count, duration, safeLine, usd, widthOf } from '../../services/cli/render/text.ts';
import type { Screen } from '../../services/cli/render/screen.ts';
import type { Span } from './receiver.ts';

export interface Branch {
  readonly span: Span;
  /** By their beginnings. */
  readonly children: readonly Branch[];
}

export interface Trace {
  /** One, if the trace is whole. */
  readonly roots: readonly Branch[];
  /** Spans whose parent never came, each with what hangs below it. */
  readonly orphans: readonly Branch[];
}

export function traceOf(spans: readonly Span[]): Trace {
  const known = new Set(spans.map(({ spanId }) => spanId));
  const below = Map.groupBy(spans, ({ parentId }) => parentId ?? '');
  const branches = (found: readonly Span[]): readonly Branch[] =>
    found
      .toSorted((one, other) => one.startMs - other.startMs)
      .map((span) => ({ span, children: branches(below.get(span.spanId) ?? []) }));
  return {
    roots: branches(below.get('') ?? []),
    orphans: branches(spans.filter(({ parentId }) => parentId !== undefined && !known.has(parentId))),
  };
}

export function processesOf(spans: readonly Span[]): ReadonlySet<string> {
  return new Set(spans.map(({ resource }) => String(resource['service.instance.id'])));
}

export function traceText(screen: Screen, spans: readonly Span[]): string {
  const { roots, orphans } = traceOf(spans);
  const startMs = Math.min(...spans.map((span) => span.startMs));
  const endMs = Math.max(...spans.map((span) => span.endMs));
  const traces = [...new Set(spans.map(({ traceId }) => traceId))];
  const head = `${count(spans.length, 'span')} by ${count(processesOf(spans).size, 'process', 'processes')} in ${duration(endMs - startMs)}`;
  const rows = [...roots, ...orphans].flatMap((branch) => rowsOf(branch, '', '', startMs));
  const wide = (column: 'name' | 'who' | 'start' | 'took') => Math.max(...rows.map((row) => widthOf(row[column])));
  const [name, who, start, took] = [wide('name'), wide('who'), wide('start'), wide('took')];
  const lines = rows.map((row) => {
    const left = `${row.name.padEnd(name)}  ${row.who.padEnd(who)}  ${row.start.padStart(start)}  ${row.took.padStart(took)}  `;
    const note = clip(row.note, Math.max(20, screen.width - widthOf(left)));
    return (left + screen.paint(row.bad ? 'bad' : 'faint', note)).trimEnd();
  });
  const lost = orphans.length === 0 ? [] : [`${count(orphans.length, 'span')} without its parent`];
  return [`${screen.paint('heading', `trace ${traces.join(', ')}`)}  ${head}`, ...lines, ...lost].join('\n');
}

interface Row {
  readonly name: string;
  readonly who: string;
  readonly start: string;
  readonly took: string;
  readonly note: string;
  readonly bad: boolean;
}

function rowsOf({ span, children }: Branch, lead: string, below: string, startMs: number): readonly Row[] {
  const { attributes, resource } = span;
  const who = attributes['conclave.agent.id'] ?? resource['service.instance.id'];
  const row = {
    name: lead + safeLine(span.name),
    who: safeLine(String(who)),
    start: `+${duration(span.startMs - startMs)}`,
    took: duration(span.endMs - span.startMs),
    note: safeLine(noteOf(span)),
    bad: span.error !== undefined,
  };
  const rest = children.flatMap((child, at) => {
    const last = at === children.length - 1;
    return rowsOf(child, `${below}${last ? '└─ ' : '├─ '}`, `${below}${last ? '   ' : '│  '}`, startMs);
  });
  return [row, ...rest];
}

function noteOf({ attributes, error }: Span): string {
  const said = (name: string): string | undefined => {
    const value = attributes[name];
    return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
  };
  const attempt = said('conclave.task.attempt');
  const tokens = said('gen_ai.usage.input_tokens');
  const cost = attributes['conclave.cost.usd'] ?? attributes['conclave.task.cost_usd'];
  const parts = [
    said('conclave.task.id'),
    attempt === undefined ? undefined : `attempt ${attempt} ${said('conclave.task.transition') ?? ''}`,
    said('conclave.goal.status'),
    said('conclave.round.outcome'),
    said('conclave.vote.position') ?? said('conclave.vote.unsaid'),
    said('conclave.model.question'),
    tokens === undefined ? undefined : `${tokens} + ${said('gen_ai.usage.output_tokens') ?? '0'} tokens`,
    typeof cost === 'number' && cost > 0 ? usd(cost) : undefined,
    error === undefined ? undefined : `${said('error.type') ?? 'error'}: ${error}`,
  ];
  return parts.filter((part) => part !== undefined && part.trim() !== '').join('  ');
}
