import type { ParseArgsConfig } from "node:util";

/** One verb of the command line. */
export interface CliCommand {
  /** Without the program's name: `power on|off|cycle SITE/DEVICE [--for T]`, one line each form. */
  readonly usage: readonly string[];
  readonly about: string;
  readonly examples: readonly string[];
  readonly options: NonNullable<ParseArgsConfig["options"]>;
  /** What each option is for, in the order of help. */
  readonly optionHelp: Readonly<Record<string, string>>;
  run(args: CliArgs): Promise<number>;
}

export interface CliArgs {
  readonly words: readonly string[];
  readonly values: Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;
  readonly json: boolean;
}

export const EXIT = { done: 0, usage: 2, rejected: 3, failed: 4, silent: 5, unknown: 6 } as const;

/** Words that cannot be meant, or settings that are missing: exit 2, nothing was sent. */
export class UsageError extends Error {}

/** Nobody answered and nothing was sent that could act: exit 5. */
export class SilentError extends Error {}

export function text(args: CliArgs, name: string): string | undefined {
  const value = args.values[name];
  return typeof value === "string" ? value : undefined;
}

export function flag(args: CliArgs, name: string): boolean {
  return args.values[name] === true;
}

export function list(args: CliArgs, name: string): string[] {
  const value = args.values[name];
  return Array.isArray(value) ? value.filter((one): one is string => typeof one === "string") : [];
}

/** Where the answer comes from and who asks: the same for every verb that talks to a site. */
export const CONNECTION_OPTIONS = {
  broker: { type: "string", multiple: true },
  fleet: { type: "string" },
  identity: { type: "string" },
  as: { type: "string" },
  trust: { type: "string" },
  sites: { type: "string" },
  "tls-ca": { type: "string" },
  "tls-cert": { type: "string" },
  "tls-key": { type: "string" },
  local: { type: "string" },
} as const satisfies NonNullable<ParseArgsConfig["options"]>;

export const CONNECTION_HELP = {
  broker: "mqtts://host:8883, may be given more than once",
  fleet: "name of the fleet",
  identity: "private key, or public key of an agent's or hardware key",
  as: "operator's name, where no trust document tells it by the key",
  trust: "trust.json, as signed by the roots",
  sites: "sites.json, the keys of the sites",
  "tls-ca": "CA of the broker",
  "tls-cert": "client certificate",
  "tls-key": "its key",
  local: "talk to a controller's socket instead of a broker",
} as const;
