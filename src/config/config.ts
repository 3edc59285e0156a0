import { createHash } from "node:crypto";
import { isMap, isPair, isScalar, parseDocument } from "yaml";
import type { ZodError } from "zod";
import type { LineSequence, Pacing } from "../core/line.ts";
import { MODEM_ACTOR } from "../core/modem.ts";
import type { DevicePlan, Observe, OutletPlan, SitePlan } from "../core/plan.ts";
import { type Access, accessOf } from "./access.ts";
import { type Board, readBoard } from "./board.ts";
import { poweredBy, referenceProblems } from "./references.ts";
import { type RawConsole, type RawSite, siteSchema } from "./schema.ts";
import { sequencesOf } from "./typed.ts";
import type { Framing } from "./units.ts";
import { type Uplinks, uplinksOf } from "./uplinks.ts";

/** `site.yaml` to a checked site. Every problem at once, each with its place and what to do about it. */

export interface Problem {
  /** Dotted path in the file, or `line N` where it is not even YAML. */
  readonly where: string;
  readonly what: string;
  readonly todo: string;
}

export interface ConsoleConfig {
  readonly name: string;
  /** Paths are absolute. */
  readonly port: RawConsole["port"];
  readonly baudRate: number;
  readonly framing: Framing;
  readonly flow: "none" | "rtscts" | "xonxoff";
  readonly ship: RawConsole["ship"];
  /** Whether what is typed is recorded beside what the console says. */
  readonly capture: "rx" | "rx+tx";
  readonly paste: Pacing;
  readonly sequences: readonly LineSequence[];
}

export interface SiteConfig {
  /** Of the text it was read from, hex. */
  readonly sha256: string;
  readonly plan: SitePlan;
  readonly data: string;
  readonly socket: string;
  readonly board: Board;
  readonly trustFile: string | null;
  readonly journal: { readonly captureBytes: number; readonly ledgerBytes: number };
  readonly brokers: readonly string[];
  readonly tls: {
    readonly ca?: string | undefined;
    readonly cert?: string | undefined;
    readonly key?: string | undefined;
  };
  /** Time servers, by address. */
  readonly time: readonly string[];
  readonly consoles: readonly ConsoleConfig[];
  readonly uplinks: Uplinks;
  readonly access: Access;
}

export type Checked = { ok: true; config: SiteConfig } | { ok: false; problems: readonly Problem[] };

export interface Surroundings {
  /** Makes a path of the config absolute. */
  resolve(path: string): string;
  /** Text of a board file by name or path; null when there is none. */
  readBoard(board: string): string | null;
  /** Text of a file in `boards/parts/`; null when there is none. */
  readPart(part: string): string | null;
  /** Names of the boards that are shipped, for the error message. */
  readonly boards: readonly string[];
  /** Plaintext brokers beyond loopback are allowed. */
  readonly insecureLab: boolean;
}

export function checkConfig(text: string, surroundings: Surroundings): Checked {
  const document = parseDocument(text, { prettyErrors: true });
  if (document.errors.length > 0) {
    const problems = document.errors.map((error): Problem => {
      const line = error.linePos?.[0].line;
      return {
        where: `line ${line ?? "?"}`,
        what: error.message.split("\n")[0] ?? "not YAML",
        todo: "Mend the YAML there.",
      };
    });
    return { ok: false, problems };
  }
  const value = resolved(document);
  if (value === undefined) {
    const problem: Problem = {
      where: "site.yaml",
      what: "an alias that leads nowhere, or too many of them",
      todo: "Write it out.",
    };
    return { ok: false, problems: [problem] };
  }
  const mistyped = isMap(document.contents) ? document.contents.items.flatMap((item) => keyProblems(item)) : [];
  const parsed = siteSchema.safeParse(value);
  if (!parsed.success) {
    const problems = [...mistyped, ...schemaProblems(parsed.error)];
    const repaired = siteSchema.safeParse(repair(structuredClone(value), parsed.error));
    if (!repaired.success) return { ok: false, problems };
    const board = findBoard(repaired.data.board, surroundings);
    return {
      ok: false,
      problems: [...problems, ...referenceProblems(repaired.data, board.board, surroundings), ...board.problems],
    };
  }
  const board = findBoard(parsed.data.board, surroundings);
  const problems = [...mistyped, ...referenceProblems(parsed.data, board.board, surroundings), ...board.problems];
  if (problems.length > 0 || board.board === null) return { ok: false, problems };
  return { ok: true, config: { ...build(parsed.data, board.board, surroundings), sha256: sha256Of(text) } };
}

