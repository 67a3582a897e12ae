/** Events of vote rounds -> log lines with stable names, and metrics. */
import type { Logger } from 'pino';
import type { BreakersObserver } from '../adapters/breakers.ts';
import type { Metrics } from './metrics.ts';
import type { RoundObserver, VoterObserver } from './vote/observer.ts';

/** `ended`: hears as well how each discussion ended. */
export function roundObserver(log: Logger, metrics: Metrics, ended: RoundObserver['ended']): RoundObserver {
  return {
    asked: ({ roundId, correlationId, voters, again }) =>
      log.debug({ event: 'vote.asked', roundId, correlationId, voters, again }, 'voters asked'),
    counted: ({ roundId, correlationId, ballot }) =>
      log.debug(
        { event: 'vote.counted', roundId, correlationId, agent: ballot.agent, position: ballot.position },
        'ballot counted',
      ),
    rejected({ roundId, correlationId, reason, token, detail }) {
      metrics.ballotsRejected.inc({ reason });
      // A round that stops early has late ballots as a rule.
      if (reason === 'late') {
        log.debug(
          { event: 'vote.ballot_rejected', roundId, correlationId, reason, agent: token, detail },
          'late ballot',
        );
        return;
      }
      log.warn(
        { event: 'vote.ballot_rejected', roundId, correlationId, reason, agent: token, detail },
        'ballot not counted',
      );
    },
    ended(event) {
      const { roundId, correlationId, silent } = event;
      if (silent.length > 0) {
        const fields = { event: 'vote.silent', roundId, correlationId, voters: silent };
        log.warn(fields, 'voters did not answer by the deadline');
      }
      ended(event);
    },
    decided({ record, method, outcome, durationMs, created }) {
      if (created) {
        metrics.voteRounds.inc({ method, outcome });
        metrics.voteRoundSeconds.observe({ method }, durationMs / 1_000);
      }
      const { roundId, goalId, taskId, correlationId, position } = record;
      log.info(
        {
          event: 'vote.decided',
          roundId,
          goalId,
          taskId,
          correlationId,
          outcome,
          position,
          ballots: record.ballots.length,
          durationMs,
          created,
        },
        'round decided',
      );
    },
  };
}

export function voterObserver(log: Logger, metrics: Metrics): VoterObserver {
  return {
    ignored({ reason, roundId, detail }) {
      metrics.votesIgnored.inc({ reason });
      if (reason === 'over')
        log.info({ event: 'vote.over', roundId }, 'the round was over before this voter had decided');
      else if (reason !== 'not_in_roster')
        log.warn({ event: 'vote.ignored', reason, roundId, detail }, 'vote request not answered');
    },
    answered({ roundId, correlationId, ballot, repeated }) {
      if (!repeated)
        metrics.ballots.inc({
          position:
            ballot.position === 'approve' || ballot.position === 'reject' || ballot.position === 'abstain'
              ? ballot.position
              : 'option',
        });
      log.info(
        {
          event: 'vote.answered',
          roundId,
          correlationId,
          position: ballot.position,
          rationale: ballot.rationale,
          repeated,
        },
        'ballot given',
      );
    },
    failed: ({ roundId, correlationId, step, error }) =>
      log.error({ event: 'vote.failed', roundId, correlationId, step, err: error }, 'voting failed'),
  };
}

/** Breakers of voters: one for each that was silent, gone with it. */
export function breakersObserver(log: Logger, metrics: Metrics): BreakersObserver {
  const states = ['closed', 'half-open', 'open'] as const;
  return {
    breakerState(name, state) {
      metrics.breakerState.set({ breaker: name }, state);
      log.warn({ event: 'breaker', breaker: name, state: states[state] }, 'breaker');
    },
    breakerGone: (name) => metrics.breakerState.remove({ breaker: name }),
  };
}
