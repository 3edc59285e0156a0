import type { SiteConfig } from "../src/config/config.ts";
import type { Event } from "../src/core/events.ts";
import { writeWhole } from "../src/disk/disk.ts";
import type { Journal } from "../src/journal/journal.ts";
import type { Link } from "../src/link/link.ts";
import type { Shipper } from "../src/link/shipper.ts";
import type { RelayBank } from "../src/power/bank.ts";
import type { SimulatedSite } from "../src/sim/simulated-site.ts";
import type { Edges } from "../src/site/edges.ts";
import { storedTrust } from "./trust-file.ts";

/** How effects of the loop reach the edges that were picked for it. */

interface Parts {
  readonly config: SiteConfig;
  readonly journal: Journal;
  readonly bank: RelayBank;
  readonly link: Link;
  readonly reader: Edges["reader"];
  readonly shipper: Shipper;
  readonly modem: Edges["modem"];
  readonly simulated: SimulatedSite | null;
  readonly emit: (event: Event) => void;
}

export function edgesOf({ config, journal, bank, link, reader, shipper, modem, simulated, emit }: Parts): Edges {
  return {
    journal: {
      perform({ records, durable, sync, token }) {
        const lines = records.map((record) => ({
          seq: record.seq,
          boot: record.boot,
          mono: record.mono,
          json: JSON.stringify(record),
        }));
        journal.appendLedger(lines, JSON.stringify(durable), sync, token);
        const [first] = lines;
        if (first !== undefined) shipper.recorded(first.seq, first.seq + lines.length);
      },
    },
    relays: {
      perform({ token, relay, energised }) {
        const result = bank.set(relay, energised);
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
    shipper,
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
