import { connect } from "node:net";
import { isRecord, parseJson } from "../protocol/envelope.ts";

/** Asks the program that may change the machine's network and clock. It is root's; it takes three requests. */

export type HelperRequest =
  | { readonly do: "apply" }
  | { readonly do: "block"; readonly seconds: number }
  | { readonly do: "clock"; readonly wallMs: number };

export type HelperAnswer =
  | { readonly ok: true; readonly mended: readonly string[] }
  | { readonly ok: false; readonly error: string };

/** systemd starts it for each request: on a Pi that is a second or two. */
const LIMIT_MS = 30_000;
const ANSWER_LIMIT = 64 * 1024;

export function askHelper(socketPath: string, request: HelperRequest): Promise<HelperAnswer> {
  return new Promise((resolve) => {
    const socket = connect(socketPath);
    let text = "";
    const end = (answer: HelperAnswer): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(answer);
    };
    const timer = setTimeout(() => end({ ok: false, error: `${socketPath}: no answer` }), LIMIT_MS);
    socket.setEncoding("utf8");
    socket.on("data", (piece) => {
      text += piece;
      if (text.length > ANSWER_LIMIT) end({ ok: false, error: `${socketPath}: not an answer` });
    });
    socket.on("error", (error) => end({ ok: false, error: error.message }));
    socket.on("close", () => end(readAnswer(text, socketPath)));
    socket.end(`${JSON.stringify(request)}\n`);
  });
}

function readAnswer(text: string, socketPath: string): HelperAnswer {
  const value = parseJson(Buffer.from(text));
  if (isRecord(value) && value.ok === true && Array.isArray(value.mended))
    return { ok: true, mended: value.mended.map(String) };
  return { ok: false, error: isRecord(value) ? String(value.error) : `${socketPath}: no answer` };
}
