import { formatDuration } from "../../core/duration.ts";
import { asRecord } from "../client.ts";
import { paint, safe } from "./out.ts";

type Json = Readonly<Record<string, unknown>>;

const TROUBLES: Readonly<Record<string, readonly [what: string, todo: string]>> = {
  unmanaged: ["nobody can be asked", "`towpath doctor` on site; systemctl status ModemManager"],
  missing: ["the modem is not there", "Look at its power, its cable and its IMEI in site.yaml."],
  "sim-locked": [
    "the SIM asks for its PIN; it is never tried",
    "Unlock it once: mmcli -i 0 --pin=…, then --disable-pin.",
  ],
  "sim-missing": ["there is no SIM", "Put one in; look at its contacts."],
  failed: ["the modem failed", "The ladder tries what it can; then it is a job for hands."],
  denied: ["the network denies it", "Ask the carrier: SIM barred, wrong network, or not paid."],
  searching: ["it finds no network", "Look at the antenna and its cable."],
  "no-bearer": ["it is registered and not connected", "Look at NetworkManager's connection and its APN."],
  "no-link": ["it is connected and the broker is not reached", "`towpath status` says what of the path is dark."],
};

/** `modem ok Quectel EC25 on Testnet, lte, rsrp -95 …`, and what is being done where it is not. */
export function modemLines(modem: Json, monoMs: number): string[] {
  if (modem.trouble === null) return [`modem ${paint("yellow", "nothing heard of it yet")}`];
  const trouble = TROUBLES[String(modem.trouble)];
  const said = [modem.model, modem.operator, ...list(modem.technology), signalText(asRecord(modem.signal))];
  const known = said.filter((one) => typeof one === "string" && one !== "").map((one) => safe(String(one)));
  if (trouble === undefined) {
    const weak = modem.alarm === true ? `  ${paint("red", "ALARM")} weak for a quarter of an hour` : "";
    return [`modem ${paint("green", "ok")}: ${known.join(", ")}${weak}`];
  }
  const since = formatDuration(Math.max(0, monoMs - Number(modem.sinceMs)));
  const reason = typeof modem.reason === "string" ? ` (${safe(modem.reason)})` : "";
  return [
    `modem ${paint("red", trouble[0])}${reason} for ${since}${known.length > 0 ? `: ${known.join(", ")}` : ""}`,
    `  → ${trouble[1]}`,
    ...ladderLine(asRecord(modem.ladder), monoMs),
  ];
}

function ladderLine(ladder: Json | null, monoMs: number): string[] {
  if (ladder === null || typeof ladder.next !== "string") return [];
  const last =
    typeof ladder.last === "string"
      ? `last ${safe(ladder.last)} ${ago(ladder.lastMs, monoMs)} ago, `
      : "nothing done yet, ";
  return [
    `  by itself: ${last}next ${safe(ladder.next)} in ${formatDuration(Math.max(0, Number(ladder.nextMs) - monoMs))}`,
  ];
}

function ago(atMs: unknown, monoMs: number): string {
  return formatDuration(Math.max(0, monoMs - Number(atMs)));
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function signalText(signal: Json | null): string {
  const names = ["rsrp", "rsrq", "snr", "rssi"] as const;
  return names.flatMap((name) => (typeof signal?.[name] === "number" ? [`${name} ${signal[name]}`] : [])).join(" ");
}
