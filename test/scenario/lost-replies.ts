import { connect, createServer } from "node:net";
import { onTestFinished } from "vitest";
import { decodeEnvelope, isRecord, parseJson } from "../../src/protocol/envelope.ts";
import { type Frame, FrameReader } from "../../src/protocol/frame.ts";

/** In front of a site's socket: hands everything over, and from the first `operate` on nothing back. */
export async function loseReplies(socket: string, to: string): Promise<void> {
  const server = createServer((near) => {
    const far = connect(to);
    const asked = new FrameReader();
    near.on("data", (bytes) => {
      if (asked.push(bytes).some(isOperate)) far.unpipe(near).resume();
      far.write(bytes);
    });
    far.pipe(near);
    for (const side of [near, far]) {
      side.on("error", () => undefined);
      side.on("close", () => [near, far].forEach((one) => void one.destroy()));
    }
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  onTestFinished(() => void server.close());
}

function isOperate({ payload }: Frame): boolean {
  const envelope = decodeEnvelope(Buffer.from(payload).toString("utf8"));
  const body = envelope && parseJson(envelope.body);
  return isRecord(body) && body.kind === "operate";
}
