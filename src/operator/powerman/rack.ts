import { explain } from "../../core/codes.ts";
import type { ShownPreview } from "../answers.ts";
import { asRecord, type Client, type SiteReply } from "../client.ts";
import { type Ended, freshen, newId, type Order, operate, select } from "../switching.ts";
import type { LoadedTrust, Who } from "../who.ts";
import type { Power, Rack, Verb } from "./talk.ts";

/** Sites as powerman sees them: each device with outlets is a node. */

export interface RackOptions {
  readonly clients: readonly Client[];
  readonly who: Who;
  readonly trust: LoadedTrust | null;
  /** Goes ahead where a person would be asked to type a name: others lose power too, or the way to the site does. */
  readonly yes: boolean;
  /** How old an answer may be that is told again: some tools ask for each node by itself, every 2 s. */
  readonly maxAgeMs: number;
  readonly monoMs: () => number;
}

interface Node {
  readonly client: Client;
  readonly device: string;
}

const STATUS_MS = 10_000;

export function createRack(options: RackOptions): Rack {
  const { clients } = options;
  const orders = new Map<Client, number>();
  const alive = new Map<Client, boolean>();
  const asked = new Map<Client, { atMs: number; answer: Promise<Map<string, Power> | null> }>();

  const powerOfSite = (client: Client): Promise<Map<string, Power> | null> => {
    const last = asked.get(client);
    if (last !== undefined && options.monoMs() - last.atMs < options.maxAgeMs) return last.answer;
    const answer = freshPower(client, options.who);
    asked.set(client, { atMs: options.monoMs(), answer });
    void answer.then((power) => alive.set(client, power !== null));
    return answer;
  };

  const nodes = (): Map<string, Node> =>
    new Map(
      clients.flatMap((client) =>
        devicesOf(client.state()?.body.devices).map(([device]): [string, Node] => [
          // Device names of two sites may be the same; of one there is nothing to tell apart.
          clients.length === 1 ? device : `${device}.${client.site}`,
          { client, device },
        ]),
      ),
    );

  const bySite = (wanted: readonly string[]): [Client, [string, string][]][] => {
    const all = nodes();
    return clients.flatMap((client): [Client, [string, string][]][] => {
      const here = wanted.flatMap((node): [string, string][] => {
        const found = all.get(node);
        return found?.client === client ? [[node, found.device]] : [];
      });
      return here.length === 0 ? [] : [[client, here]];
    });
  };

  return {
    nodes: () => [...nodes().keys()],
    devices: () =>
      clients.map((client) => ({
        name: client.site,
        connected: alive.get(client) ?? true,
        orders: orders.get(client) ?? 0,
        nodes: [...nodes()].flatMap(([name, node]) => (node.client === client ? [name] : [])),
      })),
    async status(wanted) {
      const found = await Promise.all(
        bySite(wanted).map(async ([client, here]) => {
          const power = await powerOfSite(client);
          return here.map(([node, device]): [string, Power] => [node, power?.get(device) ?? "unknown"]);
        }),
      );
      return new Map(found.flat());
    },
    async order(verb, wanted, tell) {
      const wrong = await Promise.all(
        bySite(wanted).map(async ([client, here]) => {
          orders.set(client, (orders.get(client) ?? 0) + 1);
          const wrong = await orderSite(options, client, verb, here, (text) => tell(`${client.site}: ${text}`));
          asked.delete(client);
          return wrong;
        }),
      );
      return wrong.flat();
    },
  };
}

/** Devices that have power to switch. */
function devicesOf(value: unknown): [string, Record<string, unknown>][] {
  return Object.entries(asRecord(value) ?? {}).flatMap(([name, item]): [string, Record<string, unknown>][] => {
    const device = asRecord(item);
    return device !== null && device.power !== "none" ? [[name, device]] : [];
  });
}

/** Asked for now and signed, never from what a broker kept. Null: no answer. */
async function freshPower(client: Client, who: Who): Promise<Map<string, Power> | null> {
  const reply = await client.send({ kind: "status" }, { who, timeoutMs: STATUS_MS }).catch(() => null);
  const state = asRecord(reply?.state);
  if (state === null) return null;
  const outlets = asRecord(state.outlets) ?? {};
  return new Map(devicesOf(state.devices).map(([name, device]) => [name, powerOf(device, outlets)]));
}

