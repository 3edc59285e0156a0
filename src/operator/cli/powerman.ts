import { parseDuration } from "../../core/duration.ts";
import { packageVersion } from "../../version.ts";
import type { Client } from "../client.ts";
import { createRack } from "../powerman/rack.ts";
import { placeOf, servePowerman } from "../powerman/server.ts";
import { serviceSigner } from "../signer.ts";
import {
  type CliArgs,
  type CliCommand,
  CONNECTION_HELP,
  CONNECTION_OPTIONS,
  EXIT,
  flag,
  text,
  UsageError,
} from "./command.ts";
import { connectTo, contextOf, silence, whoOf } from "./connect.ts";
import { jsonText, note, print, safe } from "./out.ts";

const PLACE = "127.0.0.1:10101";

export const command: CliCommand = {
  usage: ["powerman [SITE …] [--listen 127.0.0.1:10101|/run/towpath-powerman.sock] [--max-age T] [--yes]"],
  about:
    "Serves powerman's protocol: powerman, fence_powerman and NUT then switch the devices of sites, with one key and what its roles allow.",
  examples: [
    "towpath powerman harbour-07 --identity /etc/towpath/powerman.key",
    "powerman -h 127.0.0.1:10101 --query-all                  # elsewhere on this machine",
    "towpath powerman harbour-07 quay-02                      # nodes router1.harbour-07, router1.quay-02, …",
    "printf 'ip=127.0.0.1\\nipport=10101\\nplug=router1\\naction=status\\n' | fence_powerman   # as Pacemaker calls it",
  ],
  options: {
    ...CONNECTION_OPTIONS,
    listen: { type: "string" },
    "max-age": { type: "string" },
    yes: { type: "boolean", short: "y" },
  },
  optionHelp: {
    listen: `a loopback port or a Unix socket (${PLACE}); powerman's protocol knows no password, so nothing else`,
    "max-age": "an answer as old as this is told again, not asked again (default 5s; on a metered link take 10m)",
    yes: "also switch what takes power from other devices, from the controller or from its path",
    ...CONNECTION_HELP,
    json: "one JSON document once it listens",
  },
  run,
};

async function run(args: CliArgs): Promise<number> {
  const given = text(args, "listen") ?? PLACE;
  const place = placeOf(given);
  if (place === null)
    throw new UsageError(
      `--listen ${given}: a loopback address with a port, such as ${PLACE}, or the path of a socket`,
    );
  const maxAge = text(args, "max-age") ?? "5s";
  const maxAgeMs = parseDuration(maxAge);
  if (maxAgeMs === null) throw new UsageError(`--max-age ${maxAge}: write 5s, 10m or 1h`);
  const context = contextOf(args);
  const who = await whoOf(context, serviceSigner);
  const ended = new Promise<void>((resolve) => {
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => resolve());
  });
  const clients: Client[] = [];
  try {
    for (const site of new Set(args.words.length === 0 ? [null] : args.words))
      clients.push(await connectTo(context, site));
    // Its nodes are what a site says it has: one that has never been heard has none.
    for (const client of clients) if (client.state() === null) throw silence(client, client.site);
    const rack = createRack({
      clients,
      who,
      trust: context.trust,
      yes: flag(args, "yes"),
      maxAgeMs,
      monoMs: () => performance.now(),
    });
    const serving = await servePowerman(place, rack, packageVersion()).catch((error: Error) => {
      throw new UsageError(`cannot listen on ${given}: ${error.message}`);
    });
    const where = serving.port === null ? given : given.replace(/\d+$/, String(serving.port));
    if (args.json) print(jsonText({ ok: true, listen: where, by: who.by, nodes: rack.nodes() }));
    else note(safe(`ready on ${where} as ${who.by}: ${rack.nodes().join(", ")}`));
    await ended;
    await serving.stop();
    return EXIT.done;
  } finally {
    await Promise.all(clients.map((client) => client.stop()));
  }
}
