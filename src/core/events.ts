import type { Account, Budget, GovernorLevel } from "./budget.ts";
import type { Code } from "./codes.ts";
import type { LadderStep } from "./ladder.ts";
import type { ClockTrust, Durable, LedgerRecord, PowerWas } from "./ledger.ts";
import type { Command, ReadArgs, Reply, StreamMode, StreamService } from "./messages.ts";
import type { ModemReport } from "./modem.ts";
import type { SitePlan } from "./plan.ts";
import type { Span } from "./ranges.ts";
import type { SessionEffect, SessionEvent } from "./sessions.ts";
import type { StreamWho } from "./streams.ts";
import type { Offer, TrustDocument, Verb } from "./trust.ts";
import type { Round } from "./uplink.ts";

/** Everything that can happen to a site, and everything it can do. Both are plain data. */

export type Connection = "lte" | "primary" | "local";

/** Where a reply goes: to the connection that asked, or to all when nobody here remembers who did. */
export type ReplyTo = Connection | "all";

export type Event =
  | {
      type: "started";
      plan: SitePlan;
      durable: Durable;
      boot: number;
      start: number;
      version: string;
      /** The site's public key line, for people to compare. */
      siteKey: string;
      /** As whom to log in, and the host key; null where nobody can. */
      login?: { readonly user: string; readonly hostKey: string } | null;
      /** SHA-256 of the config's text, hex. */
      configSha256: string;
      /** Where each capture track stood at the start. */
      tracks: Readonly<Record<string, { readonly boot: number; readonly next: number }>>;
      /** Levels as read from the board: relay number to energised. */
      lines: Readonly<Record<number, boolean>>;
      /** Whether the mains was there all the time since the boot before. */
      power: PowerWas;
      /** Stored document first, then the one from the config; each already known to be well formed. */
      trust: readonly Offer[];
      notes: readonly { readonly code: Code; readonly detail: string }[];
    }
  | {
      type: "command-arrived";
      via: Connection;
      command: Command;
      /** Fingerprints of the keys whose signatures fit the bytes. */
      signers: readonly string[];
      signatures: number;
      /** The envelope: what was signed, and by what. */
      signed: string;
      /** A document that the command carries, checked and verified; null where it is none or cannot be read. */
      offer: (Offer & { readonly envelope: string }) | null;
      /** 128 random bits, hex: the nonce if this becomes a selection. */
      entropy: string;
    }
  /** The site signed the chain up to the number `of`. */
  | { type: "checkpoint-signed"; of: number; sha256: string; signed: string }
  | { type: "message-ignored"; via: Connection; code: Code; id: string | null }
  /** A receiver says what it holds. */
  | {
      type: "ack-arrived";
      via: Connection;
      receiver: string;
      /** `fleet/site`, where the receiver says whose. */
      site?: string | undefined;
      tracks: readonly AckedTrack[];
      retained: boolean;
      /** Fingerprints of the keys whose signatures fit the bytes. */
      signers: readonly string[];
      signatures: number;
    }
  | { type: "append-finished"; token: number; ok: boolean }
  | { type: "storage-changed"; state: "ok" | "degraded"; detail: string }
  | { type: "relay-driven"; token: number; energised: boolean | null; fault: string | null }
  /** Null: it cannot be read any more. */
  | { type: "input-sensed"; input: string; present: boolean | null }
  /** A console spoke, or an address answered. Told at most once a second each. */
  | { type: "life-sensed"; source: string }
  /** Something that the config names asks for power to be switched. Its `id` is its own, once. */
  | {
      type: "actor-ordered";
      id: string;
      actor: string;
      verb: "on" | "off" | "cycle";
      target: string;
      reason: string;
      forMs?: number | undefined;
    }
  /** The modem as its driver sees it: at each change, and with each measure of its signal. */
  | { type: "modem-told"; report: ModemReport }
  /** How a step went. `refused`: it was not begun. */
  | {
      type: "modem-stepped";
      token: number;
      step: LadderStep;
      result: "done" | "failed" | "refused";
      detail: string;
    }
  | { type: "trust-stored"; token: number; ok: boolean }
  | { type: "console-changed"; console: string; state: "up" | "down"; code: Code | null; detail: string }
  | ({ type: "console-line"; console: string } & ConsoleLine)
  /** Declared loss in what a console said (`rx`) or was told (`tx`). */
  | ({ type: "console-gap" } & ConsoleGap)
  | SessionEvent
  /** The last event of a clean end: offset of the next byte of each capture track. */
  | { type: "stopping"; heads: Readonly<Record<string, number>>; towards: "reboot" | "other" }
  | { type: "link-changed"; connection: Connection; state: "up" | "down"; detail: string }
  | { type: "range-read"; token: number; result: ReadResult }
  /** `ticket`: what the program at its end proves its operator with. */
  | { type: "stream-opened"; token: number; ok: boolean; code: Code | null; detail: string; ticket?: string }
  /** `how`: a code, or `ended` where an end closed it. Bytes from and to who opened it. */
  | { type: "stream-closed"; id: string; how: string; bytesIn: number; bytesOut: number }
  | { type: "clock-read"; wallMs: number; trust: ClockTrust }
  | { type: "uplink-probed"; uplink: "primary" | "lte"; round: Round }
  /** The machine's rules for LTE were not as they were made; the text says what, and whether it was mended. */
  | { type: "uplink-drifted"; detail: string }
  /** What LTE has cost so far, as it was counted. */
  | { type: "data-counted"; budget: Budget | null; account: Account }
  | { type: "fault-set"; token: number; ok: boolean; detail: string }
  /** What is not well with the machine: `doctor`'s findings of level `warn` and `bad`. */
  | { type: "machine-checked"; findings: readonly MachineFinding[] }
  | { type: "tick" };

