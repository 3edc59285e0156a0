/** The Debian release whose userland both machines run: the one that Raspberry Pi OS is made from. */
export const SUITE = "trixie";

const BOTH = [
  "adduser",
  "apt",
  "busybox-static",
  "ca-certificates",
  "dbus",
  "e2fsprogs",
  "gpiod",
  "iproute2",
  "iputils-ping",
  "kmod",
  "modemmanager",
  "nftables",
  "nodejs",
  "openssh-client",
  "openssh-server",
  "procps",
  "psmisc",
  "socat",
  "strace",
  "systemd",
  "systemd-sysv",
  "udev",
  "usbutils",
  "util-linux",
];

/** What is installed in each machine. Nothing of Towpath: a scenario installs the package that it tries. */
export const PACKAGES = {
  vm: [...BOTH, "mosquitto", "mosquitto-clients", "ppp"],
  pi: BOTH,
} as const;

/** Kernel modules that go into the machine; everything they need comes with them. */
export const MODULES = {
  vm: [
    ...["virtio_pci", "virtio_blk", "ext4", "virtio_net", "virtio_rng", "xhci-pci", "crc32c_generic"],
    ...["gpio_sim_machine", "configfs", "ftdi_sio", "cp210x", "ch341", "pl2303", "cdc-acm", "option", "usb-storage"],
    ...["cdc_ether", "cdc_ncm", "cdc_mbim", "qmi_wwan", "usbip-core", "vhci-hcd", "ppp_generic", "ppp_async"],
    ...["nf_tables", "nft_ct", "nft_limit", "nft_log", "nft_reject_inet", "nft_masq", "nft_fib_inet", "nf_conntrack"],
    ...["sch_netem", "sch_tbf", "sch_fq_codel", "vrf", "dummy", "veth", "tun", "af_packet", "overlay", "loop"],
    ...["dm-flakey", "dm-snapshot", "softdog", "i6300esb", "autofs4", "efivarfs"],
  ],
  pi: [
    ...[
      "virtio_mmio",
      "virtio_pci",
      "virtio_blk",
      "ext4",
      "bcm2835",
      "sdhci-iproc",
      "mmc_block",
      "dwc2",
      "phy-generic",
    ],
    ...["ftdi_sio", "cp210x", "ch341", "pl2303", "cdc-acm", "cdc_ether", "usb-storage", "usbip-core", "vhci-hcd"],
    ...[
      "option",
      "qmi_wwan",
      "cdc_ncm",
      "cdc_mbim",
      "softdog",
      "bcm2835_wdt",
      "bcm2835-rng",
      "crc32c_generic",
      "nf_tables",
      "nft_ct",
      "nft_limit",
    ],
    ...["nft_log", "nft_reject_inet", "nft_masq", "nft_fib_inet", "nf_conntrack", "sch_netem", "sch_tbf", "dummy"],
    ...["veth", "tun", "af_packet", "autofs4", "loop", "configfs"],
  ],
} as const;

/** The modules without which the machine does not reach its disk: these are in the first file system too. */
export const EARLY = {
  vm: ["virtio_pci", "virtio_blk", "crc32c_generic", "ext4"],
  pi: [
    ...["virtio_mmio", "virtio_pci", "virtio_blk", "crc32c_generic", "ext4"],
    ...["sdhci-iproc", "bcm2835", "mmc_block", "phy-generic", "dwc2"],
  ],
} as const;
