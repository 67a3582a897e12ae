/**
 * Watches the acknowledgements of work items: one that comes before everything that follows from it is written leaves nobody to write it (I6). A sweep may
 * repair that later, so the end of a schedule does not show it; the moment of the acknowledgement does.
 */
import { grows } from '../../shared/core/revision.ts';
import { type GoalRecord, isTerminalGoal, type LiveGoal } from '../../shared/protocol/goal.ts';
import type { Revision } from '../../shared/protocol/plan.ts';
import { isTerminalTask, type TaskRecord } from '../../shared/protocol/task.ts';
import type { Subjects } from '../../shared/protocol/subjects.ts';
import type { MemoryDag } from './memory-dag.ts';

export class AckWatch {
  /** Findings, each beginning with its invariant. */
  readonly problems: string[] = [];
  /** Items that nobody acknowledged, by `<goalId>.<taskId>`. */
  readonly #open = new Map<string, Set<number>>();
  readonly #released = new Set<string>();
  readonly #dag: MemoryDag;
  readonly #subjects: Subjects;

  constructor(dag: MemoryDag, subjects: Subjects) {
    this.#dag = dag;
    this.#subjects = subjects;
  }

  sent(subject: string, sequence: number): void {
    const id = idOf(subject);
    this.#released.add(id);
    this.#open.set(id, (this.#open.get(id) ?? new Set()).add(sequence));
  }

  acknowledged(subject: string, sequence: number): void {
    const id = idOf(subject);
    this.#open.get(id)?.delete(sequence);
    const [goalId = '', taskId = ''] = id.split('.');
    const goal = this.#read(this.#subjects.goalKey(goalId)) as GoalRecord | undefined;
    const task = this.#task(goalId, taskId);
    if (goal === undefined || task === undefined || this.#isOpen(id)) return;
    if (!isTerminalTask(task))
      this.problems.push(`I6 the item ${sequence} of ${id} was acknowledged while it is ${task.status}`);
    if (isTerminalGoal(goal) || goal.stopping !== undefined) return;
    if (grows(task)) this.#mustHaveGrown(goal, task, sequence);
    if (task.status !== 'completed') return;
    for (const dependent of task.dependents) this.#mustBeReleased(task, dependent, sequence);
    this.#mustBeOver(task, sequence);
  }

  /** A plan that was made while its goal ran is carried out before the item that brought it goes. */
  #mustHaveGrown(goal: LiveGoal, { goalId, taskId }: TaskRecord, sequence: number): void {
    const { revision: count = 0, revising } = goal;
    const own = Array.from({ length: count }, (_, index) => index + 1).find((n) => {
      const revision = this.#read(this.#subjects.revisionKey(goalId, n)) as Revision | undefined;
      return revision?.cause === taskId;
    });
    if (own === undefined || (own === count && revising === true))
      this.problems.push(`I6 the item ${sequence} of ${goalId}.${taskId} was acknowledged before its graph had grown`);
  }

  /** Of the dependencies of one task the last item must not go before that task has one. */
  #mustBeReleased({ goalId, taskId }: TaskRecord, dependent: string, sequence: number): void {
    const waiting = this.#task(goalId, dependent);
    if (waiting?.status !== 'pending' || this.#released.has(`${goalId}.${dependent}`)) return;
    const others = waiting.dependencies.map((dependency) => ({
      id: `${goalId}.${dependency}`,
      status: this.#task(goalId, dependency)?.status,
    }));
    if (others.some(({ id, status }) => status !== 'completed' || this.#isOpen(id))) return;
    this.problems.push(
      `I6 the item ${sequence} of ${goalId}.${taskId} was acknowledged before ${dependent} was released`,
    );
  }

  /** Tasks of a chain that have no item of their own are carried by the item of the one before them: it is not acknowledged while one of them is worked on. */
  #mustBeOver(first: TaskRecord, sequence: number): void {
    const { goalId, taskId } = first;
    for (let task = first; task.status === 'completed'; ) {
      const [dependent, ...more] = task.dependents;
      if (dependent === undefined || more.length > 0 || this.#released.has(`${goalId}.${dependent}`)) return;
      const next = this.#task(goalId, dependent);
      if (next === undefined || next.dependencies.length !== 1) return;
      // Claimed on another item, by somebody who was taken for dead and goes on with it: not this one's. Should he die too, it is for the sweep.
      if (next.status === 'in_progress' && next.item !== sequence) return;
      if (!isTerminalTask(next) && next.status !== 'pending')
        this.problems.push(
          `I6 the item ${sequence} of ${goalId}.${taskId} was acknowledged while ${dependent}, which it carries, is ${next.status}`,
        );
      task = next;
    }
  }

  /** A task of a chain may have no item of its own: then the one that carries the task before it is there for both. */
  #isOpen(id: string): boolean {
    if ((this.#open.get(id)?.size ?? 0) > 0) return true;
    if (this.#released.has(id)) return false;
    const [goalId = '', taskId = ''] = id.split('.');
    const [before, ...more] = this.#task(goalId, taskId)?.dependencies ?? [];
    return before !== undefined && more.length === 0 && this.#isOpen(`${goalId}.${before}`);
  }

  #task(goalId: string, taskId: string): TaskRecord | undefined {
    return this.#read(this.#subjects.taskKey(goalId, taskId)) as TaskRecord | undefined;
  }

  #read(key: string): unknown {
    const last = this.#dag.state.get(this.#subjects.dagSubject(key));
    return last === undefined ? undefined : JSON.parse(new TextDecoder().decode(last.data));
  }
}

/** `<m>.ready.<capability>.<goalId>.<taskId>` -> `<goalId>.<taskId>`. */
function idOf(subject: string): string {
  return subject.split('.').slice(3).join('.');
}
