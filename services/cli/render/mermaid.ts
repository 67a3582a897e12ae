/**
 * A goal's log as a Mermaid sequence diagram: who took which task, who said what to whom, how votes went. The whole log of a large goal would be a
 * picture that nobody can read and that renderers refuse (50,000 characters by default), so it ends with a note that says how much was left out.
 */
import type { LogEntry } from '../../../shared/core/log-entry.ts';
import { clip, count, safeLine, usd } from './text.ts';

const CHARACTERS_MAX = 45_000;
const LABEL_MAX = 60;
const SUBMITTER = 'submitter';
const GRAPH = 'task graph';
/** Of a round that no task belongs to. */
const PROPOSER = 'proposer';

export interface Diagram {
  add(entry: LogEntry): void;
  text(): string;
}

export function sequenceDiagram(): Diagram {
  const actors = new Map<string, string>();
  const holders = new Map<string, string>();
  const proposers = new Map<string, string>();
  const steps: string[] = [];
  let size = 0;
  let omitted = 0;

  /** Ids of agents may be words of the diagram's language ("end"), so each gets a name of ours. */
  function actor(name: string): string {
    const known = actors.get(name);
    if (known !== undefined) return known;
    const alias = `p${actors.size}`;
    actors.set(name, alias);
    return alias;
  }

  function step(line: string): void {
    if (size > CHARACTERS_MAX) {
      omitted += 1;
      return;
    }
    size += line.length + 3;
    steps.push(line);
  }

  const arrow = (from: string, kind: string, to: string, label: string): void =>
    step(`${actor(from)}${kind}${actor(to)}: ${escaped(label)}`);
  const note = (over: string, label: string): void => step(`Note over ${actor(over)}: ${escaped(label)}`);

  function goal({ change, record }: Extract<LogEntry, { kind: 'goal' }>): void {
    const error = 'error' in record ? record.error.code : '';
    if (change === 'accept' && 'acceptedBy' in record) {
      arrow(SUBMITTER, '->>', record.acceptedBy, `goal ${record.goalId}: ${record.description}`);
      arrow(record.acceptedBy, '->>', GRAPH, `accepted, ${count(record.tasks.total, 'task')}`);
    } else if (change === 'materialize') note(GRAPH, `planned: ${count(record.tasks.total, 'task')}`);
    else if (change === 'reject') arrow(SUBMITTER, '-x', GRAPH, `rejected: ${error}`);
    else if (change === 'stop') note(GRAPH, 'stopping');
    else if (change === 'finish') {
      const why = error === '' ? '' : ` (${error})`;
      arrow(GRAPH, '->>', SUBMITTER, `${record.status}${why}, ${usd(record.cost.total)}`);
    }
  }

  function task({ change, record, agentId }: Extract<LogEntry, { kind: 'task' }>): void {
    const { taskId, attempt } = record;
    const before = holders.get(taskId);
    const agent = agentId ?? GRAPH;
    const tries = attempt > 1 ? `, attempt ${attempt}` : '';
    const error = 'error' in record && record.error !== undefined ? `: ${record.error.code}` : '';
    switch (change) {
      case 'claim':
        arrow(GRAPH, '->>', agent, `${taskId}${tries}`);
        break;
      case 'takeover':
        if (before !== undefined) note(before, `lost its lease on ${taskId}`);
        arrow(GRAPH, '->>', agent, `${taskId}, taken over${tries}`);
        break;
      case 'propose':
        note(agent, `has a result of ${taskId}`);
        break;
      case 'rework':
        note(agent, `works on ${taskId} again`);
        break;
      case 'complete':
        // Work that ends at once is recorded once.
        if (before !== agent) arrow(GRAPH, '->>', agent, `${taskId}${tries}`);
        arrow(agent, '->>', GRAPH, `${taskId} completed`);
        break;
      case 'retry':
        arrow(agent, '-x', GRAPH, `${taskId} attempt ${attempt} failed${error}`);
        break;
      case 'fail':
      case 'exhaust':
        arrow(agent, '-x', GRAPH, `${taskId} failed${error}`);
        break;
      case 'cancel':
      case 'replace':
        note(GRAPH, `${taskId} cancelled`);
        break;
      case 'create':
      case 'release':
      case undefined:
    }
    if (record.status === 'in_progress' || record.status === 'completed') holders.set(taskId, agent);
    else holders.delete(taskId);
  }

  return {
    add(entry) {
      switch (entry.kind) {
        case 'goal':
          return goal(entry);
        case 'task':
          return task(entry);
        case 'message': {
          const { sender, receiver, messageType } = entry.record;
          return arrow(sender, '->>', receiver, messageType);
        }
        case 'vote': {
          const { taskId, roundId, roster, proposal } = entry.record;
          const proposer = taskId === undefined ? PROPOSER : (holders.get(taskId) ?? PROPOSER);
          proposers.set(roundId, proposer);
          for (const voter of roster) arrow(proposer, '->>', voter, `vote: ${taskId ?? proposal}`);
          return undefined;
        }
        case 'ballot': {
          const { roundId, agent, position, confidence } = entry.record;
          const sure = confidence === undefined ? '' : ` (${confidence.toFixed(2)})`;
          return arrow(agent, '-->>', proposers.get(roundId) ?? PROPOSER, `${position}${sure}`);
        }
        case 'round': {
          const { roundId, ballots, roster, position, reason } = entry.record;
          const decided = position ?? `no consensus: ${reason ?? 'no_majority'}`;
          return note(proposers.get(roundId) ?? PROPOSER, `${decided}, ${ballots.length} of ${roster.length} ballots`);
        }
        case 'plan': {
          const { revision, cause, tasks, replaces } = entry.record;
          const gone = replaces.length === 0 ? '' : `, ${replaces.length} replaced`;
          return note(GRAPH, `revision ${revision} by ${cause}: ${count(tasks.length, 'more task')}${gone}`);
        }
        case 'cost':
        case 'unreadable':
          return undefined;
      }
    },
    text() {
      const rest =
        omitted === 0
          ? []
          : [`Note over ${actor(GRAPH)}: ${omitted} more steps are left out, choose with --task or --agent`];
      const names = [...actors].map(([name, alias]) =>
        name === SUBMITTER ? `actor ${alias} as ${escaped(name)}` : `participant ${alias} as ${escaped(name)}`,
      );
      const lines = [...names, ...steps, ...rest].map((line) => `  ${line}`);
      return ['sequenceDiagram', ...lines].join('\n');
    },
  };
}

/**
 * Words of agents and models as a label. Whatever could end the statement, start a comment, a directive or markup becomes a character code, which
 * Mermaid writes `#<decimal>;`.
 */
function escaped(text: string): string {
  const line = clip(safeLine(text), LABEL_MAX);
  const safe = line.replace(/[^\p{L}\p{N} .,:()'/_+=!?$@*…-]/gu, (character) => `#${character.codePointAt(0) ?? 63};`);
  return safe.trim() === '' ? '-' : safe;
}
