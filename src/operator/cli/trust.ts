import { existsSync, readFileSync } from "node:fs";
import { verifySignature } from "../../access/sshsig.ts";
import { BUILT_IN_ROLES } from "../../core/trust.ts";
import { writeWhole } from "../../disk/disk.ts";
import { decodeEnvelope, encodeEnvelope, NAMESPACES, parseJson } from "../../protocol/envelope.ts";
import {
  fingerprintOf,
  keyBlob,
  readTrustBody,
  type SitesBody,
  sitesBodySchema,
  type TrustBody,
  trustBodySchema,
} from "../../protocol/trust-document.ts";
import { SigningError } from "../errors.ts";
import { opensshSigner } from "../signer.ts";
import { pushTrust } from "../switching.ts";
import {
  type CliArgs,
  type CliCommand,
  CONNECTION_HELP,
  CONNECTION_OPTIONS,
  EXIT,
  list,
  text,
  UsageError,
} from "./command.ts";
import { connectTo, contextOf, silence, whoOf } from "./connect.ts";
import { jsonText, paint, print, safe } from "./out.ts";
import { tellRejected } from "./refusal.ts";

const { identity: _one, ...WITHOUT_IDENTITY } = CONNECTION_OPTIONS;

export const command: CliCommand = {
  usage: [
    "trust init --fleet F --root KEY.pub… [--threshold N] [--out trust.json]",
    "trust add NAME --key KEY.pub… [--role R…] [--trust FILE]",
    "trust role NAME --verbs v,… --targets t,…",
    "trust revoke NAME|FINGERPRINT",
    "trust site NAME --key KEY [--host-key KEY] [--sites FILE] [--identity KEY]",
    "trust sign --identity KEY…",
    "trust push SITE",
    "trust show",
  ],
  about: "Who may do what. A document of the fleet, signed by its roots; a site obeys the one with the highest epoch.",
  examples: [
    "towpath trust init --fleet acme --root ~/.ssh/id_ed25519.pub",
    "towpath trust add alice --key alice.pub --role operator",
    "towpath trust sign --identity ~/.ssh/id_ed25519",
    "towpath trust push harbour-07",
  ],
  options: {
    ...WITHOUT_IDENTITY,
    identity: { type: "string", multiple: true },
    root: { type: "string", multiple: true },
    threshold: { type: "string" },
    out: { type: "string" },
    key: { type: "string", multiple: true },
    role: { type: "string", multiple: true },
    verbs: { type: "string" },
    targets: { type: "string" },
    "host-key": { type: "string" },
  },
  optionHelp: {
    root: "public key of a root holder, once for each",
    threshold: "how many roots must sign (default 1)",
    out: "where to write (default trust.json)",
    key: "public key, as a file or a line",
    role: "viewer, operator, admin, or one of the document's own (default operator)",
    verbs: "of a role: view,type,power-cycle,…",
    targets: "of a role: site/device with * inside a segment",
    "host-key": "a site's SSH host key",
    ...CONNECTION_HELP,
    identity: "key to sign with, once for each",
  },
  run,
};

/** `--root a.pub b.pub`: further words belong to the option that takes keys. What is left over is a mistake. */
function takeKeys(given: CliArgs): { what: string | undefined; name: string | undefined; args: CliArgs } {
  const [what, ...rest] = given.words;
  const option = what === "init" ? "root" : what === "sign" ? "identity" : what === "add" ? "key" : null;
  const named = what === "init" || what === "sign" || what === "show" ? 0 : 1;
  const extra = rest.slice(named);
  const surplus = option === null || list(given, option).length === 0 ? extra : [];
  if (surplus.length > 0) throw new UsageError(`what is ${surplus.join(" ")}? see \`towpath trust --help\``);
  const values = option === null ? given.values : { ...given.values, [option]: [...list(given, option), ...extra] };
  return { what, name: named === 0 ? undefined : rest[0], args: { ...given, values } };
}

