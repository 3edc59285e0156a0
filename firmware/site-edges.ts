import type { SiteConfig } from "../src/config/config.ts";
import type { Event } from "../src/core/events.ts";
import { writeWhole } from "../src/disk/disk.ts";
import type { Journal } from "../src/journal/journal.ts";
import type { Link } from "../src/link/link.ts";
import type { Shipper } from "../src/link/shipper.ts";
import type { RelayBank } from "../src/power/bank.ts";
import type { SimulatedSite } from "../src/sim/simulated-site.ts";
import type { Edges } from "../src/site/edges.ts";
import { snapshotText } from "../src/site/snapshot.ts";
import { powerMoves } from "./incidents.ts";
import { storedTrust } from "./trust-file.ts";

/** How effects of the loop reach the edges that were picked for it. */

interface Parts {
  readonly config: SiteConfig;
  readonly journal: Journal;
  readonly bank: RelayBank;
  readonly link: Link;
  readonly reader: Edges["reader"];
  readonly sessions: NonNullable<Edges["sessions"]>;
  readonly shipper: Shipper;
  readonly streams: Edges["streams"];
  readonly modem: Edges["modem"];
  readonly simulated: SimulatedSite | null;
  readonly emit: (event: Event) => void;
}

export function edgesOf({
  config,
  journal,
  bank,
  link,
  reader,
  sessions,
  shipper,
  streams,
  modem,
  simulated,
  emit,
}: Parts): Edges {
  return {
    journal: {
      perform({ records, durable, sync, token }, texts) {
        const lines = records.map(({ seq, boot, mono }, index) => ({ seq, boot, mono, json: texts[index] ?? "" }));
        journal.appendLedger(lines, snapshotText(durable), sync, token);
        const [first] = lines;
        if (first !== undefined) shipper.recorded(first.seq, first.seq + lines.length);
      },
    },
    relays: {
      perform({ token, relay, energised }) {
        const result = bank.set(relay, energised);
        powerMoves(config.plan, relay, { link, shipper });
        setImmediate(() => emit({ type: "relay-driven", token, ...result }));
      },
    },
    trust: {
      perform({ token, envelope }) {
        let ok = true;
        try {
          writeWhole(storedTrust(config), envelope);
        } catch {
          ok = false;
        }
        setImmediate(() => emit({ type: "trust-stored", token, ok }));
      },
    },
    reader,
    sessions,
    shipper,
    streams,
    modem,
    faults: simulated && {
      perform({ token, subject, fault }) {
        const refused = simulated.fault(subject, fault);
        setImmediate(() =>
          emit({ type: "fault-set", token, ok: refused === null, detail: refused ?? `${subject}: ${fault}` }),
        );
      },
    },
    link,
  };
}