/** Undefined where the aliases cannot be resolved. */
function resolved(document: ReturnType<typeof parseDocument>): unknown {
  try {
    return document.toJS() ?? {};
  } catch {
    return undefined;
  }
}

/** A name such as `on` or `1` is not text to YAML 1.1 readers and others: say so instead of guessing. */
function keyProblems(item: unknown): Problem[] {
  if (!isPair(item) || !isMap(item.value)) return [];
  return item.value.items.flatMap((inner) => {
    if (!isScalar(inner.key) || typeof inner.key.value === "string") return [];
    const where = isScalar(item.key) ? `${item.key.value}.${inner.key.value}` : "";
    return [{ where, what: "this name is a number", todo: "Put it in quotes, or choose a name." }];
  });
}

/** The same config without what the schema refused, so that wrong references are told in the same breath. */
function repair(value: unknown, error: ZodError): unknown {
  for (const issue of error.issues) {
    const keys = issue.code === "unrecognized_keys" ? issue.keys : [];
    for (const key of keys) replaceAt(value, [...issue.path, key], undefined);
    if (keys.length > 0) continue;
    const stand: Record<string, unknown> = {
      contact: "nc",
      site: "x",
      fleet: "x",
      data: "/",
      board: "sim",
      port: { path: `/${issue.path[1]?.toString()}` },
    };
    const last = String(issue.path.includes("port") ? "port" : issue.path.at(-1));
    const path = issue.path.includes("port") ? issue.path.slice(0, issue.path.indexOf("port") + 1) : issue.path;
    replaceAt(value, path, stand[last]);
  }
  return value;
}

function replaceAt(root: unknown, path: readonly PropertyKey[], value: unknown): void {
  let at: unknown = root;
  for (const key of path.slice(0, -1)) at = isObject(at) ? at[String(key)] : undefined;
  const last = path.at(-1);
  if (!isObject(at) || last === undefined) return;
  if (value === undefined) delete at[String(last)];
  else at[String(last)] = value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

function schemaProblems(error: ZodError): Problem[] {
  return error.issues.flatMap((issue) => problemsOf(issue, issue.path));
}

type Issue = ZodError["issues"][number];

function problemsOf(issue: Issue, path: readonly PropertyKey[]): Problem[] {
  const where = path.map(String).join(".") || "site.yaml";
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      where: [...path, key].map(String).join("."),
      what: "unknown key",
      todo: "Check the spelling, or remove it.",
    }));
  }
  if (issue.code === "invalid_union") {
    const closest = issue.errors.find((errors) =>
      errors.every((one) => one.code !== "unrecognized_keys" && one.path.length > 0),
    );
    if (closest !== undefined) return closest.flatMap((one) => problemsOf(one as Issue, [...path, ...one.path]));
    return [
      {
        where,
        what: "none of the forms that are allowed here",
        todo: "A port is { path: … }, { usb: …, serial: … }, { hub: … } or { sim: … }.",
      },
    ];
  }
  if (issue.code === "invalid_type" && issue.expected === "string" && /received (number|boolean)/.test(issue.message)) {
    return [{ where, what: "a number (or true/false) where text is meant", todo: "Put it in quotes." }];
  }
  if (issue.code === "invalid_type" && /received undefined/.test(issue.message)) {
    return [{ where, what: "missing", todo: `Add it: ${issue.expected} expected.` }];
  }
  if (issue.code === "invalid_key") {
    return [{ where, what: issue.issues[0]?.message ?? "not a name", todo: "Rename it." }];
  }
  return [{ where, what: issue.message, todo: "See the config example in the README." }];
}

