import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { asRecord, type Client } from "../client.ts";
import { openStream, StreamRefused } from "../stream-client.ts";
import {
  type CliArgs,
  type CliCommand,
  CONNECTION_HELP,
  CONNECTION_OPTIONS,
  EXIT,
  flag,
  list,
  SilentError,
  UsageError,
} from "./command.ts";
import { type Context, connectTo, contextOf, silence, whoOf } from "./connect.ts";
import { jsonText, note, print, safe } from "./out.ts";
import { tellRejected } from "./refusal.ts";

export const command: CliCommand = {
  usage: ["ssh SITE [CONSOLE] [-L PORT:HOST:PORT …]", "ssh SITE --shell", "ssh SITE --config"],
  about:
    "Logs in at a site with OpenSSH, through the broker, which can read and change none of it: types into a console, or forwards\n" +
    "to what the site's config allows. Without a console only the forwards are opened. --shell goes to the machine's own sshd\n" +
    "(verb admin). --config prints what plain `ssh CONSOLE.SITE` needs in ~/.ssh/config.",
  examples: [
    "towpath ssh harbour-07 router1",
    "towpath ssh harbour-07 -L 8443:10.0.0.2:443        # the router's web page, by way of the site",
    "towpath ssh harbour-07 --shell -- -l pi",
    "towpath ssh harbour-07 --config >> ~/.ssh/config && ssh router1.harbour-07",
  ],
  options: {
    ...CONNECTION_OPTIONS,
    forward: { type: "string", multiple: true, short: "L" },
    shell: { type: "boolean" },
    config: { type: "boolean" },
    proxy: { type: "boolean" },
  },
  optionHelp: {
    ...CONNECTION_HELP,
    forward: "-L PORT:HOST:PORT as ssh has it; only to `access.forwards` of the site, for who has the verb forward",
    shell: "the machine's own sshd instead; what stands behind -- goes to ssh",
    config: "print a piece of ssh_config for this site",
    proxy: "only the way there, for ssh's ProxyCommand",
  },
  run,
};

/** What ssh must know of a site. */
interface Host {
  readonly user: string | null;
  /** `type base64`; null where nobody vouches for one. */
  readonly key: string | null;
  readonly consoles: readonly string[];
}

async function run(args: CliArgs): Promise<number> {
  const [site, ...words] = args.words;
  if (site === undefined || site.includes("/")) throw new UsageError("towpath ssh SITE [CONSOLE]");
  const context = contextOf(args);
  if (flag(args, "proxy")) return await proxy(args, context, site);
  const host = await hostOf(args, context, site);
  if (!flag(args, "shell") && host.user === null)
    throw new SilentError(
      `${site} takes no logins: its machine has no sshd (apt install openssh-server), or it has not been heard; on site --local SOCKET needs none`,
    );
  if (flag(args, "config")) return printConfig(args, host, site);
  return flag(args, "shell") ? await runSsh(args, site, host, words) : await login(args, site, host, words);
}

async function login(args: CliArgs, site: string, host: Host, words: readonly string[]): Promise<number> {
  const [console, ...more] = words;
  if (console !== undefined && !host.consoles.includes(console)) {
    throw new UsageError(`${site} has no console ${safe(console)}; it has ${host.consoles.join(", ") || "none"}`);
  }
  if (console === undefined && list(args, "forward").length === 0)
    throw new UsageError(`which console? ${host.consoles.join(", ")}; or give -L`);
  return await runSsh(args, site, host, more, console);
}

async function hostOf(args: CliArgs, context: Context, site: string): Promise<Host> {
  const client = await connectTo(context, site);
  try {
    const statement = client.state();
    const login = asRecord(statement?.body.login);
    const vouched = statement?.verified === true && login !== null ? String(login.hostKey) : null;
    const key = context.sites.hostKeyOf?.(site) ?? vouched;
    if (key === null && !args.json) note(`unverified: nobody vouches for the host key of ${site}; ssh will ask you`);
    const consoles = Object.keys(asRecord(statement?.body.consoles) ?? {});
    return { user: login === null ? null : String(login.user), key, consoles };
  } finally {
    await client.stop();
  }
}

