import { FIXED, LTE_TABLE, RULE_PREF } from "../../src/uplink/addresses.ts";

/** What the machine must have so that nothing of the primary touches LTE: rules, and one table of nftables. */

export interface Rule {
  readonly family: 4 | 6;
  readonly pref: number;
  readonly from: string;
  readonly to: "table" | "nowhere";
}

/** For each source: by our table, and where that has no way, nowhere. */
export function wantedRules(sources: readonly string[]): Rule[] {
  return sources.flatMap((from) => {
    const family = from.includes(":") ? 6 : 4;
    return [
      { family, pref: RULE_PREF, from, to: "table" },
      { family, pref: RULE_PREF + 1, from, to: "nowhere" },
    ] as const;
  });
}

/** `ip rule add|del` takes these words. */
export function ruleWords({ pref, from, to }: Rule): string[] {
  const way = to === "table" ? ["table", String(LTE_TABLE)] : ["type", "unreachable"];
  return ["pref", String(pref), "from", from, ...way];
}

/** One line of `ip -j rule`. */
export function isRule(line: Readonly<Record<string, unknown>>, { pref, from, to }: Rule): boolean {
  const way = to === "table" ? String(line.table) === String(LTE_TABLE) : line.action === "unreachable";
  return line.priority === pref && line.src === from && way;
}

/** With headers of IPv6 the same packet is 20 bytes longer; 1428 fits what carriers leave of 1500. */
const MSS = 1_368;

/**
 * Input from LTE is answers to us, what an address needs, and nothing else; nothing passes through; what has our source
 * leaves by LTE or not at all. A large segment would vanish where the carrier's tunnel is narrower than it says.
 */
export function nftText(device: string, uid: number): string {
  const lte = JSON.stringify(device);
  const clamp = `tcp flags syn tcp option maxseg size > ${MSS} tcp option maxseg size set ${MSS}`;
  return `table inet towpath {
	set drill {
		type ifname
		flags timeout
	}

	chain from_lte {
		type filter hook input priority -10; policy accept;
		iifname != ${lte} accept
		${clamp}
		ct state established,related accept
		icmpv6 type { packet-too-big, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept
		udp sport 67 udp dport 68 accept
		udp sport 547 udp dport 546 accept
		drop
	}

	chain through_lte {
		type filter hook forward priority -10; policy accept;
		iifname ${lte} drop
		oifname ${lte} drop
	}

	chain out {
		type filter hook output priority -10; policy accept;
		oifname @drill meta skuid ${uid} drop
		ip saddr ${FIXED.v4} oifname != { ${lte}, "lo" } drop
		ip6 saddr ${FIXED.v6} oifname != { ${lte}, "lo" } drop
		oifname ${lte} ${clamp}
	}

	chain leave {
		type nat hook postrouting priority 100; policy accept;
		oifname ${lte} ip saddr ${FIXED.v4} masquerade
		oifname ${lte} ip6 saddr ${FIXED.v6} masquerade
	}
}
`;
}
