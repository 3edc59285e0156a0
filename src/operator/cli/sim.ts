import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { demoFile } from "../settings.ts";
import { type CliArgs, type CliCommand, CONNECTION_HELP, CONNECTION_OPTIONS, EXIT, UsageError } from "./command.ts";
import { connectTo, contextOf, silence } from "./connect.ts";
import { jsonText, print, safe } from "./out.ts";
import { tellRejected } from "./refusal.ts";

export const command: CliCommand = {
  usage: ["sim DEVICE hang|panic|unplug|plug", "sim relay N stuck|bounce|ok", "sim modem hang|deny|no-sim|ok"],
  about: "Makes faults at a simulated site, over its local socket.",
  examples: [
    "towpath sim router1 hang",
    "towpath sim relay 1 stuck",
    "towpath sim modem deny",
    "towpath sim switch1 unplug --local /tmp/site/towpath.sock",
  ],
  options: { ...CONNECTION_OPTIONS },
  optionHelp: { ...CONNECTION_HELP },
  run,
};

async function run(args: CliArgs): Promise<number> {
  const { words } = args;
  const relay = words[0] === "relay";
  const subject = relay ? `relay ${words[1]}` : words[0];
  const fault = relay ? words[2] : words[1];
  if (subject === undefined || fault === undefined)
    throw new UsageError(
      "towpath sim DEVICE hang|panic|unplug|plug, sim relay N stuck|bounce|ok, or sim modem hang|deny|no-sim|ok",
    );
  const context = contextOf(args);
  const local = context.settings.local ?? demoSocket();
  if (local === null) throw new UsageError("only over the local socket: give --local SOCKET");
  const client = await connectTo({ ...context, settings: { ...context.settings, local, brokers: [] } }, null);
  try {
    const reply = await client.send({ kind: "sim", args: { subject, fault } }, { who: null, timeoutMs: 5_000 });
    if (reply === null) throw silence(client, client.site);
    if (reply.phase !== "result") return tellRejected(args.json, reply);
    if (args.json) print(jsonText({ ok: true, ...reply }));
    else print(safe(String(reply.detail)));
    return EXIT.done;
  } finally {
    await client.stop();
  }
}

function demoSocket(): string | null {
  const socket = join(dirname(demoFile()), "data/towpath.sock");
  return existsSync(socket) ? socket : null;
}
