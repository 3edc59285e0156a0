import { createHash } from "node:crypto";
import type { NetUplinks } from "../../src/config/uplinks.ts";
import { addressesOf, FIXED, LTE_TABLE } from "../../src/uplink/addresses.ts";
import { ipJson, type Memory, run, setSysctl } from "./machine.ts";
import { isRule, nftText, ruleWords, wantedRules } from "./wanted.ts";

/** Makes the machine as `wanted.ts` says, and tells what was not so. Done twice it does nothing the second time. */

export function applyUplinks({ primary, lte }: NetUplinks, uid: number, memory: Memory): string[] {
  if (primary !== null) quickNeighbours(primary.interface);
  if (lte === null) return [];
  const sources = lte.source === "fixed" ? [FIXED.v4, FIXED.v6] : addressesOf(lte.interface);
  return [
    ...(lte.source === "fixed" ? fixedAddresses() : []),
    ...rules(sources),
    ...route(lte, memory),
    ...(lte.source === "fixed" ? filter(lte.interface, uid, memory) : []),
    ...stillSysctls(lte.interface),
  ];
}

function fixedAddresses(): string[] {
  const there = ipJson(["addr", "show", "dev", "lo"]).flatMap((one) =>
    Array.isArray(one.addr_info) ? one.addr_info.map(({ local }) => String(local)) : [],
  );
  return [`${FIXED.v4}/32`, `${FIXED.v6}/128`].flatMap((address) => {
    if (there.includes(address.split("/")[0] ?? "")) return [];
    if (address.includes(":") && !hasIpv6()) return [];
    run("ip", ["addr", "add", address, "dev", "lo"]);
    return [`address ${address}`];
  });
}

/** A kernel without IPv6 has no rules of it either. */
function hasIpv6(): boolean {
  try {
    return ipJson(["-6", "rule"]).length > 0;
  } catch {
    return false;
  }
}

function rules(sources: readonly string[]): string[] {
  const wanted = wantedRules(sources);
  const families = hasIpv6() ? ([4, 6] as const) : ([4] as const);
  return families.flatMap((family) => {
    const lines = ipJson([`-${family}`, "rule"]);
    const ours = wanted.filter((rule) => rule.family === family);
    const prefs = wantedRules(["x"]).map(({ pref }) => pref);
    const stale = lines.filter(
      (line) => prefs.includes(Number(line.priority)) && !ours.some((rule) => isRule(line, rule)),
    );
    for (const line of stale) run("ip", [`-${family}`, "rule", "del", "pref", String(line.priority), ...from(line)]);
    const missing = ours.filter((rule) => !lines.some((line) => isRule(line, rule)));
    for (const rule of missing) run("ip", [`-${family}`, "rule", "add", ...ruleWords(rule)]);
    return [
      ...stale.map((line) => `a rule that is not ours at ${line.priority}`),
      ...missing.map((rule) => `rule ${ruleWords(rule).join(" ")}`),
    ];
  });
}

function from(line: Readonly<Record<string, unknown>>): string[] {
  return typeof line.src === "string" && line.src !== "all" ? ["from", line.src] : [];
}

/**
 * NetworkManager keeps the table (`towpath-lte.nmconnection`). What was there is remembered and put back when somebody
 * took it away; where nobody ever made one, the machine's own route over LTE is the pattern.
 */
function route({ interface: device }: NonNullable<NetUplinks["lte"]>, memory: Memory): string[] {
  return (hasIpv6() ? ([4, 6] as const) : ([4] as const)).flatMap((family) => {
    const name = `route-${family}-${createHash("sha256").update(device).digest("hex").slice(0, 8)}`;
    const defaults = (table: string) =>
      ipJson([`-${family}`, "route", "show", "table", table, "default"]).filter((one) => one.dev === device);
    // A table that nobody has used yet is an error to `ip`, in some versions.
    const [there] = quiet(() => defaults(String(LTE_TABLE)));
    if (there !== undefined) {
      memory.set(name, routeWords(there).join(" "));
      return [];
    }
    if (addressesOf(device).every((one) => one.includes(":") !== (family === 6))) return [];
    const [own] = quiet(() => defaults("main"));
    const words = own === undefined ? memory.get(name)?.split(" ") : routeWords(own);
    if (words === undefined) return [];
    run("ip", [`-${family}`, "route", "replace", "default", ...words, "table", String(LTE_TABLE)]);
    return [`route default ${words.join(" ")} in table ${LTE_TABLE}`];
  });
}

function quiet<T>(ask: () => T[]): T[] {
  try {
    return ask();
  } catch {
    return [];
  }
}

function routeWords({ gateway, dev }: Readonly<Record<string, unknown>>): string[] {
  return [...(gateway === undefined ? [] : ["via", String(gateway)]), "dev", String(dev)];
}

/** What nftables prints of our table is compared with what it printed after we made it. */
function filter(device: string, uid: number, memory: Memory): string[] {
  const text = nftText(device, uid);
  const printed = () => withoutElements(run("nft", ["list", "table", "inet", "towpath"]));
  const [there] = quiet(() => [printed()]);
  const wanted = createHash("sha256").update(text).digest("hex");
  if (there !== undefined && memory.get("nft") === `${wanted} ${sha256(there)}`) return [];
  run("nft", ["-f", "-"], `table inet towpath\ndelete table inet towpath\n${text}`);
  memory.set("nft", `${wanted} ${sha256(printed())}`);
  return [there === undefined ? "table inet towpath" : "changed lines in table inet towpath"];
}

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");

function withoutElements(text: string): string {
  return text.replace(/\n\s*elements = \{[^}]*\}/g, "");
}

/** No forwarding by the interface, whatever the machine does elsewhere; no tentative state that delays our address. */
function stillSysctls(device: string): string[] {
  return [`ipv4/conf/${device}/forwarding`, `ipv6/conf/${device}/forwarding`]
    .filter((path) => setSysctl(path, "0"))
    .map((path) => `sysctl net/${path} = 0`);
}

/** The kernel asks a gateway again after some seconds of silence and not after a minute: that is how it is found dead. */
function quickNeighbours(device: string): void {
  for (const family of ["ipv4", "ipv6"]) {
    setSysctl(`${family}/neigh/${device}/base_reachable_time_ms`, "3000");
    setSysctl(`${family}/neigh/${device}/delay_first_probe_time`, "1");
    setSysctl(`${family}/neigh/${device}/retrans_time_ms`, "500");
  }
}
