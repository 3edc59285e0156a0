import type { Code } from "./codes.ts";
import type { Switch } from "./plan.ts";

/** Commands as they come off the wire, and the answers to them. `src/protocol` checks the bytes, this names the shape. */

export const OPERATE_VERBS = ["on", "off", "cycle", "cancel", "lock", "unlock"] as const;
export type OperateVerb = (typeof OPERATE_VERBS)[number];

export interface PowerArgs {
  /** How long to stay off (ms): `off --for`, or another off time for a cycle. */
  readonly forMs?: number | undefined;
  readonly reason?: string | undefined;
  /** `any`: cycle an outlet that is off as well. */
  readonly from?: "any" | undefined;
  readonly withoutRecord?: boolean | undefined;
  /** Limits that this command goes before: an admin's, with a reason. */
  readonly override?: readonly Override[] | undefined;
  /** Several targets: those that are refused are left out. Else one refusal refuses all. */
  readonly partial?: boolean | undefined;
  /** The facts that the operator saw; the command is refused when they are no longer so. */
  readonly expect?: Readonly<Record<string, Switch | "unknown">> | undefined;
}

export const OVERRIDES = ["min-time", "rate"] as const;
export type Override = (typeof OVERRIDES)[number];

export interface ReadArgs {
  /** A console's name, or null for the ledger. */
  readonly console: string | null;
  readonly track: "rx" | "tx";
  readonly boot?: number | undefined;
  /** Byte offset (capture) or sequence number (ledger), first wanted. */
  readonly from?: number | undefined;
  /** First one not wanted. */
  readonly to?: number | undefined;
  /** Instead of `from`: the last so many bytes or records. */
  readonly last?: number | undefined;
  /** Instead of `from`: the first byte at or after this mono (ms) of that boot. */
  readonly fromMonoMs?: number | undefined;
  /** Instead of `from`: from this many ms ago. */
  readonly sinceMs?: number | undefined;
  /** Of the ledger: only what the site signs for each record, not the records again. */
  readonly proof?: boolean | undefined;
}

/** What a stream leads to: a console's session, the site's own sshd, or that of its machine. */
export const STREAM_SERVICES = ["console", "ssh", "shell"] as const;
export type StreamService = (typeof STREAM_SERVICES)[number];

export const STREAM_MODES = ["watch", "type", "join", "steal"] as const;
export type StreamMode = (typeof STREAM_MODES)[number];

export interface StreamArgs {
  readonly service: StreamService;
  readonly console?: string | undefined;
  readonly mode: StreamMode;
  /** Of the stream that started who asks; local socket only. */
  readonly ticket?: string | undefined;
  /** `boot/start` of the site as the sender knows it; needed with a signature. */
  readonly life?: string | undefined;
}

export interface CommandHead {
  readonly v: 1;
  readonly id: string;
  readonly site: string;
  readonly by: string;
  readonly epoch: number;
}

export type Command =
  | (CommandHead & { kind: "select"; verb: OperateVerb; target: string; args: PowerArgs })
  | (CommandHead & { kind: "operate"; verb: OperateVerb | null; target: string | null; args: PowerArgs; nonce: string })
  | (CommandHead & { kind: "status" })
  | (CommandHead & { kind: "outcome"; args: { readonly id: string } })
  | (CommandHead & { kind: "read"; args: ReadArgs })
  | (CommandHead & { kind: "watch"; args: { readonly console: string } })
  | (CommandHead & { kind: "stream.open"; args: StreamArgs })
  | (CommandHead & { kind: "trust"; args: { readonly document: string } })
  | (CommandHead & { kind: "sim"; args: { readonly subject: string; readonly fault: string } });

/** One fact about an outlet; `atMs` is mono of this boot. */
export interface Fact {
  readonly value: Switch | "unknown";
  readonly atMs: number | null;
  readonly source: string;
}

export interface OutletFacts {
  readonly commanded: Fact;
  readonly driven: Fact;
  readonly observed: Fact;
}

export type Durability = "synced" | "memory";
export type Verdict = "verified" | "commanded" | "failed" | "interrupted" | "cancelled" | "done";

export interface Failure {
  readonly code: Code;
  readonly outlet: string;
  readonly detail: string;
}

/** A site adds `topic, boot, start, n` to each when it signs. */
export interface Reply {
  readonly id: string;
  readonly phase: "selected" | "accepted" | "progress" | "result" | "rejected";
  readonly code?: Code;
  readonly [detail: string]: unknown;
}
