import type { Verdict } from "../../src/core/uplink.ts";
import { at, type Place, tryAt } from "./lab.ts";

/** What may happen to the primary, how it is undone, and what the site must then say of it. */
export interface Fault {
  readonly name: string;
  readonly says: Verdict;
  /** The probe that sees it comes only now and then while all is well. */
  readonly slow?: true;
  begin(): void | Promise<void>;
  end(): void;
}

const drop = (place: Place, rules: string): void => void at(place, "nft -f -", `table inet fault {\n${rules}\n}\n`);
const heal = (place: Place): void => tryAt(place, "nft delete table inet fault");
const FORWARD = "chain f { type filter hook forward priority 0;";
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

export const FAULTS: readonly Fault[] = [
  {
    name: "blackhole",
    says: "upstream",
    begin: () => drop("P", `${FORWARD} drop; }`),
    end: () => heal("P"),
  },
  {
    // With ARP alone gone, the kernel keeps an entry alive by the traffic that it sees: the router must be deaf.
    name: "arp-dead",
    says: "l2",
    begin() {
      const chain = "chain i { type filter hook ingress device lan priority 0; drop; }";
      at("P", "nft -f -", `table netdev fault {\n${chain}\n}\n`);
    },
    end: () => tryAt("P", "nft delete table netdev fault"),
  },
  {
    name: "dns-dead",
    says: "dns",
    begin: () =>
      drop("P", `chain i { type filter hook input priority 0; udp dport 53 drop; }\n${FORWARD} udp dport 53 drop; }`),
    end: () => heal("P"),
  },
  {
    name: "dhcp-lost",
    says: "l2",
    begin: () => void at("C", "ip addr flush dev eth0"),
    end: () => undefined,
  },
  {
    name: "overlap",
    says: "service",
    begin: () => void at("C", "ip addr add 203.0.113.9/29 dev eth0"),
    end: () => tryAt("C", "ip addr del 203.0.113.9/29 dev eth0"),
  },
  {
    name: "vpn-routes",
    says: "upstream",
    begin() {
      at("C", "ip tuntap add tun7 mode tun");
      at("C", "ip addr add 10.99.0.2/24 dev tun7");
      at("C", "ip link set tun7 up");
      for (const half of ["0.0.0.0/1", "128.0.0.0/1"]) at("C", `ip route add ${half} dev tun7`);
      drop("P", `${FORWARD} drop; }`);
    },
    end() {
      tryAt("C", "ip link del tun7");
      heal("P");
    },
  },
  {
    name: "link-down",
    says: "link",
    begin: () => void at("P", "ip link set lan down"),
    end: () => void at("P", "ip link set lan up"),
  },
  {
    name: "flapping",
    says: "upstream",
    async begin() {
      for (let turn = 0; turn < 2; turn++) {
        drop("P", `${FORWARD} drop; }`);
        await sleep(2_500);
        heal("P");
        await sleep(700);
      }
      drop("P", `${FORWARD} drop; }`);
    },
    end: () => heal("P"),
  },
  {
    name: "mtu-black-hole",
    says: "service",
    slow: true,
    begin() {
      // So narrow because the lab's certificate is small: a whole one must not pass.
      drop("P", `${FORWARD} meta length > 600 drop; }`);
      // And a carrier whose tunnel is narrower than its interface says.
      drop("L", `${FORWARD} meta length > 1428 drop; }`);
    },
    end() {
      heal("P");
      heal("L");
    },
  },
  {
    name: "captive",
    says: "captive",
    begin() {
      drop(
        "P",
        `chain n { type nat hook prerouting priority -100; iifname lan tcp dport 80 dnat ip to 10.10.0.1:8080; }\n${FORWARD} iifname lan tcp dport 443 drop; }`,
      );
    },
    end: () => heal("P"),
  },
];
