/** The core, wrong on purpose: each of these must be caught by the stories. Never a switch in the product. */

export interface Mutant {
  readonly name: string;
  /** File of `src/core`. */
  readonly file: string;
  /** Stands there exactly once. */
  readonly find: string;
  readonly replace: string;
}

export const MUTANTS: readonly Mutant[] = [
  {
    name: "a nonce is not consumed",
    file: "selection.ts",
    find: "{ ...one, used: true }",
    replace: "{ ...one, used: false }",
  },
  {
    name: "a nonce never grows old",
    file: "selection.ts",
    find: "return nowMs - selection.selectedAtMs > NONCE_TTL_MS;",
    replace: "return nowMs < selection.selectedAtMs;",
  },
  {
    name: "a nonce serves whoever brings it",
    file: "power.ts",
    find: "if (selection.by !== command.by)",
    replace: "if (selection.by === null)",
  },
  {
    name: "a repeated id is decided again",
    file: "power.ts",
    find: "if (decided !== undefined) {",
    replace: "if (decided !== undefined && command.nonce === '') {",
  },
  {
    name: "any key of the trust speaks for any operator",
    file: "trust.ts",
    find: "const holders = trust.operators.filter((operator) => operator.keys.some((key) => signers.includes(key)));",
    replace:
      "const holders = trust.operators.filter((operator) => operator.keys.some((key) => signers.includes(key)) || operator.name === by);\n  if (signers.length > 0) return { ok: true, identity: { name: by, roles: rolesOf(trust, trust.operators.find((one) => one.name === by)?.roles ?? []) } };",
  },
  {
    name: "a revoked operator goes on",
    file: "trust.ts",
    find: "if (living.length === 0 || trust.revoked.includes(operator.name))",
    replace: "if (living.length > 99)",
  },
  {
    name: "a viewer may switch",
    file: "checks.ts",
    find: "return everywhere(identity, NEEDED[ask.verb], plan, ask);",
    replace: "return everywhere(identity, 'view', plan, ask);",
  },
  {
    name: "what was asked under another trust goes ahead",
    file: "recording.ts",
    find: "if (recording.epoch !== turn.state.trust?.epoch)",
    replace: "if (recording.epoch === -1)",
  },
  {
    name: "locks hold nobody",
    file: "checks.ts",
    find: "  expectedFacts,\n  locked,\n",
    replace: "  expectedFacts,\n",
  },
  {
    name: "a lock with an end ends by any clock",
    file: "locks.ts",
    find: 'return trust === "ntp" || trust === "gsm" ? wallNow(state, nowMs) : null;',
    replace: "return trust === undefined ? 9e15 : wallNow(state, nowMs);",
  },
  {
    name: "another's tag is put over the first",
    file: "checks.ts",
    find: 'if (ask.verb !== "unlock" && ask.verb !== "lock") return null;',
    replace: 'if (ask.verb !== "unlock") return null;',
  },
  {
    name: "two commands at once on one outlet",
    file: "checks.ts",
    find: "  inExecution,\n",
    replace: "",
  },
  {
    name: "no minimum times",
    file: "checks.ts",
    find: "  minimumTimes,\n",
    replace: "",
  },
  {
    name: "minimum times are forgotten with a reboot",
    file: "ledger.ts",
    find: "lastOnMs: now(memory.lastOnMs),",
    replace: "lastOnMs: null,",
  },
  {
    name: "what was interrupted leaves no minimum time",
    file: "ledger.ts",
    find: "for (const outlet of interrupted)",
    replace: "for (const outlet of interrupted.slice(99))",
  },
  {
    name: "no rate",
    file: "checks.ts",
    find: "  rate,\n",
    replace: "",
  },
  {
    name: "the rate is forgotten with a reboot",
    file: "ledger.ts",
    find: "cutsMs: memory.cutsMs.map(() => nowMs),",
    replace: "cutsMs: [],",
  },
  {
    name: "the own path may be switched off for good",
    file: "checks.ts",
    find: "  ownBranch,\n",
    replace: "",
  },
  {
    name: "no interlock",
    file: "checks.ts",
    find: "return returns(ask) ? interlockRefusal(state, ask.outlets) : null;",
    replace: "return null;",
  },
  {
    name: "an interlock overlooks what is about to go on",
    file: "interlock.ts",
    find: " && busyWith(state, name) === null",
    replace: "",
  },
  {
    name: "the line moves before the intent is on the card",
    file: "recording.ts",
    find: 'turn.append([{ kind: "intent", intent, signed }], { sync: true, token });',
    replace:
      'turn.append([{ kind: "intent", intent, signed }], { sync: true, token });\n  beginSequence(turn, intent, via);',
  },
  {
    name: "the owed on is not in the record",
    file: "ledger.ts",
    find: "return { ...next, unsettled: [...next.unsettled, { ...intent, offAtMs: null }] };",
    replace: "return next;",
  },
  {
    name: "recovery runs the command again",
    file: "running.ts",
    find: "owed.length === 0 ? [] : [...restOfWait(turn, intent, owed), ...startSteps(turn.state.plan, owed)];",
    replace: "plannedSteps(turn.state.plan, intent.verb, outlets, intent.waitMs);",
  },
  {
    name: "recovery pays nothing",
    file: "running.ts",
    find: "owed.length === 0 ? [] : [...restOfWait(turn, intent, owed), ...startSteps(turn.state.plan, owed)];",
    replace: "[];",
  },
  {
    name: "a cancelled cycle stays off",
    file: "sequence.ts",
    find: "if (!now.cancelled && nowMs < until && now.failures.length === 0) return waiting(now, until);",
    replace:
      "if (now.cancelled) return { sequence: now, drive: null, wakeAtMs: null, done: true };\n        if (nowMs < until && now.failures.length === 0) return waiting(now, until);",
  },
  {
    name: "starts are not staggered",
    file: "steps.ts",
    find: "Math.max(STAGGER_MS, outlet.onDelayMs)",
    replace: "0",
  },
  {
    name: "two supplies go off one after the other",
    file: "steps.ts",
    find: 'return [...off, ...seenOff, { do: "stay-off", waitMs }, ...on];',
    replace: 'return [...off.slice(0, 1), { do: "stay-off", waitMs: waitMs / 2 }, ...off.slice(1), ...on];',
  },
  {
    name: "verified without a sensor",
    file: "sequence.ts",
    find: 'return seen ? "verified" : "commanded";',
    replace: 'return seen || last === "on" ? "verified" : "verified";',
  },
  {
    name: "a sensor that disagrees is believed anyway",
    file: "sequence.ts",
    find: "const wrong = step.outlets.filter((outlet) => observed(outlet) !== step.power);",
    replace: "const wrong = step.outlets.filter((outlet) => observed(outlet) === null);",
  },
  {
    name: "a relay that does not follow is driven again",
    file: "sequence.ts",
    find: "return next({ ...sequence, failures, lastOffMs });",
    replace:
      'return fault === null || step.power === "off" ? next({ ...sequence, failures, lastOffMs }) : { ...sequence, beganMs: null };',
  },
  {
    name: "power restore acts at every start",
    file: "site.ts",
    find: "if ((durable.restoredBoot ?? durable.boot) === boot) return;",
    replace: "if (boot === 0) return;",
  },
  {
    name: "power restore acts although the mains was there",
    file: "restore.ts",
    find: 'if (was === "kept") return;',
    replace: "",
  },
  {
    name: "a selection is answered without a record",
    file: "power.ts",
    find: 'answerRecorded(turn, via, reply, { kind: "selected", id, by, verb, target, nonce, signed }, { sync: false });',
    replace: "turn.reply(via, { ...reply, target, by, id, verb, signed, nonce });",
  },
  {
    name: "the refusal of a known operator is only counted",
    file: "refusals.ts",
    find: "  if (by === null) {",
    replace:
      "  if (by !== null) {\n    turn.reply(via, reply);\n    return ignore(turn, refusal.code);\n  }\n  if (by === null) {",
  },
  {
    name: "a refusal is answered before its record",
    file: "refusals.ts",
    find: "  answerRecorded(turn, via, reply, record, { sync: false });",
    replace: "  turn.reply(via, reply);\n  turn.append([record], { sync: false });",
  },
  {
    name: "an actor acts without a rate",
    file: "actors.ts",
    find: "overRate(state.durable.actors?.[actor] ?? [], plan.rate, nowMs)",
    replace: "overRate([], plan.rate, nowMs)",
  },
  {
    name: "an edge that nobody answers is waited for without end",
    file: "sequence.ts",
    find: "if (nowMs - beganMs < DRIVE_TIMEOUT_MS) return waiting(now, beganMs + DRIVE_TIMEOUT_MS);",
    replace: "if (nowMs >= beganMs) return waiting(now, nowMs + DRIVE_TIMEOUT_MS);",
  },
];
