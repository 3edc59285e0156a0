/** The 40-pin header, the same on every Raspberry Pi that has one. */

/** What each pin carries, pin 1 first: the odd pins are the row nearer to the middle of the board. */
export const HEADER_PINS: readonly string[] = [
  ...["3.3 V", "5 V", "GPIO2", "5 V", "GPIO3", "GND", "GPIO4", "GPIO14", "GND", "GPIO15"],
  ...["GPIO17", "GPIO18", "GPIO27", "GND", "GPIO22", "GPIO23", "3.3 V", "GPIO24", "GPIO10", "GND"],
  ...["GPIO9", "GPIO25", "GPIO11", "GPIO8", "GND", "GPIO7", "ID_SDA", "ID_SCL", "GPIO5", "GND"],
  ...["GPIO6", "GPIO12", "GPIO13", "GND", "GPIO19", "GPIO16", "GPIO26", "GPIO20", "GND", "GPIO21"],
];

/** The header pin of a line; null for a line that is not on the header. */
export function headerPin(line: string): number | null {
  const at = /^(GPIO|ID_)/.test(line) ? HEADER_PINS.indexOf(line) : -1;
  return at < 0 ? null : at + 1;
}
