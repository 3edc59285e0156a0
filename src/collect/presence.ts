import type { Presence } from "./messages.ts";

/**
 * Whether a site is there, by what its connections say and by what is heard; all times are the collector's clock, the
 * site's own says nothing about silence.
 */

export interface PresenceState {
  /** Null until anything was said. */
  readonly online: boolean | null;
  /** Since when it is so. */
  readonly since: number | null;
  /** When it last said anything itself. */
  readonly heard: number | null;
}

const UPLINKS_LIMIT = 8;
/** A site that is connected says something each five minutes: twice that, and a little. */
export const QUIET_ONLINE_MS = 11 * 60_000;

export class SitePresence {
  private readonly uplinks = new Map<string, Presence>();
  private online: boolean | null;
  private since: number | null;
  private heard: number | null;
  private quiet = false;

  constructor(before: PresenceState) {
    this.online = before.online;
    this.since = before.since;
    this.heard = before.heard;
  }

  get state(): PresenceState {
    return { online: this.online, since: this.since, heard: this.heard };
  }

  /** Connected anew: what the connections say now counts, whatever was missed meanwhile. */
  forgetConnections(): void {
    this.uplinks.clear();
  }

  /** Whether a subject is not asked for now: over LTE a site sends of its consoles what is worth the price by itself. */
  spares(subject: string): boolean {
    return this.metered() && subject !== "ledger";
  }

  private metered(): boolean {
    const online = [...this.uplinks].filter(([, { state }]) => state === "online").map(([uplink]) => uplink);
    return online.length > 0 && online.every((uplink) => uplink === "lte");
  }

  hear(nowMs: number): void {
    this.heard = Math.max(this.heard ?? 0, nowMs);
  }

  /** What one connection said of itself, or the broker in its name. */
  say(uplink: string, said: Presence): void {
    const before = this.uplinks.get(uplink);
    if (before !== undefined && said.state === "offline" && isOlder(said, before)) return;
    if (before === undefined && this.uplinks.size >= UPLINKS_LIMIT) return;
    this.uplinks.set(uplink, said);
  }

  /** Returns true when the site came or went. */
  judge(nowMs: number): boolean {
    if (this.uplinks.size === 0) return false;
    const online = [...this.uplinks.values()].some((one) => one.state === "online");
    if (online === this.online) return false;
    this.online = online;
    this.since = nowMs;
    this.quiet = false;
    return true;
  }

  /**
   * Whether a site that is said to be online has gone silent, or is heard again; null while that is as before.
   * @param listeningSince before this nobody here could have heard it.
   */
  judgeQuiet(nowMs: number, listeningSince: number): "quiet" | "heard" | null {
    // On LTE alone it says something when there is something to say; that it lives the broker hears.
    const talks = this.online === true && !this.metered();
    const quiet = talks && nowMs - Math.max(this.heard ?? 0, listeningSince) > QUIET_ONLINE_MS;
    if (quiet === this.quiet) return null;
    this.quiet = quiet;
    return quiet ? "quiet" : "heard";
  }
}

/** A will that was published late, by a broker that noticed the end of a connection after the next one began. */
function isOlder(said: Presence, before: Presence): boolean {
  return said.boot !== before.boot || said.start < before.start || (said.start === before.start && said.n < before.n);
}
