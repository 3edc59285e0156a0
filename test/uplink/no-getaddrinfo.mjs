// Preloaded into the controller: whoever asks the machine's resolver is told on, and gets nothing.
import dns from "node:dns";
import { syncBuiltinESMExports } from "node:module";
import { isIP } from "node:net";

const { lookup } = dns;

function refuse(name, ...rest) {
  // `dgram` also passes addresses through it, for which nobody is asked.
  if (isIP(name) !== 0) return lookup(name, ...rest);
  process.stderr.write(`GETADDRINFO ${name}\n`);
  throw new Error(`getaddrinfo was asked for ${name}`);
}
dns.lookup = refuse;
syncBuiltinESMExports();