/** A fact that somebody observed and that disagrees makes it unknown: a fencing program must not take it for off. */
function powerOf(device: Readonly<Record<string, unknown>>, outlets: Readonly<Record<string, unknown>>): Power {
  if (device.power !== "on" && device.power !== "off") return "unknown";
  const names = Array.isArray(device.outlets) ? device.outlets : [];
  const observed = names.map((name) => asRecord(asRecord(outlets[String(name)])?.observed)?.value ?? "unknown");
  return observed.some((value) => value !== "unknown" && value !== device.power) ? "unknown" : device.power;
}

/** One command for all of a site's devices: all of them, or none. */
async function orderSite(
  { who, trust, yes }: RackOptions,
  client: Client,
  verb: Verb,
  here: readonly [string, string][],
  tell: (text: string) => void,
): Promise<string[]> {
  const names = here.map(([node]) => node).join(",");
  const order: Order = {
    verb,
    target: here.map(([, device]) => device).join(","),
    // Who asks through these tools cannot say more, and expects that a cycle ends on.
    args: { reason: "powerman", ...(verb === "cycle" && { from: "any" }) },
  };
  const chosen = await select(client, who, trust, order).catch((error: unknown) => String(error));
  if (typeof chosen === "string") return [`${names}: ${chosen}`];
  if (!chosen.ok) return [`${names}: ${refusalText(chosen.reply)}`];
  const { preview } = chosen.selected;
  if (preview.refusal !== null) return [`${names}: ${preview.refusal.detail} (${preview.refusal.code})`];
  const doubt = yes ? null : wouldBeAsked(preview);
  if (doubt !== null) return [`${names}: ${doubt}`];
  const fresh = await freshen(client, who, trust, order, chosen.selected);
  if (fresh === null || !fresh.ok) return [`${names}: it changed meanwhile; ask again`];
  const id = newId();
  tell(`${verb} ${order.target} is ${id}`);
  const ended = await operate(client, who, order, fresh.selected, {
    id,
    signal: new AbortController().signal,
    onSent: () => undefined,
    onReply: (reply) => tell(`${reply.phase}${reply.verdict === undefined ? "" : ` ${String(reply.verdict)}`}`),
  }).catch((error: unknown): Ended => ({ how: "answered", reply: { id, phase: "rejected", detail: String(error) } }));
  const wrong = verdictText(client.site, id, ended);
  return wrong === null ? [] : [`${names}: ${wrong}`];
}

/** What a person at a terminal would have to type a name for. */
function wouldBeAsked(preview: ShownPreview): string | null {
  const cuts = preview.loses.length > 0 || preview.moves.some((move) => "power" in move && move.power === "off");
  if (!cuts) return null;
  const others = preview.loses.filter((device) => !preview.named.includes(device));
  const why =
    others.length > 0
      ? `${others.join(", ")} would lose power too`
      : {
          none: null,
          controller: "it feeds the site's controller",
          path: "it feeds the way to the site",
          undeclared: "the site's config does not say what feeds its controller (`controller:`)",
        }[preview.ownBranch];
  return why === null ? null : `${why}; use towpath power, or start the gateway with --yes`;
}

function refusalText(reply: SiteReply | null): string {
  if (reply === null) return "the site does not answer, and nothing was switched";
  const code = String(reply.code ?? "");
  return `${reply.detail ?? explain(code)} (${code})`;
}

/** Null when it is done. */
function verdictText(site: string, id: string, ended: Ended): string | null {
  if (ended.how === "unknown") return `outcome unknown; ask: towpath power outcome ${site} ${id}`;
  const { reply } = ended;
  if (reply.phase === "rejected") return refusalText(reply);
  if (reply.verdict !== "failed" && reply.verdict !== "interrupted") return null;
  const failures = Array.isArray(reply.failures) ? reply.failures.map(asRecord) : [];
  const facts = failures.map((one) => `${one?.outlet}: ${one?.detail}`);
  return `${reply.verdict}: ${[...facts, String(reply.code ?? "")].join("; ")}`;
}
