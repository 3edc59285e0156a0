import { closeSync, existsSync, openSync, writeSync } from "node:fs";
import { formatDuration } from "../../core/duration.ts";
import { CastWriter } from "./asciicast.ts";
import { UsageError } from "./command.ts";
import type { LogSink } from "./log-printer.ts";

/** The file of `--cast`: made when there is something to write, never over another one. */
export function openCast(
  file: string,
  note: (line: string) => void,
): { sink: (title: string) => LogSink; close: () => void } {
  if (existsSync(file)) throw new UsageError(`--cast ${file}: it is there already; name another file`);
  let fd: number | null = null;
  let writer: CastWriter | null = null;
  const write = (line: string): void => {
    try {
      fd ??= openSync(file, "wx");
      writeSync(fd, line);
    } catch (error) {
      throw new UsageError(`--cast ${file}: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  return {
    sink(title) {
      writer = new CastWriter(title, write);
      return writer;
    },
    close() {
      if (fd === null || writer === null) return;
      closeSync(fd);
      const gaps = writer.gaps === 0 ? "" : `, ${writer.gaps} gaps marked`;
      note(
        `${file}: plays ${formatDuration(writer.seconds * 1_000)}${gaps}; \`asciinema play -i 2\` shortens the pauses`,
      );
    },
  };
}
