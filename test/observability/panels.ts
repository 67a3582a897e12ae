/** What Grafana would ask for each panel: read from the committed dashboards, with the variables filled in as it fills them in. */
import { readdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';

const FOLDER = new URL('../../deploy/grafana/dashboards/', import.meta.url);

const Target = z.object({ expr: z.string(), legendFormat: z.string(), instant: z.boolean().optional() });
const Dashboard = z.object({
  title: z.string(),
  panels: z.array(z.object({ type: z.string(), title: z.string(), targets: z.array(Target).default([]) })),
  templating: z.object({ list: z.array(z.object({ name: z.string(), type: z.string(), query: z.unknown() })) }),
});

export interface PanelQuery {
  readonly expr: string;
  readonly instant: boolean;
  /** Labels that the legend names. */
  readonly labels: readonly string[];
}

export interface PanelToAsk {
  readonly dashboard: string;
  readonly panel: string;
  readonly queries: readonly PanelQuery[];
}

export interface VariableToAsk {
  readonly dashboard: string;
  readonly name: string;
  readonly label: string;
  readonly selector: string;
}

function dashboards(): readonly z.infer<typeof Dashboard>[] {
  return readdirSync(FOLDER).map((name) => Dashboard.parse(JSON.parse(readFileSync(new URL(name, FOLDER), 'utf8'))));
}

/** `values`: what each variable stands for, without its `$`. */
function filledIn(text: string, values: Readonly<Record<string, string>>): string {
  return text.replaceAll(/\$(\w+)/g, (whole, name: string) => values[name] ?? whole);
}

export function panelsToAsk(values: Readonly<Record<string, string>>): readonly PanelToAsk[] {
  return dashboards().flatMap(({ title, panels }) =>
    panels
      .filter(({ type }) => type !== 'row')
      .map((panel) => ({
        dashboard: title,
        panel: panel.title,
        queries: panel.targets.map(({ expr, legendFormat, instant = false }) => ({
          expr: filledIn(expr, values),
          instant,
          labels: [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].map(([, label]) => String(label)),
        })),
      })),
  );
}

export function variablesToAsk(values: Readonly<Record<string, string>>): readonly VariableToAsk[] {
  return dashboards().flatMap(({ title, templating }) =>
    templating.list
      .filter(({ type }) => type === 'query')
      .map(({ name, query }) => {
        const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(String(query)) ?? [];
        if (selector === undefined || label === undefined)
          throw new Error(`${title}, variable ${name}: expected label_values(selector, label), got ${String(query)}`);
        return { dashboard: title, name, label, selector: filledIn(selector, values) };
      }),
  );
}
