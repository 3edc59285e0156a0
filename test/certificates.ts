import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Certificates {
  readonly ca: string;
  readonly server: { cert: string; key: string };
  readonly site: { cert: string; key: string };
  readonly operator: { cert: string; key: string };
}

/** A small CA of our own, and a certificate each for the broker (on loopback, and `address`), the site and the operator. */
export function makeCertificates(folder: string, address = "127.0.0.1"): Certificates {
  const openssl = (args: readonly string[]) => execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
  openssl([
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:P-256",
    "-nodes",
    "-days",
    "30",
    "-subj",
    "/CN=test ca",
    "-keyout",
    "ca.key",
    "-out",
    "ca.pem",
  ]);
  const issue = (name: string) => {
    writeFileSync(join(folder, `${name}.ext`), `subjectAltName=DNS:localhost,IP:127.0.0.1,IP:${address}\n`);
    openssl([
      "req",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-subj",
      `/CN=${name}`,
      "-keyout",
      `${name}.key`,
      "-out",
      `${name}.csr`,
    ]);
    openssl([
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-days",
      "30",
      "-extfile",
      `${name}.ext`,
      "-out",
      `${name}.pem`,
    ]);
    return { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  };
  return { ca: join(folder, "ca.pem"), server: issue("broker"), site: issue("site"), operator: issue("operator") };
}
