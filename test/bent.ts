/** Cheap generators: what a fuzzer would find first is bent, cut and joined from what is valid. */
export function* bent(seeds: readonly Buffer[], count: number): Generator<Buffer> {
  let state = 1;
  const random = (below: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let made = 0; made < count; made++) {
    const seed = Buffer.from(seeds[random(seeds.length)] ?? Buffer.alloc(0));
    for (let bends = random(3); bends > 0 && seed.length > 0; bends--) {
      seed[random(seed.length)] = random(2) === 0 ? random(256) : 32 + random(95);
    }
    const cut = random(4) === 0 ? seed.subarray(0, random(seed.length + 1)) : seed;
    yield random(8) === 0 ? Buffer.concat([cut, seeds[random(seeds.length)] ?? cut]) : cut;
  }
}
