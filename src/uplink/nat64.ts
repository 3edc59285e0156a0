/** IPv4 addresses behind an access that has only IPv6 (RFC 7050): what its resolver makes of a name with none shows how. */

/** Says in which prefix the carrier's resolver puts IPv4 addresses. */
export const PREFIX_NAME = "ipv4only.arpa";
const KNOWN = new Set(["192.0.0.170", "192.0.0.171"]);

/**
 * The IPv6 address that stands for an IPv4 one, or null where the answers show no prefix. Only prefixes of 96 bits, the
 * one of RFC 6052 and those that carriers use.
 */
export function mapped(ipv4: string, answers: readonly string[]): string | null {
  for (const answer of answers) {
    const words = wordsOf(answer);
    const [high = 0, low = 0] = words.slice(6);
    const tail = [high >> 8, high & 255, low >> 8, low & 255].join(".");
    if (words.length !== 8 || !KNOWN.has(tail)) continue;
    const [a = 0, b = 0, c = 0, d = 0] = ipv4.split(".").map(Number);
    const wanted = [...words.slice(0, 6), (a << 8) | b, (c << 8) | d];
    return wanted.map((word) => word.toString(16)).join(":");
  }
  return null;
}

function wordsOf(address: string): number[] {
  const [head = "", tail] = address.split("::");
  const words = (part: string) =>
    part
      .split(":")
      .filter(Boolean)
      .flatMap((word) => {
        if (!word.includes(".")) return [Number.parseInt(word, 16)];
        const [a = 0, b = 0, c = 0, d = 0] = word.split(".").map(Number);
        return [(a << 8) | b, (c << 8) | d];
      });
  if (tail === undefined) return words(head);
  const [before, after] = [words(head), words(tail)];
  return [...before, ...Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => 0), ...after];
}
