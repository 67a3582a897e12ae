/** The rules that Prometheus evaluates, as they stand in deploy/prometheus/rules. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { fieldsOf } from '../bootstrap/json.ts';

const folder = fileURLToPath(new URL('../prometheus/rules/', import.meta.url));

export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for: string | undefined;
  readonly severity: string;
  readonly summary: string;
  readonly description: string;
  readonly runbook: string;
}

export interface Recording {
  readonly record: string;
  readonly expr: string;
}

/** The groups of all files, as Prometheus and its operator take them. */
export function ruleGroups(): readonly object[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.yml'))
    .toSorted()
    .flatMap((name) => listOf(fieldsOf(parse(readFileSync(`${folder}${name}`, 'utf8')), name)['groups'], name));
}

/** @throws Error naming the rule, when one lacks what every rule must have. */
export function rules(): { readonly alerts: readonly Alert[]; readonly recordings: readonly Recording[] } {
  const alerts: Alert[] = [];
  const recordings: Recording[] = [];
  for (const rule of ruleGroups().flatMap((group) => listOf(fieldsOf(group, 'group')['rules'], 'rules'))) {
    const fields = fieldsOf(rule, 'rule');
    const expr = textOf(fields, 'expr');
    if ('record' in fields) {
      recordings.push({ record: textOf(fields, 'record'), expr });
      continue;
    }
    const annotations = fieldsOf(fields['annotations'], `annotations of ${String(fields['alert'])}`);
    alerts.push({
      alert: textOf(fields, 'alert'),
      expr,
      for: typeof fields['for'] === 'string' ? fields['for'] : undefined,
      severity: textOf(fieldsOf(fields['labels'], `labels of ${String(fields['alert'])}`), 'severity'),
      summary: textOf(annotations, 'summary'),
      description: textOf(annotations, 'description'),
      runbook: textOf(annotations, 'runbook'),
    });
  }
  return { alerts, recordings };
}

function listOf(value: unknown, what: string): readonly object[] {
  if (!Array.isArray(value)) throw new Error(`${what}: expected a list, got ${typeof value}`);
  return value.map((each: unknown) => fieldsOf(each, what));
}

function textOf(fields: Readonly<Record<string, unknown>>, name: string): string {
  const value = fields[name];
  if (typeof value !== 'string' || value.trim() === '')
    throw new Error(
      `a rule: expected ${name}, got ${JSON.stringify(value)} in ${JSON.stringify(fields).slice(0, 200)}`,
    );
  return value.trim();
}
