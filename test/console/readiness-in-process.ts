import { closeSync, constants, openSync, readdirSync, readSync } from "node:fs";
import { onReadable } from "../../src/console/readiness.ts";
import { createSweeper } from "../../src/console/sweeper.ts";
import { makeRaw } from "../../src/linux/tty.ts";
import { openPty, type Pty } from "../pty.ts";

/** Run by readiness.test.ts in a process of its own: says as JSON what happened. */

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(check: () => boolean): Promise<void> {
  for (let tries = 0; !check() && tries < 500; tries++) await wait(2);
}

function openTerminal(): { pty: Pty; fd: number } {
  const pty = openPty();
  const fd = openSync(pty.path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  makeRaw(fd);
  return { pty, fd };
}

async function tellsOfBytes(): Promise<string[]> {
  const { pty, fd } = openTerminal();
  const heard: string[] = [];
  const buffer = Buffer.alloc(100);
  const stop = onReadable(fd, () => heard.push(buffer.toString("latin1", 0, readSync(fd, buffer))));
  for (const text of ["one", "two", "three"]) {
    const before = heard.length;
    pty.say(text);
    await until(() => heard.length > before);
  }
  await wait(50);
  stop();
  pty.say("after");
  await wait(50);
  closeSync(fd);
  pty.close();
  return heard;
}

async function tellsOfTheEnd(): Promise<number> {
  const { pty, fd } = openTerminal();
  let told = 0;
  const stop = onReadable(fd, () => {
    told++;
    stop();
  });
  pty.close();
  await until(() => told > 0);
  await wait(50);
  closeSync(fd);
  return told;
}

async function descriptorsLeft(): Promise<number> {
  const { pty, fd } = openTerminal();
  onReadable(fd, () => undefined)();
  await wait(20);
  const before = readdirSync("/proc/self/fd").length;
  for (let round = 0; round < 500; round++) onReadable(fd, () => undefined)();
  await wait(20);
  const left = readdirSync("/proc/self/fd").length - before;
  closeSync(fd);
  pty.close();
  return left;
}

/** How many of so many bytes were read before the sweeper's tick could have come. */
async function watchedSooner(): Promise<{ soon: number; of: number; sweepsMeanwhile: number }> {
  const { pty, fd } = openTerminal();
  const sweeper = createSweeper();
  let heardAt = 0;
  const reading = sweeper.add(fd, {
    data: () => {
      heardAt = performance.now();
    },
    full: () => undefined,
    hungUp: () => undefined,
  });
  reading.watch(true);
  const of = 30;
  let soon = 0;
  let sweepsMeanwhile = 0;
  for (let round = 0; round < of; round++) {
    await wait(25);
    // Just after a tick: the next one is a whole tick away.
    const tick = sweeper.sweeps();
    await until(() => sweeper.sweeps() !== tick);
    heardAt = 0;
    const sweeps = sweeper.sweeps() ?? 0;
    pty.say("x");
    await until(() => heardAt > 0);
    if (sweeper.sweeps() === sweeps) soon++;
    sweepsMeanwhile += (sweeper.sweeps() ?? 0) - sweeps;
  }
  reading.remove();
  closeSync(fd);
  pty.close();
  return { soon, of, sweepsMeanwhile };
}

process.stdout.write(
  `${JSON.stringify({
    heard: await tellsOfBytes(),
    ends: await tellsOfTheEnd(),
    descriptorsLeft: await descriptorsLeft(),
    watched: await watchedSooner(),
  })}\n`,
);
