import { expandHosts } from "./hosts.ts";

/**
 * powerman's line protocol, the server's side, as its tools speak it (observed at powermand 2.3.27): a line in, lines with
 * a number out, the last of which ends the command, and a prompt.
 */

export type Power = "on" | "off" | "unknown";
export type Verb = "on" | "off" | "cycle";

/** What stands behind the protocol. */
export interface Rack {
  /** Every node, in order. */
  nodes(): readonly string[];
  status(nodes: readonly string[]): Promise<ReadonlyMap<string, Power>>;
  /** What went wrong, a line each; none: all is done. `tell` hears how it goes. */
  order(verb: Verb, nodes: readonly string[], tell: (text: string) => void): Promise<readonly string[]>;
  /** The sites behind the nodes, as powerman tells of its devices. */
  devices(): readonly { name: string; connected: boolean; orders: number; nodes: readonly string[] }[];
}

const PROMPT = "powerman> ";
const LONGEST_LINE = 8_192;
const NEWLINE = 0x0a;

const HELP = [
  "nodes              - query node list",
  "device [<nodes>]   - query the sites behind the nodes",
  "status [<nodes>]   - query power status",
  "on <nodes>         - power on",
  "off <nodes>        - power off",
  "cycle <nodes>      - power cycle",
  "telemetry          - toggle telemetry display",
  "exprange           - toggle host range expansion",
  "help               - display help",
  "quit               - logout",
];

/** What sites have no contact for. */
const CANNOT = ["reset", "temp", "beacon", "flash", "unflash"];

/** One client's conversation. Lines that come while one is answered are refused, as powermand does. */
export class Talk {
  private rest = Buffer.alloc(0);
  private tooLong = false;
  private busy = false;
  private ended = false;
  private noMore = false;
  private expand = false;
  private telemetry = false;
  private readonly rack: Rack;
  private readonly say: (text: string) => void;
  private readonly end: () => void;

  constructor(rack: Rack, say: (text: string) => void, end: () => void) {
    this.rack = rack;
    this.say = say;
    this.end = end;
  }

  greet(version: string): void {
    this.say(`001 towpath ${version}\r\n${PROMPT}`);
  }

  hear(bytes: Buffer): void {
    this.rest = Buffer.concat([this.rest, bytes]);
    for (let at = this.rest.indexOf(NEWLINE); at >= 0 && !this.ended; at = this.rest.indexOf(NEWLINE)) {
      const line = this.rest.subarray(0, at).toString("latin1").trim();
      this.rest = this.rest.subarray(at + 1);
      if (this.tooLong || at > LONGEST_LINE) this.answer(["203 Command too long"]);
      else void this.line(line);
      this.tooLong = false;
    }
    if (this.rest.length <= LONGEST_LINE) return;
    this.rest = Buffer.alloc(0);
    this.tooLong = true;
  }

  private answer(lines: readonly string[]): void {
    if (!this.ended) this.say(`${lines.map((line) => `${line}\r\n`).join("")}${PROMPT}`);
  }

  /** The other side says no more; what it asked for is still answered. */
  heardAll(): void {
    this.noMore = true;
    if (!this.busy) this.leave();
  }

  private leave(): void {
    this.ended = true;
    this.end();
  }

  private async line(line: string): Promise<void> {
    if (this.busy) return this.say("208 Command in progress\r\n");
    if (line === "") return this.answer([]);
    if (/^quit\b/.test(line)) {
      this.say("101 Goodbye\r\n");
      return this.leave();
    }
    this.busy = true;
    try {
      this.answer(await this.command(line));
    } catch (error) {
      this.answer([
        `308 ${oneLine(error instanceof Error ? error.message : String(error))}`,
        "210 Command completed with errors",
      ]);
    } finally {
      this.busy = false;
      if (this.noMore && !this.ended) this.leave();
    }
  }

  private async command(line: string): Promise<string[]> {
    const [word = "", ...rest] = line.split(/\s+/);
    const wanted = rest.join(",");
    switch (word) {
      case "help":
        return [...HELP.map((one) => `301 ${one}`), "103 Query complete"];
      case "nodes":
        return [...this.list("306", "307", this.rack.nodes()), "103 Query complete"];
      case "exprange":
        this.expand = !this.expand;
        return [`105 Hostrange expansion ${this.expand ? "ON" : "OFF"}`];
      case "telemetry":
        this.telemetry = !this.telemetry;
        return [`104 Telemetry ${this.telemetry ? "ON" : "OFF"}`];
      case "status":
        return this.named(wanted, (nodes) => this.status(nodes));
      case "device":
        return this.named(wanted, async (nodes) => this.devices(nodes));
      case "on":
      case "off":
      case "cycle":
        return wanted === "" ? ["201 Unknown command"] : this.named(wanted, (nodes) => this.order(word, nodes));
      default:
        return CANNOT.includes(word)
          ? ["213 Command cannot be handled by power control device(s)"]
          : ["201 Unknown command"];
    }
  }

  /** All nodes where none is named. */
  private async named(text: string, act: (nodes: readonly string[]) => Promise<string[]>): Promise<string[]> {
    const all = this.rack.nodes();
    if (text === "") return act(all);
    const nodes = expandHosts(text);
    if (nodes === null) return [`205 Hostlist error: ${oneLine(text)}`];
    const missing = nodes.filter((node) => !all.includes(node));
    return missing.length > 0 ? [`209 No such nodes: ${oneLine(missing.join(","))}`] : act([...new Set(nodes)]);
  }

  private list(whole: string, each: string, nodes: readonly string[]): string[] {
    return this.expand ? nodes.map((node) => `${each} ${node}`) : [`${whole} ${nodes.join(",")}`];
  }

  private async status(nodes: readonly string[]): Promise<string[]> {
    const found = await this.rack.status(nodes);
    const powerOf = (node: string): Power => found.get(node) ?? "unknown";
    const as = (power: Power) => nodes.filter((node) => powerOf(node) === power).join(",");
    const lines = this.expand
      ? nodes.map((node) => `303 ${node}: ${powerOf(node)}`)
      : [`302 on:      ${as("on")}`, `302 off:     ${as("off")}`, `302 unknown: ${as("unknown")}`];
    return [...lines, "103 Query complete"];
  }

  private async order(verb: Verb, nodes: readonly string[]): Promise<string[]> {
    const tell = (text: string) => this.telemetry && !this.ended && this.say(`305 ${oneLine(text)}\r\n`);
    const wrong = await this.rack.order(verb, nodes, tell);
    return wrong.length === 0
      ? ["102 Command completed successfully"]
      : [...wrong.map((line) => `308 ${oneLine(line)}`), "210 Command completed with errors"];
  }

  private devices(nodes: readonly string[]): string[] {
    const lines = this.rack
      .devices()
      .filter((one) => one.nodes.some((node) => nodes.includes(node)))
      .map(
        ({ name, connected, orders, nodes: hosts }) =>
          `304 ${name}: state=${connected ? "connected" : "disconnected"} reconnects=000 actions=${String(orders).padStart(3, "0")} type=towpath hosts=${hosts.join(",")}`,
      );
    return [...lines, "103 Query complete"];
  }
}

/** What others wrote must not begin a line of ours. */
function oneLine(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/g, " ");
}
