import { generateKeyPairSync } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { signEd25519, verifySignature } from "../../src/access/sshsig.ts";
import { encodeAck } from "../../src/protocol/ack.ts";
import { encodeEnvelope, NAMESPACES } from "../../src/protocol/envelope.ts";
import { siteRoot } from "../../src/protocol/topics.ts";
import { receive } from "../../src/site/inbox.ts";
import { bent } from "../bent.ts";

const ROOT = siteRoot("acme", "one");
const INBOX = { commandTopic: `${ROOT}/dn/command`, ackTopic: `${ROOT}/dn/ack` };
const KEYS = {
  verify: (body: Uint8Array, signature: Uint8Array, namespace: string) =>
    verifySignature(body, signature, namespace)?.fingerprint ?? null,
};
const { privateKey } = generateKeyPairSync("ed25519");
const ACK = { receiver: "vault", tracks: [{ boot: 7, track: "router1/rx", ranges: [[0, 10]] as const }] };

const signed = (body: Uint8Array, namespace: string = NAMESPACES.collect) =>
  Buffer.from(encodeEnvelope({ body, sigs: [signEd25519(privateKey, body, namespace)] }));

function arrive(payload: Uint8Array, more: { topic?: string; retained?: boolean; oversized?: boolean } = {}) {
  return receive({ via: "primary", topic: INBOX.ackTopic, retained: false, ...more, payload }, INBOX, KEYS, () => "n");
}

describe("the inbox of a site", () => {
  it("takes a signed acknowledgement, also one that the broker kept", () => {
    const body = encodeAck(ACK);
    expect(arrive(signed(body))).toMatchObject({ type: "ack-arrived", ...ACK, retained: false, signatures: 1 });
    expect(arrive(signed(body), { retained: true })).toMatchObject({ type: "ack-arrived", retained: true });
  });

  it.each([
    ["is too large", signed(encodeAck(ACK)), { oversized: true }, "message.oversized"],
    ["is empty", Buffer.alloc(0), {}, "message.malformed"],
    ["nobody signed", Buffer.from(encodeEnvelope({ body: encodeAck(ACK), sigs: [] })), {}, "signature.missing"],
    ["was signed for something else", signed(encodeAck(ACK), NAMESPACES.command), {}, "signature.invalid"],
    ["acknowledges nonsense", signed(Buffer.from('{"receiver":"vault","tracks":[1]}')), {}, "message.malformed"],
    ["is on no topic of a site", signed(encodeAck(ACK)), { topic: `${ROOT}/dn/other` }, "message.unknown-topic"],
  ])("ignores and counts one that %s", (_, payload, more, code) => {
    expect(arrive(payload, more)).toMatchObject({ type: "message-ignored", code });
  });
});

const LONG = process.env.TOWPATH_LONG !== undefined;

describe("whatever arrives at a site", () => {
  const command = Buffer.from(
    JSON.stringify({ v: 1, id: "0".repeat(26), site: "acme/one", by: "vera", epoch: 1, kind: "status" }),
  );
  const read = Buffer.from(
    JSON.stringify({ v: 1, id: "0".repeat(26), site: "acme/one", by: "vera", epoch: 1, kind: "read", args: {} }),
  );
  const bodies = [command, read, Buffer.from(encodeAck(ACK)), Buffer.from("{}"), Buffer.from("[[[[")];
  // Envelopes round bent bodies reach the parsers behind the signature as well.
  const trusting = { verify: (_: Uint8Array, signature: Uint8Array) => (signature.length > 3 ? "key" : null) };
  const wrapped = (body: Uint8Array) => Buffer.from(encodeEnvelope({ body, sigs: [Buffer.from("signature")] }));

  it.each([INBOX.commandTopic, INBOX.ackTopic, `${ROOT}/dn/stream/x`])(
    "on %s becomes an event, and nothing throws",
    (topic) => {
      const counts: Record<string, number> = {};
      const each = LONG ? 200_000 : 12_000;
      const inputs = [...[...bent(bodies.map(wrapped), each)], ...[...bent(bodies, each)].map(wrapped)];
      for (const payload of inputs) {
        const message = { via: "primary", topic, payload, retained: payload.length % 2 === 0 } as const;
        const event = receive(message, INBOX, trusting, () => "n");
        counts[event.type] = (counts[event.type] ?? 0) + 1;
      }
      const taken = { [INBOX.commandTopic]: "command-arrived", [INBOX.ackTopic]: "ack-arrived" }[topic];
      expect(counts["message-ignored"]).toBeGreaterThan(each / 10);
      if (taken !== undefined) expect(counts[taken]).toBeGreaterThan(each / 100);
      const sum = Object.values(counts).reduce((a, b) => a + b, 0);
      expect(sum).toBe(2 * each);
    },
  );

  it("on any topic with any bytes is ignored", () => {
    fc.assert(
      fc.property(fc.string(), fc.uint8Array({ maxLength: 200 }), (topic, payload) => {
        expect(arrive(payload, { topic }).type).toBe("message-ignored");
      }),
      { numRuns: 1_000 },
    );
  });
});
