import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer, type TlsOptions } from "node:tls";
import { describe, expect, it, onTestFinished } from "vitest";
import { datesHold } from "../../src/core/clock.ts";
import { connectTls, TlsSessions } from "../../src/link/tls-connect.ts";

/** Brokers whose certificates are right, and wrong in each way that matters. */

const DAY_MS = 86_400_000;
const EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

class Authority {
  readonly folder = mkdtempSync(join(tmpdir(), "towpath-tls-"));

  constructor() {
    onTestFinished(() => rmSync(this.folder, { recursive: true, force: true }));
    this.selfSigned("ca");
    this.selfSigned("stranger");
  }

  file(name: string): string {
    return join(this.folder, name);
  }

  private selfSigned(name: string): void {
    const out = ["-keyout", `${name}.key`, "-out", `${name}.pem`];
    this.openssl("req", "-x509", ...EC, "-days", "30", "-subj", `/CN=${name}`, ...out);
  }

  /** @param days negative: it is over. */
  issue(name: string, by: string, days: number, extensions: string): void {
    writeFileSync(this.file(`${name}.ext`), extensions);
    this.openssl("req", ...EC, "-subj", `/CN=${name}`, "-keyout", `${name}.key`, "-out", `${name}.csr`);
    const made = ["-CA", `${by}.pem`, "-CAkey", `${by}.key`, "-CAcreateserial", "-extfile", `${name}.ext`];
    this.openssl("x509", "-req", "-in", `${name}.csr`, ...made, "-days", String(days), "-out", `${name}.pem`);
  }

  private openssl(...words: string[]): void {
    execFileSync("openssl", words, { cwd: this.folder, stdio: "pipe" });
  }
}

const SERVER = "subjectAltName=IP:127.0.0.1,DNS:broker.example\nextendedKeyUsage=serverAuth\n";

async function serve(authority: Authority, chain: readonly string[], more: TlsOptions = {}): Promise<number> {
  const cert = chain.map((name) => readFileSync(authority.file(`${name}.pem`), "utf8")).join("");
  const server = createServer({ cert, key: readFileSync(authority.file(`${chain[0]}.key`)), ...more }, (socket) => {
    socket.on("error", () => undefined);
    socket.write("welcome");
  });
  server.on("tlsClientError", () => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

class Visitor {
  readonly sessions = new TlsSessions();
  readonly ca: string;
  datesHold: ((dates: { notBeforeMs: number; notAfterMs: number }) => boolean) | null = null;

  constructor(authority: Authority) {
    this.ca = authority.file("ca.pem");
  }

  /** What came of a visit: as the broker's client would come, twice where the first found the dates wrong. */
  async visit(port: number, host = "127.0.0.1"): Promise<"in" | "resumed" | string> {
    const raw = connect({ host: "127.0.0.1", port });
    raw.on("error", () => undefined);
    await new Promise((resolve) => raw.once("connect", resolve));
    try {
      const { sessions, datesHold: hold, ca } = this;
      const socket = await connectTls(raw, { host, files: { ca }, sessions, datesHold: hold });
      await new Promise((resolve) => socket.once("data", resolve));
      const resumed = socket.isSessionReused();
      socket.destroy();
      return resumed ? "resumed" : "in";
    } catch (error) {
      return error instanceof Error ? `${"code" in error ? error.code : ""} ${error.message}` : "?";
    }
  }

  async twice(port: number, host?: string): Promise<string> {
    await this.visit(port, host);
    return this.visit(port, host);
  }
}

describe("TLS to a broker", () => {
  it("comes back with the session that it was given, in both versions", async () => {
    const authority = new Authority();
    authority.issue("broker", "ca", 30, SERVER);
    for (const maxVersion of ["TLSv1.3", "TLSv1.2"] as const) {
      const port = await serve(authority, ["broker"], { maxVersion });
      const visitor = new Visitor(authority);
      expect(await visitor.visit(port)).toBe("in");
      expect(await visitor.visit(port)).toBe("resumed");
      expect(await visitor.visit(port)).toBe("resumed");
    }
  });

  it("refuses a certificate that is over, for as long as the clock is believed", async () => {
    const authority = new Authority();
    authority.issue("broker", "ca", -1, SERVER);
    const port = await serve(authority, ["broker"]);
    const visitor = new Visitor(authority);
    expect(await visitor.twice(port)).toContain("CERT_HAS_EXPIRED");
    const now = Date.now();
    visitor.datesHold = (dates) => datesHold(dates, { wallMs: now, trust: "ntp" }, now - 90 * DAY_MS);
    expect(await visitor.twice(port)).toContain("CERT_HAS_EXPIRED");
  });

  it("lets a site in whose clock is unset, and does not resume what it let in so", async () => {
    const authority = new Authority();
    authority.issue("middle", "ca", 30, "basicConstraints=critical,CA:TRUE\nkeyUsage=keyCertSign\n");
    authority.issue("broker", "middle", -1, SERVER);
    const port = await serve(authority, ["broker", "middle"]);
    const visitor = new Visitor(authority);
    visitor.datesHold = (dates) => datesHold(dates, { wallMs: 0, trust: "none" }, Date.now() - 90 * DAY_MS);
    expect(await visitor.twice(port)).toBe("in");
    expect(await visitor.visit(port)).toBe("in");
  });

  it("never lets in what a stranger made, has another name, or is no server, however unset the clock", async () => {
    const authority = new Authority();
    authority.issue("forged", "stranger", -1, SERVER);
    authority.issue("other", "ca", -1, "subjectAltName=DNS:other.example\n");
    authority.issue("client", "ca", -1, "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=clientAuth\n");
    // An ordinary certificate of ours that makes certificates itself.
    authority.issue("leaf", "ca", 30, SERVER);
    authority.issue("grandchild", "leaf", -1, SERVER);
    authority.issue("ended", "ca", -1, SERVER);
    const wrong: Record<string, string[]> = {
      forged: ["forged"],
      withItsMaker: ["forged", "stranger"],
      other: ["other"],
      client: ["client"],
      grandchild: ["grandchild", "leaf"],
    };
    for (const [name, chain] of Object.entries(wrong)) {
      const port = await serve(authority, chain);
      const visitor = new Visitor(authority);
      visitor.datesHold = (dates) => datesHold(dates, null, Date.now() - 90 * DAY_MS);
      for (let visit = 0; visit < 3; visit++) expect([name, await visitor.visit(port)]).not.toEqual([name, "in"]);
    }
    const port = await serve(authority, ["ended"]);
    const visitor = new Visitor(authority);
    // Over before this program was built, or before a trusted clock of an earlier life.
    visitor.datesHold = (dates) => datesHold(dates, null, Date.now());
    expect(await visitor.twice(port)).toContain("CERT_HAS_EXPIRED");
    visitor.datesHold = (dates) => datesHold(dates, null, Date.now() - 90 * DAY_MS);
    expect(await visitor.twice(port)).toBe("in");
    expect(await visitor.twice(port, "elsewhere.example")).toContain("another name");
    expect(await visitor.twice(port, "broker.example")).toBe("in");
  });
});
