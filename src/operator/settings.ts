import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { dirname, isAbsolute, join, resolve } from "node:path";
import { parseDocument } from "yaml";
import { z } from "zod";
import { SettingsError } from "./errors.ts";

/** Where an operator's command goes and who it is from: flags, then TOWPATH_…, then the config file, then the demo. */

const schema = z.strictObject({
  brokers: z.array(z.string()).optional(),
  broker: z.string().optional(),
  fleet: z.string().optional(),
  site: z.string().optional(),
  identity: z.string().optional(),
  as: z.string().optional(),
  trust: z.string().optional(),
  sites: z.string().optional(),
  tls: z
    .strictObject({ ca: z.string().optional(), cert: z.string().optional(), key: z.string().optional() })
    .optional(),
  local: z.string().optional(),
});

export interface Settings {
  readonly brokers: readonly string[];
  readonly fleet: string | null;
  /** The site that is meant when none is named. */
  readonly site: string | null;
  readonly identity: string | null;
  readonly as: string | null;
  readonly trust: string | null;
  readonly sites: string | null;
  readonly tls: {
    readonly ca?: string | undefined;
    readonly cert?: string | undefined;
    readonly key?: string | undefined;
  };
  readonly local: string | null;
  /** For messages: which of the places it came from. */
  readonly source: string;
}

export interface Given {
  readonly brokers: readonly string[];
  readonly values: Readonly<Record<string, string | undefined>>;
}

export function demoFile(): string {
  return join(checkout(), ".towpath/demo/cli.yaml");
}

/** The folder of this checkout: where the demo lives. */
export function checkout(): string {
  return resolve(import.meta.dirname, import.meta.dirname.includes("/dist/") ? "../../.." : "../..");
}

export function loadSettings(given: Given, env: NodeJS.ProcessEnv): Settings {
  const own = env.XDG_CONFIG_HOME ?? join(homedir(), ".config");
  const file = [join(own, "towpath/config.yaml"), demoFile()].find((one) => existsSync(one));
  const saved = file === undefined ? {} : readSettings(file);
  const pick = (name: string, variable: string): string | undefined => given.values[name] ?? env[`TOWPATH_${variable}`];
  const broker = given.brokers.length > 0 ? given.brokers : (env.TOWPATH_BROKER?.split(",") ?? []);
  // A flag goes before the environment, also where the two name different ways.
  const local = given.brokers.length > 0 ? given.values.local : pick("local", "LOCAL");
  // Who names a broker does not mean the socket in the file, and the other way round.
  const chosen = broker.length > 0 || local !== undefined;
  const wrong = broker.find((url) => !/^mqtts?:\/\/[^/\s]+$/.test(url));
  if (wrong !== undefined) throw new SettingsError(`broker ${wrong}: write mqtts://host:8883`);
  const settings: Settings = {
    brokers:
      local !== undefined
        ? []
        : chosen
          ? broker
          : saved.local !== undefined
            ? []
            : (saved.brokers ?? (saved.broker ? [saved.broker] : [])),
    local:
      broker.length > 0 && given.values.local === undefined ? null : (local ?? (chosen ? null : (saved.local ?? null))),
    fleet: pick("fleet", "FLEET") ?? saved.fleet ?? null,
    site: env.TOWPATH_SITE ?? saved.site ?? null,
    identity: pick("identity", "IDENTITY") ?? saved.identity ?? null,
    as: pick("as", "AS") ?? saved.as ?? null,
    trust: pick("trust", "TRUST") ?? saved.trust ?? null,
    sites: pick("sites", "SITES") ?? saved.sites ?? null,
    tls: {
      ca: pick("tls-ca", "TLS_CA") ?? saved.tls?.ca,
      cert: pick("tls-cert", "TLS_CERT") ?? saved.tls?.cert,
      key: pick("tls-key", "TLS_KEY") ?? saved.tls?.key,
    },
    source: chosen ? "the command line or the environment" : (file ?? "nowhere"),
  };
  if (settings.brokers.length === 0 && settings.local === null) {
    throw new SettingsError(
      "no broker and no socket is set: give --broker and --fleet, or --local SOCKET, or `npm start` the demo",
    );
  }
  return settings;
}

function readSettings(file: string): z.infer<typeof schema> {
  const document = parseDocument(readFileSync(file, "utf8"));
  const [broken] = document.errors;
  if (broken !== undefined) throw new SettingsError(`${file}: ${broken.message.split("\n")[0]}`);
  const parsed = schema.safeParse(document.toJS() ?? {});
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new SettingsError(`${file}: ${issue?.path.join(".") || "top level"}: ${issue?.message}`);
  }
  const absolute = (path: string | undefined) => (path === undefined ? undefined : fileFrom(dirname(file), path));
  const { tls, ...rest } = parsed.data;
  return {
    ...rest,
    identity: absolute(rest.identity),
    trust: absolute(rest.trust),
    sites: absolute(rest.sites),
    local: absolute(rest.local),
    ...(tls && { tls: { ca: absolute(tls.ca), cert: absolute(tls.cert), key: absolute(tls.key) } }),
  };
}

function fileFrom(folder: string, path: string): string {
  if (path.startsWith("~/")) return join(homedir(), path.slice(2));
  return isAbsolute(path) ? path : resolve(folder, path);
}
