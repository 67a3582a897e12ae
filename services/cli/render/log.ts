/** Log entries of one goal as lines: when, what kind, what happened. */
import type { LogEntry } from '../../../shared/adapters/mesh-client-log.ts';
import { errorLine } from './goal.ts';
import { paintStatus, type Screen } from './screen.ts';
import { clip, count, safeJson, safeLine, usd } from './text.ts';

const KIND_WIDTH = 8;
const CLOCK_WIDTH = 12;
/** Of a message's content or a voter's reasons, without a terminal's width to go by. */
const PREVIEW_MAX = 160;

export function logLine(screen: Screen, entry: LogEntry): string {
  const clock = new Date(entry.at).toISOString().slice(11, 23);
  const kind = entry.kind === 'unreadable' ? '?' : entry.kind;
  const room = Math.min(screen.width - CLOCK_WIDTH - KIND_WIDTH - 2, PREVIEW_MAX);
  return `${screen.paint('faint', clock)} ${kind.padEnd(KIND_WIDTH)} ${said(screen, entry, Math.max(20, room))}`;
}

function said(screen: Screen, entry: LogEntry, room: number): string {
  switch (entry.kind) {
    case 'goal': {
      const { status, tasks, cost } = entry.record;
      const why = 'error' in entry.record ? `  ${errorLine(screen, entry.record.error)}` : '';
      return `${paintStatus(screen, status)}  ${tasks.completed} of ${count(tasks.total, 'task')}  ${usd(cost.total)}${why}`;
    }
    case 'task': {
      const { record } = entry;
      const parts = [
        safeLine(record.taskId),
        paintStatus(screen, record.status),
        'agentId' in record && record.agentId !== undefined ? safeLine(record.agentId) : '',
        record.attempt > 0 ? `attempt ${record.attempt}` : '',
        record.cost.usd > 0 ? usd(record.cost.usd) : '',
        'error' in record && record.error !== undefined ? errorLine(screen, record.error) : '',
      ];
      return parts.filter((part) => part !== '').join('  ');
    }
    case 'message': {
      const { sender, receiver, messageType, content } = entry.record;
      const head = `${safeLine(sender)} → ${safeLine(receiver)}  ${safeLine(messageType)}`;
      return preview(head, typeof content === 'string' ? content : safeJson(content), room);
    }
    case 'vote': {
      const { roundId, rule, roster, proposal } = entry.record;
      return preview(`${safeLine(roundId)}  ${rule.method} of ${count(roster.length, 'voter')}`, proposal, room);
    }
    case 'ballot': {
      const { roundId, agent, position, confidence, rationale } = entry.record;
      const sure = confidence === undefined ? '' : ` (${confidence.toFixed(2)})`;
      return preview(`${safeLine(roundId)}  ${safeLine(agent)}: ${safeLine(position)}${sure}`, rationale ?? '', room);
    }
    case 'round': {
      const { roundId, consensus, position, reason, ballots } = entry.record;
      const outcome = consensus
        ? screen.paint('good', safeLine(position ?? ''))
        : screen.paint('bad', reason ?? 'no consensus');
      return `${safeLine(roundId)}  ${outcome}  ${count(ballots.length, 'ballot')}`;
    }
    case 'unreadable':
      return preview(safeLine(entry.subject), `does not fit the protocol: ${entry.detail}`, room);
  }
}

function preview(head: string, text: string, room: number): string {
  return text === '' ? head : clip(`${head}  ${safeLine(text)}`, room);
}
