/** What a user hands in as files: the input of a goal, and its tasks. */
import { readFile } from 'node:fs/promises';
import { extname } from 'node:path';
import { z } from 'zod';
import { decode } from '../../shared/protocol/codec.ts';
import { CommandFailure, EXIT } from './failure.ts';
import type { Terminal } from './terminal.ts';

type Json = z.infer<ReturnType<typeof z.json>>;

/**
 * A `.json` file is its value; any other text is `{ "text": ... }`. Standard input (`-`) has no name to go by: a JSON object or array
 * is taken as such, anything else as text.
 *
 * @throws CommandFailure (usage) for a file that cannot be read, is not UTF-8, or is not the JSON that its name says.
 */
export async function readInput(terminal: Terminal, path: string): Promise<Json> {
  const bytes = await readBytes(terminal, path);
  if (path !== '-' && extname(path).toLowerCase() === '.json') return requireJson(path, bytes);
  const text = textOf(path, bytes);
  const value = path === '-' && /^\s*[[{]/.test(text) ? decode(z.json(), bytes) : undefined;
  return value?.ok === true ? value.value : { text };
}

/** The tasks of a file that holds a JSON array, or an object with one as `tasks`. Their shape is not judged here. */
export async function readTasks(terminal: Terminal, path: string): Promise<Json[]> {
  const value = requireJson(path, await readBytes(terminal, path));
  const tasks = typeof value === 'object' && value !== null && !Array.isArray(value) ? value['tasks'] : value;
  if (Array.isArray(tasks)) return tasks;
  throw new CommandFailure(
    EXIT.usage,
    `${nameOf(path)}: expected a JSON array of tasks, or an object with one as "tasks"`,
  );
}

function nameOf(path: string): string {
  return path === '-' ? 'standard input' : path;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

async function readBytes(terminal: Terminal, path: string): Promise<Uint8Array> {
  try {
    return path === '-' ? await terminal.stdin() : await readFile(path);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw new CommandFailure(EXIT.usage, `${nameOf(path)}: expected a file that can be read (${detail})`, {
      cause: error,
    });
  }
}

function textOf(path: string, bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new CommandFailure(
      EXIT.usage,
      `${nameOf(path)}: expected text in UTF-8, got other bytes; convert it, or give its text in a .json file`,
    );
  }
}

function requireJson(path: string, bytes: Uint8Array): Json {
  const parsed = decode(z.json(), bytes);
  if (parsed.ok) return parsed.value;
  throw new CommandFailure(EXIT.usage, `${nameOf(path)}: ${parsed.message}`);
}