async function run(given: CliArgs): Promise<number> {
  const { what, name, args } = takeKeys(given);
  switch (what) {
    case "init":
      return init(args);
    case "add":
      return edit(args, (body) => addOperator(args, body, required(name, "a NAME")));
    case "role":
      return edit(args, (body) => addRole(args, body, required(name, "a NAME")));
    case "revoke":
      return edit(args, (body) => revoke(body, required(name, "a NAME or FINGERPRINT")));
    case "site":
      return site(args, required(name, "a NAME"));
    case "sign":
      return sign(args);
    case "push":
      return push(args, required(name, "a SITE"));
    case "show":
      return show(args);
    default:
      throw new UsageError("trust what? init, add, role, revoke, site, sign, push or show");
  }
}

function required(value: string | undefined, what: string): string {
  if (value === undefined) throw new UsageError(`${what} is missing`);
  return value;
}

/** A key as a file or as the line itself, without its comment being lost. */
function keyLine(given: string): string {
  const line = existsSync(given) ? readFileSync(given, "utf8").trim() : given;
  if (keyBlob(line) === null)
    throw new UsageError(`${given}: not a public key (ed25519, ecdsa-p256, or their sk- forms)`);
  return line;
}

/** Keys to sign with: the flag, else the environment. */
function identitiesOf(args: CliArgs): string[] {
  const given = list(args, "identity");
  const set = process.env.TOWPATH_IDENTITY;
  return given.length > 0 || set === undefined ? given : [set];
}

const trustFile = (args: CliArgs): string => text(args, "trust") ?? process.env.TOWPATH_TRUST ?? "trust.json";

function checked(body: unknown): TrustBody {
  const parsed = trustBodySchema.safeParse(body);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new UsageError(`${issue?.path.join(".")}: ${issue?.message}`);
}

function save(file: string, body: object, sigs: readonly Uint8Array[]): void {
  writeWhole(file, `${encodeEnvelope({ body: Buffer.from(JSON.stringify(body)), sigs })}\n`);
}

function load(file: string): { body: TrustBody; bytes: Uint8Array; sigs: readonly Uint8Array[] } {
  if (!existsSync(file))
    throw new UsageError(`${file} is not there: make it with \`towpath trust init\`, or give --trust FILE`);
  const envelope = decodeEnvelope(readFileSync(file, "utf8"));
  const body = envelope && readTrustBody(envelope.body);
  if (envelope === null || body === null) throw new UsageError(`${file} is not a trust document`);
  return { body, bytes: envelope.body, sigs: envelope.sigs };
}

function init(args: CliArgs): number {
  const file = text(args, "out") ?? trustFile(args);
  if (existsSync(file)) throw new UsageError(`${file} is there already; choose another with --out`);
  const keys = list(args, "root").map(keyLine);
  if (keys.length === 0) throw new UsageError("at least one --root KEY.pub");
  const fleet = required(text(args, "fleet"), "--fleet");
  const threshold = Number(text(args, "threshold") ?? 1);
  const body = checked({ v: 1, fleet, epoch: 0, roots: { threshold, keys }, operators: [], roles: {}, revoked: [] });
  save(file, body, []);
  return told(
    args,
    file,
    `${file}: fleet ${fleet}, ${keys.length} root${keys.length > 1 ? "s" : ""}, threshold ${threshold}, not signed yet`,
    body,
  );
}

function told(args: CliArgs, file: string, line: string, body: object): number {
  if (args.json) print(jsonText({ ok: true, file, ...body }));
  else print(line);
  return EXIT.done;
}

function edit(args: CliArgs, change: (body: TrustBody) => { body: unknown; said: string }): number {
  const file = trustFile(args);
  const { body, said } = change(load(file).body);
  const next = checked(body);
  save(file, next, []);
  return told(
    args,
    file,
    `${said}\nThe document is changed and no longer signed: towpath trust sign --identity KEY`,
    next,
  );
}

