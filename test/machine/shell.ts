import { setTimeout as sleep } from "node:timers/promises";
import { type Answer, controlAt, type Request } from "./control.ts";
import type { Outcome, RunOptions } from "./guest.ts";

/** What waits here is slow only because the machine is emulated. */
const PATIENCE_MS = 20_000;
const COPY_MS = 600_000;

/** The guest's root shell, whichever qemu it is behind now. */
export class Shell {
  /** The loopback port that leads to the guest, and why there is no guest; both change with each start of qemu. */
  #port = 0;
  #ended: () => string | null = () => "the machine was not started";

  connect(port: number, ended: () => string | null): void {
    this.#port = port;
    this.#ended = ended;
  }

  get port(): number {
    return this.#port;
  }

  async request(request: Request, timeoutMs: number): Promise<Answer> {
    const ended = this.#ended();
    if (ended !== null) throw new Error(ended);
    return await controlAt(this.#port).request(request, timeoutMs);
  }

  async run(script: string, { timeoutMs = 60_000 }: RunOptions = {}): Promise<Outcome> {
    const seconds = Math.ceil(timeoutMs / 1000);
    const begun = performance.now();
    const request: Request = { verb: "run", body: Buffer.from(script), argument: `${seconds}` };
    const { code, bytes } = await this.request(request, timeoutMs + PATIENCE_MS);
    const out = bytes.toString("utf8");
    if (code !== 124 || performance.now() - begun < timeoutMs) return { code, out };
    throw new Error(`not done in ${seconds} s: ${script.slice(0, 300)}\n${out.slice(-2000)}`);
  }

  async expect(script: string, options?: RunOptions): Promise<string> {
    const { code, out } = await this.run(script, options);
    if (code === 0) return out.replace(/\n$/, "");
    throw new Error(`exit ${code} of: ${script.slice(0, 300)}\n${out.slice(-4000)}`);
  }

  async eventually(script: string, { timeoutMs = 60_000 }: RunOptions = {}): Promise<string> {
    const end = performance.now() + timeoutMs;
    for (;;) {
      const { code, out } = await this.run(script, { timeoutMs });
      if (code === 0) return out.replace(/\n$/, "");
      if (performance.now() > end)
        throw new Error(`still exit ${code} after ${timeoutMs} ms: ${script.slice(0, 300)}\n${out.slice(-4000)}`);
      await sleep(250);
    }
  }

  /** Writes bytes to a file of the guest, and looks at its length: a cut connection leaves half a file. */
  async write(path: string, body: Buffer, mode: number): Promise<void> {
    if (/\s/.test(path)) throw new Error(`a guest path holds no spaces: ${path}`);
    const request: Request = { verb: "put", body, argument: mode.toString(8), path };
    const { code, bytes } = await this.request(request, COPY_MS);
    if (code !== 0) throw new Error(`${path} could not be written in the guest: ${bytes.toString("utf8")}`);
    const size = await this.expect(`stat -c %s ${path}`);
    if (Number(size) !== body.length) throw new Error(`${path} has ${size} of ${body.length} bytes in the guest`);
  }

  async get(path: string): Promise<Buffer> {
    const { code, bytes } = await this.request({ verb: "get", path }, COPY_MS);
    if (code !== 0) throw new Error(`${path} could not be read in the guest: ${bytes.toString("utf8").slice(0, 300)}`);
    return bytes;
  }

  /** The id of the boot that answers now; null while none does. */
  async bootId(): Promise<string | null> {
    const body = Buffer.from("cat /proc/sys/kernel/random/boot_id");
    const { code, bytes } = await this.request({ verb: "run", body, argument: "5" }, 5000);
    return code === 0 ? bytes.toString("utf8").trim() : null;
  }
}
