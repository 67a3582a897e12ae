/** Every label that a metric may have, and what bounds its values: a metric with another label does not compile (I10). Printed in docs/metrics.md. */
export const LABELS = {
  agent: 'AGENT_ID of the agent that exposes it',
  breaker:
    'name of a circuit breaker: `model`; `peer <agentId>` for at most 50 peers, a further one is `other`; or `voter:<agentId>` for a voter that let a deadline pass, at most 100 of them, and none that is gone',
  capability: 'at most 100 capabilities an agent; a further one is `other`',
  check: '`broker`, `consumers`, `model`, `stopping`: what `/readyz` looks at',
  code: 'error code; at most 50 an agent, a further one is `other`',
  direction: '`in`, `out`',
  doubt: '`missing`, `zero`, `over_output_limit`, `over_prompt`: why a count of tokens was not believed',
  kind: '`compute`, `communication`',
  limit: '`usd`, `tokens`, `messages`: the limit of a budget',
  message_type: 'third token of a message subject, `vote` or `ballot`; at most 50 an agent, a further one is `other`',
  method: '`majority`, `weighted`, `unanimous`, `ahead-by-k`',
  model: 'OPENAI_MODEL of the agent',
  outcome: 'a fixed set of each metric, see there',
  pattern: '`sequential`, `parallel`, `orchestrator`, `peer-to-peer`',
  policy: '`task` for attempts of a task, else name of a resilience policy',
  position: '`approve`, `reject`, `abstain`, or `option` for any other',
  reason: 'a fixed set of each metric, see there',
  role: 'role in the manifest of an agent; of others at most 100, a further one is `other`',
  status: 'status of a goal or of a task, as in its record',
  stream: '`goals`, `dag`, `log`, `dead`, `agents`, `blobs`: the streams of a mesh',
  transition: 'transitions of the two state machines',
  type: '`input`, `output`',
  version: 'version in the manifest of the agent',
  what: '`queues`, `goals`, `streams`, `account`, `presence`: a part of the survey',
  where: 'a part of the engine',
} as const;

export type LabelName = keyof typeof LABELS;