function addOperator(args: CliArgs, body: TrustBody, name: string): { body: unknown; said: string } {
  const keys = list(args, "key").map(keyLine);
  const roles = list(args, "role");
  const before = body.operators.find((one) => one.name === name);
  if (before === undefined && keys.length === 0) throw new UsageError("at least one --key KEY.pub");
  for (const role of roles) {
    if (!Object.hasOwn(BUILT_IN_ROLES, role) && !Object.hasOwn(body.roles, role)) {
      throw new UsageError(
        `there is no role "${role}": ${[...Object.keys(BUILT_IN_ROLES), ...Object.keys(body.roles)].join(", ")}; add one with \`trust role\``,
      );
    }
  }
  const entry = {
    name,
    keys: [...new Set([...(before?.keys ?? []), ...keys])],
    roles: roles.length > 0 ? roles : (before?.roles ?? ["operator"]),
  };
  const operators = [...body.operators.filter((one) => one.name !== name), entry];
  return {
    body: { ...body, operators },
    said: `${name}: ${entry.roles.join(", ")}, ${entry.keys.length} key${entry.keys.length > 1 ? "s" : ""}`,
  };
}

function addRole(args: CliArgs, body: TrustBody, name: string): { body: unknown; said: string } {
  const verbs = required(text(args, "verbs"), "--verbs").split(",");
  const targets = required(text(args, "targets"), "--targets").split(",");
  return {
    body: { ...body, roles: { ...body.roles, [name]: { verbs, targets } } },
    said: `role ${name}: ${verbs.join(", ")} on ${targets.join(", ")}`,
  };
}

function revoke(body: TrustBody, who: string): { body: unknown; said: string } {
  const print = who.startsWith("SHA256:") ? who : null;
  const known = print === null ? body.operators.some((one) => one.name === who) : fingerprints(body).includes(print);
  if (!known)
    throw new UsageError(
      `nobody called ${who} is in the document: ${body.operators.map((one) => one.name).join(", ")}`,
    );
  return { body: { ...body, revoked: [...new Set([...body.revoked, who])] }, said: `revoked: ${who}` };
}

function fingerprints(body: TrustBody): string[] {
  const keys = [...body.roots.keys, ...body.operators.flatMap((one) => one.keys)];
  return keys.map((line) => fingerprintOf(keyBlob(line) ?? new Uint8Array()));
}

/** A changed document gets the next epoch; one that other roots signed already only gets one more signature. */
async function sign(args: CliArgs): Promise<number> {
  const sitesFile = text(args, "sites");
  if (sitesFile !== undefined && text(args, "trust") === undefined) return signSites(args, sitesFile);
  const file = trustFile(args);
  const { body, bytes, sigs } = load(file);
  const identities = identitiesOf(args);
  if (identities.length === 0) throw new UsageError("whose signature? --identity KEY");
  const fresh = sigs.length === 0;
  const next = fresh ? { ...body, epoch: body.epoch + 1 } : body;
  const message = fresh ? Buffer.from(JSON.stringify(next)) : bytes;
  const roots = next.roots.keys.map((line) => fingerprintOf(keyBlob(line) ?? new Uint8Array()));
  const all = [...sigs];
  for (const identity of identities) all.push(await signWith(identity, message, roots));
  const signers = new Set(all.map((blob) => verifySignature(message, blob, NAMESPACES.trust)?.fingerprint));
  const unique = [...signers]
    .map((print) => all.find((blob) => verifySignature(message, blob, NAMESPACES.trust)?.fingerprint === print))
    .filter((blob) => blob !== undefined);
  writeWhole(file, `${encodeEnvelope({ body: message, sigs: unique })}\n`);
  const missing = next.roots.threshold - unique.length;
  const more = missing > 0 ? `; ${missing} more root signature${missing > 1 ? "s" : ""} needed` : "";
  return told(
    args,
    file,
    `${file}: epoch ${next.epoch}, ${unique.length} of ${next.roots.threshold} signatures${more}`,
    { epoch: next.epoch, signatures: unique.length },
  );
}

async function signWith(identity: string, message: Uint8Array, roots: readonly string[] | null): Promise<Uint8Array> {
  try {
    const signer = opensshSigner(identity);
    if (roots !== null && !roots.includes(signer.fingerprint))
      throw new UsageError(`${identity} is no root of this document`);
    return await signer.sign(message, NAMESPACES.trust);
  } catch (error) {
    if (error instanceof SigningError) throw new UsageError(error.message);
    throw error;
  }
}

const sitesPath = (args: CliArgs): string => text(args, "sites") ?? process.env.TOWPATH_SITES ?? "sites.json";

