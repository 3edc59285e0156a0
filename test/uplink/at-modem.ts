import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";

/** A modem of AT commands behind a socket, as far as ModemManager asks: an EC25 of which a test says what it does. */
export interface AtModem {
  /** Says what it was not asked: `+CREG: 1`. */
  urc(text: string): void;
  close(): Promise<void>;
}

export interface AtState {
  imei: string;
  /** `READY`, `SIM PIN`, or null: there is none. */
  sim: string | null;
  /** As CREG numbers it: 0 idle, 1 home, 2 searching, 3 denied, 5 roaming. */
  registration: number;
  /** As CESQ numbers them. */
  rsrq: number;
  rsrp: number;
  /** Reads what it is told and never answers. */
  hangs: boolean;
  /** What it was told, for a test to look at. */
  heard: string[];
}

export function atState(more: Partial<AtState> = {}): AtState {
  return {
    imei: "490154203237518",
    sim: "READY",
    registration: 1,
    rsrq: 20,
    rsrp: 46,
    hangs: false,
    heard: [],
    ...more,
  };
}

export async function startAtModem(path: string, state: AtState): Promise<AtModem> {
  rmSync(path, { force: true });
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => socket.destroy());
    let typed = "";
    socket.on("data", (bytes) => {
      const lines = (typed + bytes.toString("latin1")).split(/[\r\n]+/);
      typed = lines.pop() ?? "";
      for (const line of lines.map((one) => one.trim()).filter(Boolean)) {
        state.heard.push(line);
        if (!state.hangs) socket.write(answerText(state, line));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    urc(text) {
      for (const socket of sockets) socket.write(`\r\n${text}\r\n`);
    },
    async close() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      rmSync(path, { force: true });
    },
  };
}

function answerText(state: AtState, line: string): string {
  const answer = answerTo(state, line);
  if (answer === null) return "\r\nERROR\r\n";
  if (answer.startsWith("+CME")) return `\r\n${answer}\r\n`;
  return `${answer === "" ? "" : `\r\n${answer}\r\n`}\r\nOK\r\n`;
}

/** What is asked word for word. */
const PLAIN: Readonly<Record<string, string>> = {
  AT: "",
  "AT+GCAP": "+GCAP: +CGSM",
  "AT+CGMI": "Quectel",
  "AT+CGMM": "EC25",
  "AT+CGMR": "EC25EFAR06A06M4G",
  "AT+WS46=?": "+WS46: (12,22,25,28,29)",
  "AT+WS46?": "+WS46: 28",
  "AT+CSCS=?": '+CSCS: ("IRA","GSM","UCS2")',
  "AT+CSCS?": '+CSCS: "GSM"',
  "AT+CGDCONT=?": '+CGDCONT: (1-16),"IP",,,(0-2),(0-4)\r\n+CGDCONT: (1-16),"IPV6",,,(0-2),(0-4)',
  "AT+CGDCONT?": '+CGDCONT: 1,"IP","internet","",0,0',
  "AT+CFUN?": "+CFUN: 1",
  "AT+CFUN=?": "+CFUN: (0,1,4),(0,1)",
  "AT+CREG=?": "+CREG: (0-2)",
  "AT+CGREG=?": "+CGREG: (0-2)",
  "AT+CEREG=?": "+CEREG: (0-2)",
  "AT+COPS=?": '+COPS: (2,"Testnet","Test","90101",7)',
  "AT+CESQ=?": "+CESQ: (0-63,99),(0-7,99),(0-96,255),(0-34,255),(0-34,255),(0-97,255)",
  "AT+CSQ": "+CSQ: 17,99",
  "AT+CIMI": "901010123456789",
  "AT+CNUM": "",
  "AT+CGATT?": "+CGATT: 1",
};

const SETTINGS = /^AT(E0|V1|X4|&C1|Z|\+(CMEE|CFUN|CREG|CGREG|CEREG|CSCS|COPS|CGEREP|CGATT|CGACT|CMER|CLIP|CNMI|CMGF)=)/;

function answerTo(state: AtState, line: string): string | null {
  const plain = PLAIN[line];
  if (plain !== undefined && state.sim === null && line === "AT+CIMI") return "+CME ERROR: 10";
  if (plain !== undefined) return plain;
  if (line === "AT+CGSN") return state.imei;
  if (line === "AT+CPIN?") return state.sim === null ? "+CME ERROR: 10" : `+CPIN: ${state.sim}`;
  if (line === "AT+CPIN=?") return "";
  const registration = /^AT\+(CE?G?REG)\?$/.exec(line)?.[1];
  if (registration !== undefined) return registrationOf(state, registration);
  if (line === "AT+CESQ") return `+CESQ: 99,99,255,255,${state.rsrq},${state.rsrp}`;
  if (line === "AT+COPS?") return [1, 5].includes(state.registration) ? '+COPS: 0,2,"90101",7' : "+COPS: 0";
  if (/^AT\+CRSM=176,12258/.test(line)) return '+CRSM: 144,0,"988812010000400310F0"';
  if (/^AT\+CRSM=176,28589/.test(line)) return '+CRSM: 144,0,"00000002"';
  return SETTINGS.test(line) ? "" : null;
}

function registrationOf({ registration }: AtState, kind: string): string {
  const where = [1, 5].includes(registration) ? ',"1A2B","01C3D5E7",7' : "";
  return `+${kind}: 2,${registration}${where}`;
}
