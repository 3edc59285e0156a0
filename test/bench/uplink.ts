import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { sleep } from "../../src/operator/client.ts";
import { makeCertificates } from "../certificates.ts";
import { type Outcome, rounded } from "./report.ts";
import { end, freePort, installed, ROOT, type Scratch, until, withScratch } from "./scratch.ts";
import { cycleCost } from "./uplink-command.ts";
import { BROKER_ADDRESS, makeWire, SITE_ADDRESS, since, type Wire } from "./wire-net.ts";

/** What standing by on LTE costs, in bytes at IP level, both ways and all included; beside ssh with keepalives. */

const TIMES = 10;
const KEEPALIVE_S = 230;
const DAY_S = 86_400;
const GOAL_OVER_FLOOR = 1.25;
const MARKS = ["begin", "full", "resumed", "alias", "telemetry", "ping"] as const;

interface Costs {
  readonly full: number;
  readonly resumed: number;
  readonly telemetry: number;
  readonly ping: number;
  readonly cycle: number;
}

async function overTowpath(scratch: Scratch, wire: Wire, mosquitto: string): Promise<Costs> {
  const certificates = makeCertificates(scratch.folder, BROKER_ADDRESS);
  const { server, site, ca } = certificates;
  const port = await freePort();
  const file = join(scratch.folder, "mosquitto.conf");
  writeFileSync(
    file,
    `user root\nlistener ${port} ${BROKER_ADDRESS}\nallow_anonymous true\nset_tcp_nodelay true\n` +
      `cafile ${ca}\ncertfile ${server.cert}\nkeyfile ${server.key}\nrequire_certificate true\n`,
  );
  const broker = scratch.start(mosquitto, ["-c", file]);
  await until("the broker", () => /running/.test(broker.log()), broker);
  const address = `mqtts://${BROKER_ADDRESS}:${port}`;
  const [first = "", ...rest] = [...wire.atSite, "node", join(ROOT, "test/run.mjs"), "./bench/uplink-site.ts"];
  const program = scratch.start(first, [...rest, address, ca, site.cert, site.key]);
  const counts: number[] = [];
  for (const name of MARKS) {
    await until(`mark ${name}`, () => program.log().includes(`mark ${name}\n`), program, 10, 60_000);
    counts.push(wire.count().ipBytes);
  }
  await end(program);
  const cycle = (await cycleCost(scratch, wire, address, certificates)).ipBytes;
  await end(broker);
  const between = (name: (typeof MARKS)[number], times = 1): number => {
    const at = MARKS.indexOf(name);
    return Math.round(((counts[at] ?? 0) - (counts[at - 1] ?? 0)) / times);
  };
  return {
    full: between("full"),
    resumed: between("resumed"),
    telemetry: between("telemetry", TIMES),
    ping: between("ping", TIMES),
    cycle,
  };
}

/** One `ServerAliveInterval` of an idle ssh; null where no sshd runs. */
async function overSsh(scratch: Scratch, wire: Wire): Promise<number | null> {
  const sshd = installed("sshd");
  if (sshd === null) return null;
  const file = (name: string) => join(scratch.folder, name);
  for (const name of ["host", "user"]) execFileSync("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-f", file(name)]);
  const settings = [
    `Port 2222\nListenAddress ${SITE_ADDRESS}\nHostKey ${file("host")}\nPidFile none\nUsePAM no\nStrictModes no`,
    `AuthorizedKeysFile ${file("user.pub")}\nPermitRootLogin yes\nPasswordAuthentication no\n`,
  ];
  writeFileSync(file("sshd.conf"), settings.join("\n"));
  mkdirSync("/run/sshd", { recursive: true });
  const [first = "", ...rest] = [...wire.atSite, sshd, "-D", "-e", "-f", file("sshd.conf")];
  const daemon = scratch.start(first, rest);
  const began = await until("sshd", () => /listening/.test(daemon.log()), daemon).then(
    () => true,
    () => false,
  );
  if (!began) return null;
  const no = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes"];
  const alive = ["-o", "ServerAliveInterval=1", "-F", "none", "-p", "2222", "-i", file("user"), ...no];
  const client = spawn("ssh", [...alive, `root@${SITE_ADDRESS}`, "echo there; exec sleep 60"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  let heard = "";
  client.stdout.on("data", (bytes: Buffer) => {
    heard += bytes.toString();
  });
  try {
    await until("ssh", () => heard.includes("there"), daemon);
    await sleep(2_500);
    const before = wire.count();
    await sleep(TIMES * 1_000);
    const { ipBytes, packets } = since(before, wire.count());
    // Three packets each: the question, the answer, its acknowledgement.
    return packets === 0 ? null : Math.round(ipBytes / (packets / 3));
  } finally {
    client.kill("SIGKILL");
    await end(daemon);
  }
}

export function benchUplink(): Promise<Outcome> {
  return withScratch(async (scratch) => {
    const mosquitto = installed("mosquitto");
    const wire = mosquitto === null ? null : makeWire();
    if (mosquitto === null || wire === null) {
      const goals = [{ what: "nothing was measured: it takes root, the command ip and mosquitto", met: false }];
      return { ok: true, table: { head: [], rows: [] }, notes: [], goals, figures: {} };
    }
    try {
      return outcomeOf(await overTowpath(scratch, wire, mosquitto), await overSsh(scratch, wire));
    } finally {
      wire.end();
    }
  });
}

function outcomeOf(costs: Costs, ssh: number | null): Outcome {
  const cycles = DAY_S / KEEPALIVE_S;
  const floor = Math.round(cycles * costs.ping);
  // A message that is acknowledged is as good as a ping, and puts the next one off.
  const idle = Math.round((cycles - 24) * costs.ping + 24 * costs.telemetry + costs.resumed);
  const rows = [
    ["ping and answer", String(costs.ping)],
    ["telemetry, topic by its number", String(costs.telemetry)],
    ["connect, full handshake", String(costs.full)],
    ["connect, resumed", String(costs.resumed)],
    ["a power cycle, from select to result", String(costs.cycle)],
    [`a day of pings each ${KEEPALIVE_S} s`, String(floor)],
    ["a day idle: pings, hourly telemetry, one reconnect", String(idle)],
    ["ssh, one keepalive", ssh === null ? "no sshd" : String(ssh)],
    [`ssh, a day of keepalives each ${KEEPALIVE_S} s`, ssh === null ? "no sshd" : String(Math.round(cycles * ssh))],
  ];
  const ratio = idle / floor;
  return {
    ok: true,
    table: { head: ["on LTE", "IP bytes"], rows },
    notes: [
      "IPv4, TLS with client certificates (ECDSA P-256) through mosquitto, both directions, all acknowledgements.",
      "A power cycle includes both signed commands, four signed answers, the records and each change of the state.",
      "A connect includes presence and subscription, and not the state that a site tells then: 2 to 6 KB by its size.",
    ],
    goals: [
      {
        what: `a day idle: up to ${GOAL_OVER_FLOOR} × the keepalive floor (${floor}): ${rounded(ratio, 2)} (${idle})`,
        met: ratio <= GOAL_OVER_FLOOR,
      },
    ],
    figures: { ...costs, floorPerDay: floor, idlePerDay: idle, sshKeepalive: ssh, ofFloor: rounded(ratio) },
  };
}
