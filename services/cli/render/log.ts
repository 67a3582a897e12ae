/** Entries of a goal's log as lines: when, what kind, what happened. */
import type { LogEntry } from '../../../shared/core/log-entry.ts';
import { isBlobRef } from '../../../shared/protocol/ids.ts';
import { saysOver } from '../../../shared/protocol/vote.ts';
import { errorLine, revisionLine } from './goal.ts';
import { paintStatus, type Screen } from './screen.ts';
import { clip, clock, count, safeJson, safeLine, usd, widthOf } from './text.ts';

const KIND_WIDTH = 8;
const CLOCK_WIDTH = 13;
/** Of a message's content, a result, or a voter's reasons, without a terminal's width to go by. */
const LINE_MAX = 160;
const ROOM_MIN = 20;

type Of<K extends LogEntry['kind']> = Extract<LogEntry, { kind: K }>;

export function logLine(screen: Screen, entry: LogEntry): string {
  const kind = entry.kind === 'unreadable' ? '?' : entry.kind;
  const room = Math.max(ROOM_MIN, Math.min(screen.width, LINE_MAX) - CLOCK_WIDTH - KIND_WIDTH - 2);
  return `${screen.paint('faint', clock(entry.at))} ${kind.padEnd(KIND_WIDTH)} ${said(screen, entry, room)}`;
}

function said(screen: Screen, entry: LogEntry, room: number): string {
  switch (entry.kind) {
    case 'goal':
      return goalLine(screen, entry, room);
    case 'task':
      return taskLine(screen, entry, room);
    case 'cost':
      return costLine(entry);
    case 'plan':
      return planLine(screen, entry);
    case 'message': {
      const { sender, receiver, messageType, content, taskId } = entry.record;
      const about = taskId === undefined ? '' : ` (${safeLine(taskId)})`;
      return preview(`${safeLine(sender)} → ${safeLine(receiver)}  ${safeLine(messageType)}${about}`, content, room);
    }
    case 'vote': {
      const { roundId, rule, roster, proposal, taskId } = entry.record;
      const about = taskId === undefined ? safeLine(roundId) : safeLine(taskId);
      if (saysOver(entry.record)) return `${about}  over: those who still think about it may stop`;
      return preview(`${about}  ${rule.method} of ${count(roster.length, 'voter')}`, proposal, room);
    }
    case 'ballot': {
      const { agent, position, confidence, rationale } = entry.record;
      const sure = confidence === undefined ? '' : ` (${confidence.toFixed(2)})`;
      return preview(`${safeLine(agent)}: ${safeLine(position)}${sure}`, rationale ?? '', room);
    }
    case 'round': {
      const { roundId, taskId, consensus, position, reason, ballots, roster } = entry.record;
      const outcome = consensus
        ? screen.paint(position === 'reject' ? 'bad' : 'good', safeLine(position ?? ''))
        : screen.paint('bad', `no consensus: ${reason ?? 'no_majority'}`);
      return `${safeLine(taskId ?? roundId)}  ${outcome}  ${ballots.length} of ${count(roster.length, 'ballot')} counted`;
    }
    case 'unreadable':
      return preview(safeLine(entry.subject), `does not fit the protocol: ${entry.detail}`, room);
  }
}

const UNEXPLAINED = 'no transition leads here';

function goalLine(screen: Screen, { change, record }: Of<'goal'>, room: number): string {
  const status = paintStatus(screen, record.status);
  const { tasks, cost } = record;
  const error = 'error' in record ? errorLine(screen, record.error) : '';
  switch (change) {
    case 'accept': {
      const by = 'acceptedBy' in record ? ` by ${safeLine(record.acceptedBy)}` : '';
      return preview(
        `${status}  accepted${by}, ${record.pattern}, ${count(tasks.total, 'task')}`,
        record.description,
        room,
      );
    }
    case 'declare':
      return `${status}  ${count(tasks.total, 'task')} are being written`;
    case 'materialize':
      return `${status}  ${count(tasks.total, 'task')}, predicted ${usd(cost.predicted)}`;
    case 'revise':
      return `${status}  revision ${record.status === 'rejected' ? '' : (record.revision ?? 0)} begins, ${count(tasks.total, 'task')}`;
    case 'revised':
      return `${status}  revision ${record.status === 'rejected' ? '' : (record.revision ?? 0)} is carried out`;
    case 'progress':
      return `${status}  ${tasks.completed} of ${count(tasks.total, 'task')}  ${usd(cost.total)}`;
    case 'stop': {
      const stopping = 'stopping' in record ? record.stopping : undefined;
      return `${status}  stopping${stopping === undefined ? '' : `  ${errorLine(screen, stopping.error)}`}`;
    }
    case 'reject':
      return `${status}  ${error}`;
    case 'finish': {
      const spent = `${tasks.completed} of ${count(tasks.total, 'task')}  ${usd(cost.total)}`;
      if (error !== '') return `${status}  ${spent}  ${error}`;
      return 'result' in record ? preview(`${status}  ${spent}`, record.result, room) : `${status}  ${spent}`;
    }
    case undefined:
      return `${status}  ${screen.paint('bad', UNEXPLAINED)}`;
  }
}

