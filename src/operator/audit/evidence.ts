import { NEEDED } from "../../core/checks.ts";
import type { Command, OperateVerb, PowerArgs } from "../../core/messages.ts";
import { sequenceVerb } from "../../core/preview.ts";
import { NONCE_TTL_MS } from "../../core/selection.ts";
import { parseTargets, targetText } from "../../core/target.ts";
import { allows, allowsAtSite, holderOf, type Identity, identify, type TrustDocument } from "../../core/trust.ts";
import { decodeCommand } from "../../protocol/command.ts";
import { NAMESPACES } from "../../protocol/envelope.ts";
import type { Verify } from "./authority.ts";
import { canonical } from "./export-file.ts";
import type { Judged, JudgedOf } from "./records.ts";

/** Whether what was decided is what somebody signed who might: a record against the command that it holds. */

type Of<K extends Command["kind"]> = Extract<Command, { kind: K }>;
type Ordered = JudgedOf<"intent" | "locked" | "unlocked" | "cancelled" | "refused">;

interface Selected {
  readonly by: string;
  readonly verb: OperateVerb;
  readonly asked: string;
  readonly target: string;
  readonly args: PowerArgs;
  readonly mono: number;
}

interface Shown {
  readonly command: Command;
  readonly signers: readonly string[];
  readonly signatures: number;
}

/** Refusals of messages whose key or name is not one that may act. */
const NOT_HIS = ["operator.mismatch", "operator.revoked"];
const ACTOR = /^local:/;

export class Evidence {
  private readonly selections = new Map<string, Selected>();
  private readonly spent = new Set<string>();
  private readonly ordered = new Set<string>();
  private readonly site: string;
  private readonly name: string;
  private readonly verify: Verify;
  /** The first record of an export whose begin was overwritten; a start in it ends what may be missing. */
  private begin: Judged | null;
  private readonly recycled: boolean;

  constructor(fleet: string, site: string, verify: Verify, begin: Judged | null) {
    this.site = `${fleet}/${site}`;
    this.name = site;
    this.verify = verify;
    this.begin = begin;
    this.recycled = begin !== null;
  }

  /** What is wrong with a record under the trust that was in force; null when nothing is. */
  judge(record: Judged, trust: TrustDocument | null): string | null {
    switch (record.kind) {
      case "start":
        // The nonces of a life die with it.
        this.selections.clear();
        if (this.begin?.seq !== record.seq) this.begin = null;
        return null;
      case "selected":
        return this.selected(record, trust);
      case "intent":
      case "locked":
      case "unlocked":
      case "cancelled":
        return this.operated(record, trust);
      case "refused":
        return this.refused(record, trust);
      case "edge":
      case "outcome":
      case "unrecorded":
        if (this.ordered.has(record.id) || this.recycled) return null;
        return `${record.kind} of ${record.id}, which nobody ordered before`;
      default:
        return null;
    }
  }

  private selected(record: JudgedOf<"selected">, trust: TrustDocument | null): string | null {
    const shown = this.shown(record.signed, record.id);
    if (typeof shown === "string") return shown;
    const { command } = shown;
    if (command.kind !== "select") return `its command is a ${command.kind}`;
    const who = this.speaker(shown, record.by, trust);
    if (typeof who === "string") return who;
    const asked = this.normal(command.target);
    if (command.verb !== record.verb) return `it says ${record.verb}, signed was ${command.verb}`;
    if (!this.within(record.target, asked, command.args.partial === true))
      return `it says ${record.target}, signed was ${command.target}`;
    if (!this.covers(who, command.verb, record.target)) return `${record.by} may not ${command.verb} ${record.target}`;
    if (this.selections.has(record.nonce) || this.spent.has(record.nonce)) return "its nonce was given before";
    const { by, target, mono } = record;
    this.selections.set(record.nonce, { by, verb: command.verb, asked, target, args: command.args, mono });
    return null;
  }

  private operated(record: Exclude<Ordered, JudgedOf<"refused">>, trust: TrustDocument | null): string | null {
    const { id, by } = record.kind === "intent" ? record.intent : record;
    if (this.ordered.has(id)) return `${id} was decided before`;
    this.ordered.add(id);
    if (record.signed === null) return ACTOR.test(by) ? null : `nothing shows that ${by} signed it`;
    const shown = this.shown(record.signed, id);
    if (typeof shown === "string") return shown;
    const { command } = shown;
    if (command.kind !== "operate") return `its command is a ${command.kind}`;
    const who = this.speaker(shown, by, trust);
    if (typeof who === "string") return who;
    if (command.epoch !== trust?.epoch) return `signed under epoch ${command.epoch}, in force was ${trust?.epoch}`;
    const selected = this.spend(command, record);
    if (typeof selected === "string" || selected === null) return selected;
    const { verb, target } = selected;
    if (!this.covers(who, verb, target)) return `${by} may not ${verb} ${target}`;
    return agreement(record, command, selected);
  }

  /** The selection whose nonce the command spends; null where it may have been overwritten. */
  private spend(command: Of<"operate">, record: Judged): Selected | string | null {
    const { nonce, by } = command;
    const selected = this.selections.get(nonce);
    if (this.spent.has(nonce)) return "its nonce was spent before";
    this.spent.add(nonce);
    if (selected === undefined) return this.mayBeGone(record) ? null : "its nonce was never given";
    if (selected.by !== by) return `its nonce was given to ${selected.by}`;
    if (record.mono - selected.mono > NONCE_TTL_MS) return "its nonce was older than a minute";
    if (command.verb !== null && command.verb !== selected.verb) return `selected was ${selected.verb}`;
    if (command.target !== null && this.normal(command.target) !== selected.asked)
      return `selected was ${selected.asked}`;
    return selected;
  }

