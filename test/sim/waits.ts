import type { LedgerRecord } from "../../src/core/ledger.ts";
import type { Switch } from "../../src/core/plan.ts";
import { PLAN } from "./plan.ts";
import type { Edge } from "./world.ts";

/**
 * What a start forbids for a while. After a reset the times of before say nothing: each counts as just passed. Of a
 * command that a crash interrupted nobody can tell which edges there were: each counts as just driven.
 */
export class Waits {
  private readonly until = new Map<string, number>();
  /** Outlets of the commands whose outcome was never written down, by id. */
  private readonly open = new Map<string, readonly string[]>();
  private boot: number;
  private readonly edges: readonly Edge[];
  private readonly survives: (id: string) => boolean;

  /** @param survives whether the site has said that its card has this command. */
  constructor(boot: number, edges: readonly Edge[], survives: (id: string) => boolean) {
    this.boot = boot;
    this.edges = edges;
    this.survives = survives;
  }

  recorded(record: LedgerRecord, nowMs: number): void {
    if (record.kind === "intent") this.open.set(record.intent.id, record.intent.outlets);
    else if (record.kind === "outcome") this.open.delete(record.id);
    else if (record.kind === "start") this.started(record.boot, nowMs);
  }

  private started(boot: number, nowMs: number): void {
    if (boot !== this.boot)
      for (const { id, outlet, power } of this.edges) if (this.survives(id)) this.wait(outlet, power, nowMs);
    this.boot = boot;
    for (const [id, outlets] of this.open)
      if (this.survives(id))
        for (const outlet of outlets) for (const power of ["on", "off"] as const) this.wait(outlet, power, nowMs);
  }

  private wait(outlet: string, driven: Switch, nowMs: number): void {
    const { minOnMs = 0, minOffMs = 0 } = PLAN.outlets[outlet] ?? {};
    this.until.set(`${outlet} ${driven}`, nowMs + (driven === "on" ? minOnMs : minOffMs));
  }

  /** Whether this edge, of a command that was decided since, should have waited longer. */
  tooSoon({ outlet, power, atMs }: Edge): boolean {
    const before = this.until.get(`${outlet} ${power === "on" ? "off" : "on"}`);
    return before !== undefined && atMs < before;
  }
}
