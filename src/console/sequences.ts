import type { LineSequence, SequenceStep } from "../core/line.ts";

/** What can be sent by name to every console; a site's config adds others and replaces these by the same name. */

const BREAK_MS = 300;

const brk: SequenceStep = { breakMs: BREAK_MS };

function sysrq(key: string, what: string, confirm: boolean): LineSequence {
  return {
    name: `sysrq-${key}`,
    steps: [brk, { waitMs: 200 }, { text: key }],
    what: `Linux: BREAK, then ${key}: ${what}`,
    confirm,
  };
}

const BUILT_IN: readonly LineSequence[] = [
  { name: "break", steps: [brk], what: "a BREAK", confirm: false },
  {
    name: "cisco-rommon",
    steps: [brk, { waitMs: 500 }, brk, { waitMs: 500 }, brk],
    what: "three BREAKs: stops a booting Cisco at its monitor, and a running one where its register says so",
    confirm: true,
  },
  {
    name: "sun-ok",
    steps: [brk],
    what: "Stop-A by BREAK: halts a Sun at its ok prompt",
    confirm: true,
  },
  {
    name: "sun-alternate-break",
    steps: [{ text: "\r" }, { waitMs: 600 }, { text: "~" }, { waitMs: 600 }, { text: "\u0002" }],
    what: "return, ~, Ctrl-B: the BREAK of a Sun that ignores BREAKs",
    confirm: true,
  },
  sysrq("b", "restarts at once, without a sync", true),
  sysrq("c", "crashes it, for a dump", true),
  sysrq("o", "switches it off", true),
  sysrq("e", "ends all programs", true),
  sysrq("i", "kills all programs", true),
  sysrq("s", "syncs its disks", false),
  sysrq("u", "makes its disks read-only", true),
  sysrq("h", "lists what it knows", false),
  sysrq("m", "tells its memory", false),
  sysrq("t", "lists its tasks", false),
  sysrq("w", "lists what is blocked", false),
];

export function sequencesWith(own: readonly LineSequence[]): readonly LineSequence[] {
  const names = new Set(own.map(({ name }) => name));
  return [...BUILT_IN.filter(({ name }) => !names.has(name)), ...own];
}