  private mayBeGone({ boot, mono }: Judged): boolean {
    return this.begin !== null && boot === this.begin.boot && mono - this.begin.mono <= NONCE_TTL_MS;
  }

  private refused(record: JudgedOf<"refused">, trust: TrustDocument | null): string | null {
    const { by, code, signed } = record;
    if (ACTOR.test(by)) return signed === null ? null : "an actor signs nothing";
    // A trust document that is refused may be too large to keep.
    if (signed === null) return code.startsWith("trust.") ? null : `nothing shows that ${by} signed it`;
    const shown = this.shown(signed, record.id, code === "message.wrong-site");
    if (typeof shown === "string") return shown;
    const { command, signers } = shown;
    if (trust === null) return "which trust was in force is not known";
    if (holderOf(trust, signers, command.by) !== by) return `no key of ${by} signed it`;
    // Others are refused before anybody looks at whose key it was: that of a revoked operator too.
    const who = identify(trust, signers, shown.signatures, command.by);
    if (NOT_HIS.includes(code) && (who.ok || who.code !== code)) return `it says ${code}, which is not so`;
    if (record.target !== this.refusedTarget(record, command)) return `it says ${record.target}, signed was another`;
    if (record.reply === null) return null;
    if (this.ordered.has(record.id)) return `${record.id} was decided before`;
    this.ordered.add(record.id);
    if (command.kind !== "operate") return `its command is a ${command.kind}`;
    const selected = this.spend(command, record);
    return typeof selected === "string" ? selected : null;
  }

  /** What the record of a refusal names: as it was asked, or as it was selected where it came so far. */
  private refusedTarget(record: JudgedOf<"refused">, command: Command): string {
    if (record.code === "message.wrong-site") return command.site;
    switch (command.kind) {
      case "select":
        return command.target;
      case "operate":
        return record.reply === null
          ? (command.target ?? "")
          : (this.selections.get(command.nonce)?.target ?? record.target);
      case "read":
        return command.args.console ?? "";
      case "watch":
        return command.args.console;
      case "sim":
        return command.args.subject;
      default:
        return "";
    }
  }

  private shown(signed: string, id: string, elsewhere = false): Shown | string {
    const envelope = canonical(signed);
    if (envelope === null) return "its command is not written as a site keeps it";
    const decoded = decodeCommand(envelope.body);
    if (!decoded.ok) return "what it holds is no command";
    const { command } = decoded;
    if (command.id !== id) return `it says ${id}, signed was ${command.id}`;
    if ((command.site === this.site) === elsewhere) return `signed for ${command.site}`;
    const signers = envelope.sigs.map((one) => this.verify(envelope.body, one, NAMESPACES.command));
    const fitting = [...new Set(signers.filter((one) => one !== null))];
    return { command, signers: fitting, signatures: envelope.sigs.length };
  }

  private speaker({ command, signers, signatures }: Shown, by: string, trust: TrustDocument | null): Identity | string {
    if (command.by !== by) return `it says ${by}, signed was ${command.by}`;
    if (trust === null) return "which trust was in force is not known";
    const who = identify(trust, signers, signatures, by);
    return who.ok ? who.identity : `the signature does not speak for ${by} (${who.code})`;
  }

  private normal(target: string): string {
    const targets = parseTargets(target, this.name);
    return targets === null ? target : targetText(targets);
  }

  /** `partial` leaves out what would be refused, and adds nothing. */
  private within(target: string, asked: string, partial: boolean): boolean {
    if (target === asked || !partial) return target === asked;
    const all = asked.split(",");
    return target.split(",").every((one) => all.includes(one));
  }

  /** An outlet that is named by itself may belong to devices that only the site's config knows. */
  private covers(who: Identity, verb: OperateVerb, target: string): boolean {
    const targets = parseTargets(target, this.name) ?? [];
    return targets.every(({ device }) =>
      device === null ? allowsAtSite(who, NEEDED[verb], this.name) : allows(who, NEEDED[verb], this.name, device),
    );
  }
}

function agreement(
  record: Exclude<Ordered, JudgedOf<"refused">>,
  { args }: Of<"operate">,
  selected: Selected,
): string | null {
  const { verb, target } = selected;
  const reason = args.reason ?? selected.args.reason ?? "";
  switch (record.kind) {
    case "intent": {
      const { intent } = record;
      if (!["on", "off", "cycle"].includes(verb) || intent.verb !== sequenceVerb({ verb, args: selected.args }))
        return `it says ${intent.verb}, selected was ${verb}`;
      if (intent.target !== target) return `it says ${intent.target}, selected was ${target}`;
      return intent.reason === reason ? null : "its reason is not the one that was signed";
    }
    case "locked":
      if (verb !== "lock") return `selected was ${verb}`;
      return record.reason === reason ? null : "its reason is not the one that was signed";
    case "unlocked":
      return verb === "unlock" ? null : `selected was ${verb}`;
    case "cancelled":
      return verb === "cancel" ? null : `selected was ${verb}`;
  }
}
