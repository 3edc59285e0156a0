import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { writeWhole } from "../disk/disk.ts";
import { publicKeyLine } from "./sshsig.ts";

/** The site's own key: made on its first start, never leaves the data folder. */
export function loadSiteKey(file: string, comment: string): { key: KeyObject; publicLine: string; fresh: boolean } {
  const fresh = !existsSync(file);
  if (fresh) {
    const pem = generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" });
    writeWhole(file, pem.toString(), 0o600);
  }
  const key = createPrivateKey(readFileSync(file));
  return { key, publicLine: publicKeyLine(key, comment), fresh };
}
