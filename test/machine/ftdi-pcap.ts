/** One thing that a guest's driver told an FTDI adapter. */
export type FtdiEvent = { readonly atMs: number } & (
  | { readonly kind: "baud"; readonly rate: number }
  | { readonly kind: "framing"; readonly dataBits: number; readonly parity: string; readonly stopBits: number }
  | { readonly kind: "break"; readonly on: boolean }
  | { readonly kind: "lines"; readonly dtr?: boolean; readonly rts?: boolean }
  | { readonly kind: "out"; readonly bytes: Buffer }
);
