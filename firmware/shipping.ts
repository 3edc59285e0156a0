import type { SiteConfig } from "../src/config/config.ts";
import type { Journal } from "../src/journal/journal.ts";
import type { Link } from "../src/link/link.ts";
import { createShipper, type Shipper } from "../src/link/shipper.ts";
import { siteRoot } from "../src/protocol/topics.ts";
import { monoMs } from "./machine.ts";

interface ShipParts {
  readonly config: SiteConfig;
  readonly journal: Journal;
  readonly link: Link;
  readonly boot: number;
  readonly ledgerNext: number;
}

/** What the consoles say goes to who acknowledges it, over the broker. */
export function createSiteShipper({ config, journal, link, boot, ledgerNext }: ShipParts): Shipper {
  const { tracks } = journal.recovered;
  return createShipper({
    ...{ journal, boot, monoMs, tracks, ledgerNext, consoles: config.consoles },
    root: siteRoot(config.plan.fleet, config.plan.site),
    publish: (topic, payload, urgency) => link.publish({ to: "primary", topic, payload, retained: false, urgency }),
    roomy: link.roomy,
  });
}