/** What a receiver holds of one track: `router1/rx` of a boot by bytes, `ledger` (boot 0) by sequence number. */
export interface AckedTrack {
  readonly boot: number;
  readonly track: string;
  readonly ranges: readonly Span[];
}

/** What the driver of a console's adapter tells; `errors` since the port was opened. */
export interface ConsoleLine {
  readonly modem: Readonly<Record<string, boolean>> | null;
  readonly errors: Readonly<Record<string, number>> | null;
}

export interface ConsoleGap {
  readonly console: string;
  readonly track: "rx" | "tx";
  readonly boot: number;
  readonly offset: number;
  readonly cause: string;
  /** Bytes; null where nobody can know. */
  readonly length: number | null;
}

export interface MachineFinding {
  readonly check: string;
  readonly level: "warn" | "bad";
  readonly what: string;
  readonly todo: string;
}

export type ReadResult = { ok: true; detail: Readonly<Record<string, unknown>> } | { ok: false; code: Code };

export type Effect =
  /** Records in order; `token` asks to be told. `durable` is the state with all of them in it. */
  | { type: "append"; records: readonly LedgerRecord[]; durable: Durable; sync: boolean; token: number | null }
  /** Sign the chain of records as it stands now. */
  | { type: "checkpoint" }
  | { type: "drive"; token: number; id: string; relay: number; energised: boolean }
  | { type: "reply"; via: ReplyTo; reply: Reply }
  | { type: "store-trust"; token: number; envelope: string }
  | { type: "trust-adopted"; document: TrustDocument }
  | { type: "read-range"; token: number; via: Connection; args: ReadArgs }
  | { type: "watch"; via: Connection; console: string; untilMs: number }
  | {
      type: "open-stream";
      token: number;
      /** Of its topics; 128 random bits, hex. */
      id: string;
      via: Connection;
      service: StreamService;
      console: string | null;
      mode: StreamMode;
      who: StreamWho;
      /** What may be done through it; it is closed when one of these is taken away. */
      rights: readonly Verb[];
      /** Public keys that may log in through it, as `type base64`; only for `ssh`. */
      keys: readonly string[];
    }
  | { type: "close-stream"; id: string; code: Code }
  /** What need not be shipped again. `kept`: by the broker from before, no sign of life. */
  | { type: "acknowledged"; receiver: string; tracks: readonly AckedTrack[]; kept: boolean }
  | SessionEffect
  /** Answered by `modem-stepped`. `power` is none of these: it is an order to an outlet. */
  | { type: "modem-step"; token: number; step: LadderStep }
  | { type: "set-fault"; token: number; subject: string; fault: string }
  /** How far the budget of LTE is spent: what is left out from now on. */
  | { type: "govern"; level: GovernorLevel }
  | { type: "publish"; topic: "state" | "birth"; to: Connection | "all"; body: Readonly<Record<string, unknown>> }
  | { type: "publish-events"; records: readonly LedgerRecord[] }
  /** Send a tick at this mono time; null: no tick is needed. Replaces the one before. */
  | { type: "wake"; atMs: number | null };
