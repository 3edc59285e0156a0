import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import mqtt from "mqtt";
import { describe, expect, it, onTestFinished } from "vitest";
import { unarmour } from "../../src/access/sshsig.ts";
import { ulid } from "../../src/operator/ulid.ts";
import { decodeEnvelope, encodeEnvelope } from "../../src/protocol/envelope.ts";
import { siteRoot } from "../../src/protocol/topics.ts";
import { makeKey, makeSite, startBrokeredSite, startController, temporaryFolder, towpath, until } from "./world.ts";

/** A hostile client at a real broker, with a program of its own: nothing of Towpath's sends these messages. */

const ROOT = siteRoot("acme", "one");

interface Reply {
  readonly id: string;
  readonly phase: string;
  readonly code?: string;
  readonly nonce?: string;
}

async function hostile(port: number) {
  const client = await mqtt.connectAsync(`mqtt://127.0.0.1:${port}`, { clientId: "hostile", protocolVersion: 5 });
  onTestFinished(() => client.endAsync(true));
  const replies: Reply[] = [];
  client.on("message", (_, payload) => {
    const envelope = decodeEnvelope(payload.toString());
    if (envelope) replies.push(JSON.parse(Buffer.from(envelope.body).toString()));
  });
  await client.subscribeAsync(`${ROOT}/up/reply`);
  const send = (payload: string | Buffer, retain = false, topic = `${ROOT}/dn/command`) =>
    client.publishAsync(topic, payload, { qos: 1, retain });
  const answer = async (
    id: string,
    phases: readonly string[] = ["selected", "accepted", "result", "rejected"],
  ): Promise<Reply> => {
    await until(() => replies.some((one) => one.id === id && phases.includes(one.phase)), 5_000);
    return replies.find((one) => one.id === id && phases.includes(one.phase)) as Reply;
  };
  return { send, answer, replies };
}

function signed(body: object, key: string, namespace = "towpath-command"): string {
  const bytes = Buffer.from(JSON.stringify(body));
  const armoured = execFileSync("ssh-keygen", ["-Y", "sign", "-q", "-f", key, "-n", namespace], {
    input: bytes,
    stdio: "pipe",
  }).toString();
  return encodeEnvelope({ body: bytes, sigs: [unarmour(armoured) ?? new Uint8Array()] });
}

