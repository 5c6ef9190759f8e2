// The random numbers of pcbench.execute.noise: a hash (SplitMix64's finaliser) of seed, row and place. The same samples on
// both sides. 64-bit integers are pairs of 32 bits, high then low: BigInt would take twenty times as long.

type U64 = readonly [number, number];

const GOLDEN: U64 = [0x9e3779b9, 0x7f4a7c15];
const FIRST: U64 = [0xbf58476d, 0x1ce4e5b9];
const SECOND: U64 = [0x94d049bb, 0x133111eb];

function add([ah, al]: U64, [bh, bl]: U64): U64 {
  const low = (al >>> 0) + (bl >>> 0);
  return [(ah + bh + (low > 0xffffffff ? 1 : 0)) >>> 0, low >>> 0];
}

function multiply([ah, al]: U64, [bh, bl]: U64): U64 {
  const [a1, a0, b1, b0] = [al >>> 16, al & 0xffff, bl >>> 16, bl & 0xffff];
  const low = a0 * b0;
  const middle = a1 * b0 + (low >>> 16);
  const other = a0 * b1 + (middle & 0xffff);
  const high = a1 * b1 + Math.floor(middle / 65536) + Math.floor(other / 65536);
  const carried = (high + Math.imul(ah, bl) + Math.imul(al, bh)) >>> 0;
  return [carried, (((other & 0xffff) << 16) | (low & 0xffff)) >>> 0];
}

function xorShifted([h, l]: U64, bits: number): U64 {
  return [(h ^ (h >>> bits)) >>> 0, (l ^ ((l >>> bits) | (h << (32 - bits)))) >>> 0];
}

function mix(x: U64): U64 {
  return xorShifted(multiply(xorShifted(multiply(xorShifted(x, 30), FIRST), 27), SECOND), 31);
}

function integer(value: number): U64 {
  return [Math.floor(value / 2 ** 32) >>> 0, value >>> 0];
}

/** Uniform in (0, 1), for whole numbers from 0 to 2^53. */
export function uniform(seed: number, row: number, place: number): number {
  let state = mix(add(multiply(integer(seed), GOLDEN), GOLDEN));
  state = mix(add(add(state, multiply(integer(row), GOLDEN)), [0, 1]));
  const [placeHigh, placeLow] = add(multiply(integer(place), GOLDEN), FIRST);
  const [high, low] = mix([(state[0] ^ placeHigh) >>> 0, (state[1] ^ placeLow) >>> 0]);
  return (high * 2 ** 20 + (low >>> 12) + 0.5) * 2 ** -52;
}

/** Standard normal distribution function, to about 1e-15 relative: a series in the middle, a continued fraction in the tails. */
function below(x: number): number {
  const z = Math.abs(x);
  const phi = Math.exp(-0.5 * z * z) / Math.sqrt(2 * Math.PI);
  if (z < 2) {
    let [term, sum] = [z, z];
    for (let k = 3; Math.abs(term) > 1e-17 * sum; k += 2) sum += term *= (z * z) / k;
    return x < 0 ? 0.5 - phi * sum : 0.5 + phi * sum;
  }
  let fraction = z;
  for (let k = 60; k > 0; k--) fraction = z + k / fraction;
  return x < 0 ? phi / fraction : 1 - phi / fraction;
}

/** Quantile of the standard normal distribution, by Newton's method on log or plain probabilities of the nearer tail. */
export function normal(u: number): number {
  const tail = Math.min(u, 1 - u);
  if (tail === 0.5) return 0;
  let x = -Math.sqrt(Math.max(0, -2 * Math.log(2 * tail))); // left of the answer's magnitude or near it
  for (let round = 0; round < 60; round++) {
    const p = below(x);
    const slope = Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI) / p;
    const step = Math.log(p / tail) / slope; // log Φ is concave: no step goes too far for long
    x -= step;
    if (Math.abs(step) < 1e-14 * Math.abs(x) + 1e-300) break;
  }
  return u < 0.5 ? x : -x;
}
