import type { SiteConfig } from "../src/config/config.ts";
import type { Link } from "../src/link/link.ts";
import { TelemetryGate } from "../src/link/telemetry-gate.ts";
import { siteRoot, topicText } from "../src/protocol/topics.ts";
import { monoMs } from "./machine.ts";

/** Measures of the machine to whoever listens: on site always, elsewhere as often as the way there allows. */
export function createTelemetry(
  { plan }: SiteConfig,
  link: Pick<Link, "publish" | "thrift">,
  life: { readonly boot: number; readonly start: number },
): (measures: Readonly<Record<string, unknown>>) => void {
  const topic = topicText(siteRoot(plan.fleet, plan.site), { name: "up/telemetry" });
  const gate = new TelemetryGate();
  return (measures) => {
    const payload = Buffer.from(JSON.stringify({ v: 1, ...life, mono: monoMs(), ...measures }));
    const to = gate.wants(measures, link.thrift(), monoMs()) ? "all" : "local";
    link.publish({ to, topic, payload, retained: false });
  };
}
