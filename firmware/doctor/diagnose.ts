import type { SiteConfig } from "../../src/config/config.ts";
import { cardFindings, syncFindings } from "./card.ts";
import type { Facts } from "./facts.ts";
import { type Finding, finding } from "./finding.ts";
import { healthFindings } from "./health.ts";
import { lineFindings } from "./lines.ts";
import { modemFindings } from "./modem.ts";
import { rightsFindings } from "./rights.ts";
import { serialFindings } from "./serial.ts";

/** What can be known of a site without moving, opening or writing anything: some reads of files, each minute if wanted. */
export function diagnose(facts: Facts, config: SiteConfig): Finding[] {
  return checks(facts, config, false);
}

/** The same with what costs more: a look at every process, and synced writes to the card. */
export function examine(facts: Facts, config: SiteConfig | null): Finding[] {
  if (config !== null) return [...checks(facts, config, true), ...syncFindings(config)];
  const todo = "Name it with --config; without one only the machine itself is looked at.";
  return [finding("note", "config", "no config of a site", todo), ...healthFindings(facts, null)];
}

function checks(facts: Facts, config: SiteConfig, allProcesses: boolean): Finding[] {
  return [
    ...lineFindings(facts, config),
    ...serialFindings(facts, config, allProcesses),
    ...modemFindings(facts, config),
    ...rightsFindings(facts, config),
    ...cardFindings(facts, config),
    ...healthFindings(facts, config),
  ];
}