function findBoard(name: string, surroundings: Surroundings): { board: Board | null; problems: Problem[] } {
  const problem = (what: string): { board: null; problems: Problem[] } => ({
    board: null,
    problems: [
      { where: "board", what, todo: `Use one of: ${surroundings.boards.join(", ")}; or the path of a board file.` },
    ],
  });
  const text = surroundings.readBoard(name);
  if (text === null) return problem(`there is no board "${name}"`);
  const read = readBoard(yamlValue(text), (part) => {
    const found = surroundings.readPart(part);
    return found === null ? undefined : yamlValue(found);
  });
  return read.ok ? { board: read.board, problems: [] } : problem(`board "${name}" is not valid: ${read.what}`);
}

/** Null where it is not YAML. */
function yamlValue(text: string): unknown {
  const document = parseDocument(text);
  return document.errors.length > 0 ? null : resolved(document);
}

function sha256Of(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function build(raw: RawSite, board: Board, { resolve }: Surroundings): Omit<SiteConfig, "sha256"> {
  const tls = raw.link?.tls ?? {};
  const file = (path: string | undefined) => (path === undefined ? undefined : resolve(path));
  const data = resolve(raw.data);
  return {
    plan: planOf(raw),
    data,
    socket: raw.local === undefined ? `${data}/towpath.sock` : resolve(raw.local),
    board,
    trustFile: raw.trust === undefined ? null : resolve(raw.trust),
    journal: { captureBytes: raw.journal.capture, ledgerBytes: raw.journal.ledger },
    brokers: raw.link?.brokers ?? [],
    tls: { ca: file(tls.ca), cert: file(tls.cert), key: file(tls.key) },
    time: raw.link?.time ?? [],
    consoles: Object.entries(raw.consoles).map(([name, { port, ...settings }]): ConsoleConfig => {
      const absolute = "path" in port ? { ...port, path: resolve(port.path) } : port;
      return { name, port: absolute, ...settings, sequences: sequencesOf(settings.sequences) };
    }),
    uplinks: uplinksOf(raw.uplinks),
    access: accessOf(raw.access),
  };
}

function planOf(raw: RawSite): SitePlan {
  const outlets = Object.entries(raw.outlets).map(([name, one]): [string, OutletPlan] => [
    name,
    {
      name,
      relay: one.relay,
      contact: one.contact,
      offTimeMs: one.offTime,
      onDelayMs: one.onDelay,
      offDelayMs: one.offDelay,
      powerRestore: one.powerRestore,
      minOffMs: one.minOff,
      minOnMs: one.minOn,
      rate: one.rate,
      observe: observeOf(one.observe),
    },
  ]);
  const devices = Object.entries(raw.devices).map(([name, one]): [string, DevicePlan] => [
    name,
    { name, outlets: one.outlets, consoles: one.consoles, after: one.after, address: one.address ?? null },
  ]);
  return {
    fleet: raw.fleet,
    site: raw.site,
    outlets: Object.fromEntries(outlets),
    devices: Object.fromEntries(devices),
    consoles: Object.keys(raw.consoles),
    ownBranch: {
      declared: raw.controller !== undefined,
      controller: poweredBy(raw),
      path: [...new Set([...(raw.controller?.path ?? []), ...modemOutlets(raw)])],
    },
    interlocks: raw.interlocks,
    modem: modemPlanOf(raw),
    actors: Object.fromEntries(
      modemOutlets(raw).map((outlet) => [
        MODEM_ACTOR,
        { verbs: ["on", "cycle"], outlets: [outlet], rate: { max: 6, perMs: 24 * 3_600_000 } },
      ]),
    ),
  };
}

/** What feeds the modem feeds the site's own path, whether `controller:` says so or not. */
function modemOutlets(raw: RawSite): string[] {
  return raw.uplinks?.lte?.modemOutlet === undefined ? [] : [raw.uplinks.lte.modemOutlet];
}

/** A stick that is a router by itself has nothing to be asked. */
function modemPlanOf(raw: RawSite): SitePlan["modem"] {
  const lte = raw.uplinks?.lte;
  if (lte === undefined || lte.modem === "none") return null;
  return { outlet: lte.modemOutlet ?? null, profiles: lte.profiles.length };
}

function observeOf(raw: RawSite["outlets"][string]["observe"]): Observe | null {
  if (raw === undefined) return null;
  const { within: withinMs, ...what } = raw;
  return { ...what, withinMs };
}
