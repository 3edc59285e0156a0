import type { IConnackPacket } from "mqtt";

/** Which version of MQTT a broker speaks: 5, until it is found out that it does not. */

/** CONNACK: unacceptable protocol version (3.1.1: 1, 5: 0x84). */
const BAD_VERSIONS: ReadonlySet<number | undefined> = new Set([1, 0x84]);
/** How long a broker that did not take version 5 is asked for 3.1.1 at once. */
const FALLBACK_MS = 86_400_000;

export class Versions {
  private readonly only: 4 | 5 | undefined;
  private readonly oldUntil = new Map<string, number>();
  private readonly earlyCloses = new Map<string, number>();

  constructor(only: 4 | 5 | undefined) {
    this.only = only;
  }

  of(broker: string, nowMs: number): 4 | 5 {
    if (this.only !== undefined) return this.only;
    return nowMs < (this.oldUntil.get(broker) ?? 0) ? 4 : 5;
  }

  /** True when the broker refused the version and is to be asked for the older one. */
  refused(broker: string, version: 4 | 5, { returnCode, reasonCode }: IConnackPacket, nowMs: number): boolean {
    // An old broker answers in its own format, whose return code then stands where version 5 has its reason code.
    const bad = version === 5 && (BAD_VERSIONS.has(returnCode) || BAD_VERSIONS.has(reasonCode));
    if (bad) this.oldUntil.set(broker, nowMs + FALLBACK_MS);
    return bad;
  }

  /** Some brokers only hang up on a version that they do not know. */
  hungUp(broker: string, version: 4 | 5, nowMs: number): void {
    if (version !== 5) return;
    const count = (this.earlyCloses.get(broker) ?? 0) + 1;
    this.earlyCloses.set(broker, count);
    if (count >= 2) this.oldUntil.set(broker, nowMs + FALLBACK_MS);
  }

  spoke(broker: string): void {
    this.earlyCloses.delete(broker);
  }
}
