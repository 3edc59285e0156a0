import { type LineCounts, lineCounts, modemLines } from "../linux/tty.ts";
import type { LineStatus } from "./port.ts";

/** What a console's driver counts and sees: framing errors, BREAKs, overruns, modem lines. Asked each second. */

/** A noisy line has new errors each second: they are told at once when they begin, then each minute. */
const ERRORS_EVERY = 60;
const MODEM_EVERY = 10;
const MODEM_SLOW_MS = 100;

/** Asks the driver, and tells what changed since the port was opened. */
export function createStatus(fd: number, tell: (status: LineStatus) => void): () => void {
  const first = lineCounts(fd);
  let lastUrgent = "";
  let lastErrors = "";
  let quiet = ERRORS_EVERY;
  const askModem = createModem(fd);
  return () => {
    // A driver that did not count when the port was opened never does.
    const counts = first && lineCounts(fd);
    const errors = counts && first && since(first, counts);
    const status: LineStatus = { modem: askModem(), errors };
    if (status.modem === null && errors === null) return;
    const urgent = JSON.stringify([status.modem, errors?.overrun]);
    const all = JSON.stringify(errors);
    quiet++;
    if (urgent === lastUrgent && (all === lastErrors || quiet < ERRORS_EVERY)) return;
    if (all !== lastErrors) quiet = 0;
    lastUrgent = urgent;
    lastErrors = all;
    tell(status);
  };
}

/**
 * Asking for the modem lines is a USB transfer that the loop waits for: seldom, not for all ports in the same second,
 * and never again where an adapter took long.
 */
function createModem(fd: number): () => LineStatus["modem"] {
  let tick = fd % MODEM_EVERY;
  let last: LineStatus["modem"] = null;
  let slow = false;
  return () => {
    const due = last === null || tick % MODEM_EVERY === 0;
    tick++;
    if (!due || slow) return last;
    const begun = performance.now();
    last = modemLines(fd);
    slow = last === null || performance.now() - begun > MODEM_SLOW_MS;
    return last;
  };
}

function since(first: LineCounts, now: LineCounts): LineCounts {
  return {
    framing: now.framing - first.framing,
    parity: now.parity - first.parity,
    breaks: now.breaks - first.breaks,
    overrun: now.overrun - first.overrun,
  };
}