async function runSsh(
  args: CliArgs,
  site: string,
  host: Host,
  more: readonly string[],
  console?: string,
): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), "towpath-ssh-"));
  try {
    const shell = flag(args, "shell");
    const known = join(folder, "known_hosts");
    const pinned = !shell && host.key !== null;
    writeFileSync(known, pinned ? `${aliasOf(site, false)} ${host.key}\n` : "", { mode: 0o600 });
    const options = {
      ...sshOptions(args, site, shell),
      ...(pinned && { UserKnownHostsFile: known, StrictHostKeyChecking: "yes" }),
    };
    const forwards = list(args, "forward").flatMap((one) => ["-L", one]);
    const words = [
      ...Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]),
      ...(shell || host.user === null ? [] : ["-l", host.user]),
      ...forwards,
      ...(console !== undefined ? ["-tt"] : shell ? [] : ["-N"]),
      ...(shell ? more : []),
      aliasOf(site, shell),
      ...(console !== undefined ? [console] : []),
    ];
    return await ended(words);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function ended(words: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn("ssh", words, { stdio: "inherit" });
    // Ctrl-C is for ssh, which passes it on or ends by it.
    const ignore = () => undefined;
    process.on("SIGINT", ignore);
    const end = () => void child.kill("SIGTERM");
    for (const signal of ["SIGTERM", "SIGHUP"] as const) process.once(signal, end);
    child.once("error", () => reject(new UsageError("ssh is not installed; install openssh-client")));
    child.once("close", (code, signal) => {
      process.off("SIGINT", ignore);
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}

function aliasOf(site: string, shell: boolean): string {
  return shell ? `shell.${site}.towpath` : `${site}.towpath`;
}

function sshOptions(args: CliArgs, site: string, shell: boolean): Record<string, string> {
  const identity = contextOf(args).settings.identity;
  return {
    // Names that an older client does not know.
    IgnoreUnknown: "ObscureKeystrokeTiming",
    // It sends a packet each 20 ms while somebody types: on a metered path that is what the typing costs, many times.
    ObscureKeystrokeTiming: "no",
    ProxyCommand: proxyCommand(args, site, shell),
    ProxyUseFdpass: "no",
    HostKeyAlias: aliasOf(site, shell),
    CheckHostIP: "no",
    ForwardAgent: "no",
    ForwardX11: "no",
    ControlMaster: "no",
    ControlPath: "none",
    ...(identity !== null && !shell && { IdentityFile: `"${identity}"`, IdentitiesOnly: "yes" }),
  };
}

/** This command again, with the same flags. */
function proxyCommand(args: CliArgs, site: string, shell: boolean): string {
  const flags = Object.keys(CONNECTION_OPTIONS).flatMap((name) => {
    const value = args.values[name];
    const values = Array.isArray(value) ? value : [value];
    return values.flatMap((one) => (typeof one === "string" ? [`--${name}`, one] : []));
  });
  const [program = "", script = ""] = process.argv;
  const words = [program, script, "ssh", site, "--proxy", ...(shell ? ["--shell"] : []), ...flags];
  // ssh gives it to a shell, after it has looked for its own percent signs.
  return `${words.map((word) => `'${word.replaceAll("'", "'\\''").replaceAll("%", "%%")}'`).join(" ")}`;
}

function printConfig(args: CliArgs, host: Host, site: string): number {
  const consoles = host.consoles.filter((name) => /^[a-z0-9-]+$/.test(name));
  if (args.json) {
    print(jsonText({ ok: true, site, ...host, options: sshOptions(args, site, false) }));
    return EXIT.done;
  }
  const options = Object.entries(sshOptions(args, site, false)).map(([name, value]) => `  ${name} ${value}`);
  const lines = [
    `# ${site}, by towpath ssh --config. In known_hosts, so that ssh does not ask:`,
    host.key === null ? "#   nobody vouches for its host key" : `#   ${aliasOf(site, false)} ${host.key}`,
    `Host ${[...consoles.map((name) => `${name}.${site}`), aliasOf(site, false)].join(" ")}`,
    ...options,
    `  User ${host.user}`,
    ...consoles.flatMap((name) => [`Host ${name}.${site}`, `  RemoteCommand ${name}`, "  RequestTTY force"]),
  ];
  print(safeLines(lines));
  return EXIT.done;
}

function safeLines(lines: readonly string[]): string {
  return lines.map(safe).join("\n");
}

async function proxy(args: CliArgs, context: Context, site: string): Promise<number> {
  const who = await whoOf(context);
  const client: Client = await connectTo(context, site);
  try {
    const stream = await openStream(client, who, { service: flag(args, "shell") ? "shell" : "ssh" });
    return await new Promise<number>((resolve) => {
      process.stdin.pipe(stream).pipe(process.stdout);
      // So ssh ends it: the site is told, and does not keep a place for it.
      for (const signal of ["SIGHUP", "SIGTERM", "SIGINT"] as const) process.once(signal, () => stream.destroy());
      stream.once("error", (error: NodeJS.ErrnoException) => {
        note(`towpath: the way to ${site} ended: ${error.code ?? error.message}`);
        resolve(EXIT.failed);
      });
      stream.once("close", () => resolve(EXIT.done));
    });
  } catch (error) {
    if (error instanceof StreamRefused) return tellRejected(false, error.reply);
    if (error instanceof Error && /no answer|does not answer/.test(error.message)) throw silence(client, site);
    throw error;
  } finally {
    await client.stop();
    // What waits in a pipe whose reader is gone would keep this process.
    process.stdin.destroy();
  }
}
