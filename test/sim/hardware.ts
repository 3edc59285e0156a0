import { powerOf, type Switch } from "../../src/core/plan.ts";
import { PLAN } from "./plan.ts";
import type { Random } from "./random.ts";
import type { VirtualTime } from "./time.ts";

/** Relays and sensors of the simulated board, with what goes wrong with them. */

export interface RelayAnswer {
  readonly energised: boolean | null;
  readonly fault: string | null;
}

type Trouble = "contact-stuck" | "line-stuck" | "mute" | "sensor-lies" | "bounces";
const TROUBLES: readonly Trouble[] = ["contact-stuck", "line-stuck", "mute", "sensor-lies", "bounces"];

const SENSE_MS = 30;

export class Hardware {
  /** What the line says; of a stuck contact the load does not follow it. */
  readonly lines: Record<number, boolean> = { 1: false, 2: false, 3: true, 4: false, 5: false, 6: false, 7: false };
  private readonly loads: Record<number, boolean> = { ...this.lines };
  readonly troubles = new Map<number, Trouble>();
  readonly everTroubled = new Set<string>();
  /** What the site was last told by a sensor. */
  readonly sensed = new Map<string, boolean>();
  /** When it last said so, by input and value. */
  readonly saidAt = new Map<string, number>();
  /** When every relay was let go, by a reset or for want of mains. */
  readonly releases: number[] = [];
  private readonly time: VirtualTime;
  private readonly random: Random;
  private readonly sense: (input: string, present: boolean) => void;

  constructor(time: VirtualTime, random: Random, sense: (input: string, present: boolean) => void) {
    this.time = time;
    this.random = random;
    this.sense = sense;
  }

  /** What the outlet really gives. */
  power(name: string): Switch {
    const outlet = PLAN.outlets[name];
    return outlet === undefined ? "off" : powerOf(outlet.contact, this.loads[outlet.relay] === true);
  }

  drive(relay: number, energised: boolean): RelayAnswer | null {
    const trouble = this.troubles.get(relay);
    if (trouble === "mute") return null;
    if (trouble === "line-stuck")
      return {
        energised: this.lines[relay] ?? false,
        fault: this.lines[relay] === energised ? null : "reads back otherwise",
      };
    this.lines[relay] = energised;
    if (trouble !== "contact-stuck") this.loads[relay] = energised;
    this.tellSensor(relay);
    return { energised, fault: null };
  }

  /** The board lost its power, or the machine was reset: every relay falls back. */
  release(): void {
    this.releases.push(this.time.nowMs);
    for (const relay of Object.keys(this.lines).map(Number)) {
      this.lines[relay] = false;
      if (this.troubles.get(relay) !== "contact-stuck") this.loads[relay] = false;
    }
  }

  breakSomething(): void {
    const relay = this.random.between(1, 8);
    const trouble = this.random.pick(TROUBLES);
    this.troubles.set(relay, trouble);
    for (const outlet of Object.values(PLAN.outlets)) if (outlet.relay === relay) this.everTroubled.add(outlet.name);
    if (trouble === "bounces") this.bounce(relay, 40);
    else this.tellSensor(relay);
  }

  mend(): void {
    this.troubles.clear();
    for (const relay of Object.keys(this.lines).map(Number)) {
      this.loads[relay] = this.lines[relay] ?? false;
      this.tellSensor(relay);
    }
  }

  tellAll(): void {
    for (const relay of Object.keys(this.lines).map(Number)) this.tellSensor(relay);
  }

  private bounce(relay: number, times: number): void {
    if (times === 0 || this.troubles.get(relay) !== "bounces") return this.tellSensor(relay);
    this.say(relay, times % 2 === 0);
    this.time.after(this.random.between(20, 180), () => this.bounce(relay, times - 1));
  }

  private tellSensor(relay: number): void {
    const lies = this.troubles.get(relay) === "sensor-lies";
    this.time.after(SENSE_MS, () => {
      const outlet = Object.values(PLAN.outlets).find((one) => one.relay === relay);
      if (outlet !== undefined && !lies) this.say(relay, this.power(outlet.name) === "on");
    });
  }

  private say(relay: number, present: boolean): void {
    const input = `s${relay}`;
    this.sensed.set(input, present);
    this.saidAt.set(`${input} ${present}`, this.time.nowMs);
    this.sense(input, present);
  }
}
