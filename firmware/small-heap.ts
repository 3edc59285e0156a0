import { setFlagsFromString } from "node:v8";

/**
 * Imported first by the controller. V8 lets the room for young objects grow to 32 MB in each of the program's two
 * threads because batches of bytes live just long enough to be copied; on a Pi that memory is worth more than the few
 * collections it saves (`npm run bench -- capture`). Unlike the size, the growth may be set while running.
 */
setFlagsFromString("--semi-space-growth-factor=1");