function loadSitesBody(file: string): SitesBody {
  if (!existsSync(file)) return {};
  const envelope = decodeEnvelope(readFileSync(file, "utf8"));
  const parsed = envelope && sitesBodySchema.safeParse(parseJson(envelope.body));
  if (!parsed?.success) throw new UsageError(`${file} is not a list of sites`);
  return parsed.data;
}

async function site(args: CliArgs, name: string): Promise<number> {
  const file = sitesPath(args);
  const [key] = list(args, "key");
  const hostKey = text(args, "host-key");
  const entry = { key: keyLine(required(key, "--key")), ...(hostKey !== undefined && { hostKey: keyLine(hostKey) }) };
  const parsed = sitesBodySchema.safeParse({ ...loadSitesBody(file), [name]: entry });
  if (!parsed.success) throw new UsageError(`${name}: not a name`);
  const bytes = Buffer.from(JSON.stringify(parsed.data));
  const [identity] = identitiesOf(args);
  const sigs = identity === undefined ? [] : [await signWith(identity, bytes, null)];
  writeWhole(file, `${encodeEnvelope({ body: bytes, sigs })}\n`);
  const signed =
    sigs.length > 0
      ? "signed"
      : `not signed, so it counts for nothing yet: towpath trust sign --sites ${file} --identity KEY`;
  return told(args, file, `${file}: ${Object.keys(parsed.data).length} sites, ${signed}`, parsed.data);
}

async function signSites(args: CliArgs, file: string): Promise<number> {
  const bytes = Buffer.from(JSON.stringify(loadSitesBody(file)));
  const [identity] = identitiesOf(args);
  writeWhole(
    file,
    `${encodeEnvelope({ body: bytes, sigs: [await signWith(required(identity, "--identity"), bytes, null)] })}\n`,
  );
  return told(args, file, `${file}: signed`, {});
}

async function push(args: CliArgs, name: string): Promise<number> {
  const [identity] = list(args, "identity");
  const context = contextOf({ ...args, values: { ...args.values, identity } });
  if (context.trust === null) throw new UsageError("which document? --trust FILE");
  const client = await connectTo(context, name);
  try {
    // The roots' signatures decide; an operator's own is added where there is one.
    const who = await whoOf(context).catch(() => null);
    const reply = await pushTrust(client, who, context.trust.text);
    if (reply === null) throw silence(client, name);
    if (reply.phase !== "result") return tellRejected(args.json, reply);
    if (args.json) print(jsonText({ ok: true, ...reply }));
    else print(`${name} obeys epoch ${safe(String(reply.epoch))}`);
    return EXIT.done;
  } finally {
    await client.stop();
  }
}

function show(args: CliArgs): number {
  const file = trustFile(args);
  const { body, bytes, sigs } = load(file);
  const roots = body.roots.keys.map((line) => fingerprintOf(keyBlob(line) ?? new Uint8Array()));
  const signers = sigs.flatMap((blob) => verifySignature(bytes, blob, NAMESPACES.trust)?.fingerprint ?? []);
  const good = new Set(signers.filter((print) => roots.includes(print))).size;
  const valid = good >= body.roots.threshold;
  if (args.json) {
    print(jsonText({ ok: true, file, signed: valid, signatures: good, ...body }));
    return EXIT.done;
  }
  print(
    `${file}: fleet ${body.fleet}, epoch ${body.epoch}, ${valid ? paint("green", "signed") : paint("yellow", "not signed")} (${good} of ${body.roots.threshold})`,
  );
  for (const root of roots) print(`  root      ${root}${signers.includes(root) ? "  signed" : ""}`);
  for (const { name, keys, roles } of body.operators) {
    print(`  operator  ${name}: ${roles.join(", ")}${body.revoked.includes(name) ? paint("red", "  revoked") : ""}`);
    for (const line of keys) {
      const fingerprint = fingerprintOf(keyBlob(line) ?? new Uint8Array());
      print(`            ${fingerprint}${body.revoked.includes(fingerprint) ? paint("red", "  revoked") : ""}`);
    }
  }
  for (const [name, { verbs, targets }] of Object.entries(body.roles))
    print(`  role      ${name}: ${verbs.join(", ")} on ${targets.join(", ")}`);
  return EXIT.done;
}