describe("bad input at a real broker", () => {
  it("gets a clear answer or is counted, moves nothing, and the controller stays up", async () => {
    const site = await startBrokeredSite();
    const { controller, flags, folder, port } = site;
    const stranger = makeKey(folder, "stranger");
    const { send, answer } = await hostile(port);
    const base = { v: 1, site: "acme/one", by: "alice", epoch: 1 };
    const ask = async (
      body: Record<string, unknown>,
      key = site.identity,
      more: { retain?: boolean; namespace?: string; bend?: boolean } = {},
    ) => {
      const id = ulid();
      let message = signed({ ...base, id, ...body }, key, more.namespace);
      if (more.bend) message = message.replace(/"body":"(.{40})./, (_, kept: string) => `"body":"${kept}A`);
      await send(message, more.retain ?? false);
      return more.bend ? null : answer(id);
    };
    const select = (target = "nas1", key = site.identity, by = "alice") =>
      ask({ kind: "select", verb: "on", target, by }, key);

    expect(await select("nas1", stranger)).toMatchObject({ phase: "rejected", code: "signature.unknown-key" });
    expect(await select("nas1", join(folder, "vera"))).toMatchObject({ code: "operator.mismatch" });
    expect(await select("nas1", join(folder, "vera"), "vera")).toMatchObject({ code: "role.denied" });
    expect(await select("nosuch")).toMatchObject({ code: "target.unknown" });
    expect(
      await ask({ kind: "select", verb: "on", target: "nas1" }, site.identity, { namespace: "towpath-trust" }),
    ).toMatchObject({ code: "signature.invalid" });
    expect(await ask({ kind: "select", verb: "on", target: "nas1", site: "acme/two" })).toMatchObject({
      code: "message.wrong-site",
    });
    expect(await ask({ kind: "select", verb: "toggle", target: "nas1" })).toMatchObject({
      code: "command.unsupported",
    });
    expect(await ask({ kind: "select", verb: "on", target: "nas1" }, site.identity, { retain: true })).toMatchObject({
      code: "message.retained",
    });
    expect(await ask({ kind: "operate", nonce: "0".repeat(32) })).toMatchObject({ code: "nonce.unknown" });
    expect(site.edges()).toEqual([]);

    const { nonce } = (await select()) as Reply;
    const operateId = ulid();
    const operate = signed({ ...base, id: operateId, kind: "operate", nonce }, site.identity);
    await send(operate);
    expect(await answer(operateId, ["result"])).toMatchObject({ phase: "result", verdict: "commanded" });
    const moved = site.edges().length;
    expect(moved).toBe(1);
    for (let count = 0; count < 5; count++) await send(operate);
    await send(operate, true);
    expect(await ask({ kind: "operate", nonce })).toMatchObject({ code: "nonce.used" });

    for (const junk of ["", "{", "null", "[]", '{"body":"","sigs":[]}', Buffer.from([0, 255, 254]), "x".repeat(50_000)])
      await send(junk);
    await ask({ kind: "select", verb: "on", target: "nas1" }, site.identity, { bend: true });
    await send("{}", false, `${ROOT}/dn/nothing`);
    await send(Buffer.alloc(1_500_000, "z"));
    await send("", true);
    expect(await select()).toMatchObject({ phase: "selected" });
    expect(site.edges()).toHaveLength(moved);
    expect(controller.child.exitCode).toBeNull();

    const events = await towpath(["events", "one", "--all", "--json", ...flags]);
    const { events: records } = JSON.parse(events.out) as {
      events: { kind: string; code?: string; counts?: Record<string, number> }[];
    };
    expect(records.filter(({ kind }) => kind === "refused").map(({ code }) => code)).toEqual(
      expect.arrayContaining(["role.denied", "target.unknown"]),
    );
    expect(Object.keys(Object.assign({}, ...records.map(({ counts }) => counts ?? {}))).length).toBeGreaterThan(0);
    // The rest of the counts is told after a minute.
    await until(
      async () => (await towpath(["events", "one", "--all", "--json", ...flags])).out.includes("message.oversized"),
      90_000,
    );
  });

  it("a revoked operator is refused from the moment the site has the new trust", async () => {
    const folder = temporaryFolder();
    const site = await makeSite(folder);
    const controller = await startController(site.config);
    const flags = ["--local", join(site.data, "towpath.sock"), "--identity", site.identity];
    expect((await towpath(["power", "on", "one/nas1", "--yes", ...flags, "--trust", site.trust])).code).toBe(0);
    const old = join(folder, "old-trust.json");
    writeFileSync(old, await import("node:fs").then(({ readFileSync }) => readFileSync(site.trust)));
    await towpath(["trust", "revoke", "alice", "--trust", site.trust]);
    await towpath(["trust", "sign", "--trust", site.trust, "--identity", join(folder, "root")]);
    const pushed = await towpath([
      "trust",
      "push",
      "one",
      "--local",
      join(site.data, "towpath.sock"),
      "--trust",
      site.trust,
    ]);
    expect(pushed.out, pushed.err).toContain("epoch 2");
    const refused = await towpath(["power", "off", "one/nas1", "--yes", ...flags, "--trust", old]);
    expect(refused).toMatchObject({ code: 3 });
    expect(refused.err).toContain("operator.revoked");
    const lower = await towpath(["trust", "push", "one", "--local", join(site.data, "towpath.sock"), "--trust", old]);
    expect(lower).toMatchObject({ code: 3 });
    expect(lower.err).toContain("trust.lower");
    controller.child.kill("SIGKILL");
    await controller.ended;
    // The configured file is the newer one by now; make it the old one again: the stored document still rules.
    writeFileSync(site.trust, await import("node:fs").then(({ readFileSync }) => readFileSync(old)));
    await startController(site.config);
    expect((await towpath(["power", "off", "one/nas1", "--yes", ...flags, "--trust", old])).err).toContain(
      "operator.revoked",
    );
  });
});
