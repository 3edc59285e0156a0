import { createSocket } from "node:dgram";
import { createServer as createHttp } from "node:http";
import { createServer } from "node:net";

/** What stands in a test's internet or router: answers on the places that its arguments name, `kind=address:port`. */

const KINDS: Record<string, (host: string, port: number) => void> = {
  tcp: (host, port) => void createServer((socket) => socket.destroy()).listen(port, host),
  page204: (host, port) => void createHttp((_request, answer) => void answer.writeHead(204).end()).listen(port, host),
  portal: (host, port) =>
    void createHttp(
      (_request, answer) => void answer.writeHead(302, { location: "http://login.example/" }).end(),
    ).listen(port, host),
  dns: serveNames,
};

/** Every name has one address (RFC 1035): enough for a resolver to be alive. */
function serveNames(host: string, port: number): void {
  const socket = createSocket("udp4");
  socket.on("message", (query, from) => {
    const question = query.subarray(12, query.indexOf(0, 12) + 5);
    const header = Buffer.concat([query.subarray(0, 2), Buffer.from("81800001000100000000", "hex")]);
    const answer = Buffer.from("c00c00010001000000050004" + "01010101", "hex");
    const isA = question.readUInt16BE(question.length - 4) === 1;
    const none = Buffer.concat([query.subarray(0, 2), Buffer.from("81800001000000000000", "hex")]);
    socket.send(
      isA ? Buffer.concat([header, question, answer]) : Buffer.concat([none, question]),
      from.port,
      from.address,
    );
  });
  socket.bind(port, host);
}

for (const argument of process.argv.slice(2)) {
  const [, kind = "", host = "", port = ""] = /^(\w+)=(.+):(\d+)$/.exec(argument) ?? [];
  const serve = KINDS[kind];
  if (serve === undefined) throw new Error(`${argument}: one of ${Object.keys(KINDS).join(", ")} =address:port`);
  serve(host, Number(port));
}
process.stdout.write("ready\n");
