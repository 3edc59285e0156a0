import { parseDuration } from "../../core/duration.ts";
import { Unreachable } from "../errors.ts";
import { readEscape } from "../escape.ts";
import { openStream, StreamRefused, type StreamRequest } from "../stream-client.ts";
import {
  type CliArgs,
  type CliCommand,
  CONNECTION_HELP,
  CONNECTION_OPTIONS,
  flag,
  text,
  UsageError,
} from "./command.ts";
import { type Context, connectTo, contextOf, parsePlace, sayVerification, silence, viewerOf } from "./connect.ts";
import { followAsJson, type Seat, typeFromPipe, typeOnTerminal } from "./console-seat.ts";
import { note } from "./out.ts";
import { tellRejected } from "./refusal.ts";

export const command: CliCommand = {
  usage: ["console SITE/CONSOLE [--watch|--join|--steal] [--since T|--lines N] [--escape C]"],
  about:
    "Types into a console, or watches it. One types, many watch; ~? tells the keys. Through a broker it types by real ssh, as\n" +
    "`towpath ssh SITE CONSOLE` does; --watch shows what the broker can read too, as it can read captured text.",
  examples: [
    "towpath console demo/router1",
    "towpath console demo/router1 --watch --since 10m",
    "towpath console demo/router1 --steal                 # who types now is told that it was you",
    "towpath console router1 --local /var/lib/towpath/towpath.sock",
    "towpath console demo/router1 --watch --json | jq -r 'select(.t == \"data\").text'",
  ],
  options: {
    ...CONNECTION_OPTIONS,
    watch: { type: "boolean" },
    join: { type: "boolean" },
    steal: { type: "boolean" },
    since: { type: "string" },
    lines: { type: "string" },
    escape: { type: "string" },
  },
  optionHelp: {
    watch: "only look",
    join: "type along with who has the right to type",
    steal: "take it; who has it is told by whom",
    since: "begin with what was said since then: 10m, 2h",
    lines: "begin with the last so many lines (20)",
    escape: "another key than ~ for commands; ^] for Ctrl-], none for no such key",
    ...CONNECTION_HELP,
    json: "with --watch: one JSON object a line: t (data, missed, people, lease, …) and what belongs to it",
  },
  run,
};

async function run(args: CliArgs): Promise<number> {
  const context = contextOf(args);
  const place = placeOf(args, context);
  const mark = readEscape(text(args, "escape") ?? "~");
  if (mark === null) throw new UsageError("--escape wants one character, ^] for Ctrl-], or none");
  const mode = modeOf(args);
  if (args.json && mode !== "watch") throw new UsageError("--json goes with --watch");
  const begin = beginOf(args);
  if (context.settings.local === null && mode !== "watch") return await byLogin(args, place);
  const who = await viewerOf(context);
  const client = await connectTo(context, place.site);
  try {
    const ticket = process.env.TOWPATH_TICKET;
    const request: StreamRequest = { service: "console", console: place.rest, mode, ...(ticket && { ticket }) };
    const stream = await openStream(client, who, request).catch(async (error: unknown) => {
      // A viewer who did not say so is shown the console all the same.
      const viewer = error instanceof StreamRefused && error.reply.code === "role.denied" && mode === "type";
      if (!viewer) throw error;
      note("towpath: your roles let you watch here, not type");
      return openStream(client, who, { ...request, mode: "watch" });
    });
    sayVerification(client, client.site);
    const seat: Seat = { args, stream, begin, mark, site: client.site, console: place.rest };
    if (args.json) return await followAsJson(seat);
    return process.stdin.isTTY ? await typeOnTerminal(seat) : await typeFromPipe(seat);
  } catch (error) {
    if (error instanceof StreamRefused) return tellRejected(args.json, error.reply);
    if (error instanceof Unreachable) throw silence(client, client.site);
    throw error;
  } finally {
    await client.stop();
  }
}

/** Typed bytes pass no broker in clear: whoever may publish there could type as well. */
async function byLogin(args: CliArgs, { site, rest }: { site: string | null; rest: string }): Promise<number> {
  if (!process.stdin.isTTY)
    throw new UsageError(
      `from afar a person types: towpath ssh ${site} ${rest}; a program listens with --watch --json`,
    );
  const key = ["join", "steal", "since", "lines", "escape"].find((name) => args.values[name] !== undefined);
  if (key !== undefined) note(`towpath: --${key} is for the local socket; here the keys do it once you are in: ~?`);
  const { command: ssh } = await import("./ssh.ts");
  return await ssh.run({ ...args, words: [site ?? "", rest] });
}

/** On a site's own socket the site need not be named. */
function placeOf(args: CliArgs, { settings }: Context): { site: string | null; rest: string } {
  const [word] = args.words;
  if (word !== undefined && settings.local !== null && !word.includes("/")) return { site: null, rest: word };
  return parsePlace(word, "SITE/CONSOLE");
}

function modeOf(args: CliArgs): "watch" | "type" | "join" | "steal" {
  const [first, ...more] = (["watch", "join", "steal"] as const).filter((one) => flag(args, one));
  if (more.length > 0) throw new UsageError(`--${first} and --${more[0]} do not go together`);
  return first ?? "type";
}

function beginOf(args: CliArgs): Seat["begin"] {
  const [since, lines] = [text(args, "since"), text(args, "lines")];
  if (since !== undefined && lines !== undefined) throw new UsageError("--since and --lines do not go together");
  if (since !== undefined) {
    const sinceMs = parseDuration(since);
    if (sinceMs === null) throw new UsageError(`--since ${since}: write 30s, 10m or 2h`);
    return { t: "begin", sinceMs };
  }
  const count = Number(lines ?? 20);
  if (!Number.isInteger(count) || count < 0 || count > 10_000) throw new UsageError("--lines wants 0 to 10000");
  return { t: "begin", lines: count };
}