function taskLine(screen: Screen, { change, record, agentId }: Of<'task'>, room: number): string {
  const task = safeLine(record.taskId);
  const status = paintStatus(screen, record.status);
  const agent = agentId === undefined ? 'nobody' : safeLine(agentId);
  const error = 'error' in record && record.error !== undefined ? `  ${errorLine(screen, record.error)}` : '';
  const cost = record.cost.usd > 0 ? `  ${usd(record.cost.usd)} so far` : '';
  switch (change) {
    case 'create': {
      const after = record.dependencies.length === 0 ? '' : ` after ${record.dependencies.map(safeLine).join(', ')}`;
      return clip(`${task}  created: ${safeLine(record.capability)}${after}`, Math.max(room, LINE_MAX));
    }
    case 'release':
      return `${task}  ${status}`;
    case 'claim':
      return `${task}  ${status}  ${agent}, attempt ${record.attempt}`;
    case 'takeover':
      return `${task}  ${screen.paint('warn', 'taken over')} by ${agent}, attempt ${record.attempt}: the holder lost its lease`;
    case 'propose':
      return `${task}  ${agent} proposes a result${cost}`;
    case 'rework':
      return preview(
        `${task}  ${screen.paint('warn', 'sent back')} to ${agent}, rework ${record.reworks ?? 0}`,
        record.reasons?.at(-1) ?? '',
        room,
      );
    case 'retry':
      return `${task}  ${screen.paint('warn', 'failed')}  ${agent}, attempt ${record.attempt} of ${record.maxAttempts}${error}${cost}`;
    case 'complete': {
      const spent = record.cost.usd > 0 ? `  ${usd(record.cost.usd)}` : '';
      const head = `${task}  ${status}  ${agent}, attempt ${record.attempt}${spent}`;
      return record.status === 'completed' ? preview(head, record.result, room) : head;
    }
    case 'fail':
    case 'exhaust':
      return `${task}  ${status}  ${agent}, attempt ${record.attempt}${error}`;
    case 'replace':
    case 'cancel':
      return `${task}  ${status}${error}`;
    case undefined:
      return `${task}  ${status}  ${screen.paint('bad', UNEXPLAINED)}`;
  }
}

function planLine(screen: Screen, { record }: Of<'plan'>): string {
  const plain = { ...screen, paint: (_: string, text: string) => text };
  return clip(revisionLine(plain, record), Math.max(screen.width, LINE_MAX));
}

function costLine({ change, record }: Of<'cost'>): string {
  const who = change.agents.map(safeLine).join(', ');
  if (change.kind === 'reserve') {
    const held = Object.values(record.reserved).reduce((sum, each) => sum + each.usd, 0);
    return `${who === '' ? 'a reservation ends' : `${who} reserves the worst case of a call`}; ${usd(held)} is reserved`;
  }
  const parts = [
    change.usd > 0 || change.tokens > 0 ? `${usd(change.usd)}, ${count(change.tokens, 'token')}` : '',
    change.messages > 0 ? `${usd(change.communicationUsd)} for ${count(change.messages, 'message')}` : '',
  ].filter((part) => part !== '');
  return `${who === '' ? '' : `${who}: `}${parts.join(', ')}`;
}

/** The head, and as much of a value as the line has room for; a large value is its reference. */
function preview(head: string, value: unknown, room: number): string {
  if (value === undefined || value === '') return head;
  const text = isBlobRef(value) ? `blob ${value.$blob}` : typeof value === 'string' ? value : safeJson(value);
  const left = room - widthOf(head) - 2;
  return left < ROOM_MIN ? head : `${head}  ${clip(safeLine(text), left)}`;
}
