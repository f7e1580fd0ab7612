// The points of Winograd's minimal filtering, and what follows from them in exact fractions.
// Plain JavaScript, because it runs before anything is compiled.
//
// F(m, r) computes m outputs of a filter of r taps from m + r − 1 values. Its points are 0, pairs ±p, and ∞. W(z) is the product
// of z − p² over all pairs, and R(z) the product over all pairs but one. Their coefficients are the rows of Bᵀ:
//
//   0    ±W(x²), with the sign that makes the first coefficient positive
//   ±p   x (x ± p) R(x²), an even part ± an odd part
//   ∞    x W(x²)
//
// Row k of Aᵀ holds the k-th powers of the points. Row p of G holds the powers of p over Π (p − q), for all other points q.

/** A reduced fraction with a positive denominator. */
export class Fraction {
  /**
   * @param {bigint} n
   * @param {bigint} d
   */
  constructor(n, d = 1n) {
    let [divisor, rest] = [n, d];
    while (rest !== 0n) [divisor, rest] = [rest, divisor % rest];
    if (divisor < 0n !== d < 0n) divisor = -divisor;
    this.n = n / divisor;
    this.d = d / divisor;
  }

  /** @param {string} text for example '3/4' */
  static parse(text) {
    const [n, d = '1'] = text.split('/');
    return new Fraction(BigInt(n), BigInt(d));
  }

  /** @param {Fraction} other */
  plus(other) {
    return new Fraction(this.n * other.d + other.n * this.d, this.d * other.d);
  }

  /** @param {Fraction} other */
  times(other) {
    return new Fraction(this.n * other.n, this.d * other.d);
  }

  /** @param {number} exponent */
  power(exponent) {
    return new Fraction(this.n ** BigInt(exponent), this.d ** BigInt(exponent));
  }

  /** @param {Fraction} other */
  equals(other) {
    return this.n === other.n && this.d === other.d;
  }

  get isNegative() {
    return this.n < 0n;
  }

  get negated() {
    return new Fraction(-this.n, this.d);
  }

  /** @returns {Fraction} */
  get magnitude() {
    return this.isNegative ? this.negated : this;
  }

  get inverse() {
    return new Fraction(this.d, this.n);
  }

  /** Rounded to single precision. */
  toFloat() {
    return Math.fround(Number(this.n) / Number(this.d));
  }
}

const ZERO = new Fraction(0n);
export const ONE = new Fraction(1n);

/**
 * @typedef {object} Points
 * @property {readonly Fraction[]} pairs the points ±p; 1 comes first where it is a point
 * @property {boolean} inTable whether the host passes the factors in a table: they are more than the registers
 */

/** @param {string} pairs @returns {Points} */
function pointsOf(pairs) {
  const fractions = pairs.split(' ').map((p) => Fraction.parse(p));
  return { pairs: fractions, inTable: fractions.length > 3 };
}

/**
 * The points of transforms of so many values: those of the least rounding error among pairs of small fractions.
 * @type {Readonly<Record<number, Points>>}
 */
export const POINTS = {
  6: pointsOf('2/3 3/2'),
  8: pointsOf('1 2 1/2'),
  10: pointsOf('1/2 5/6 6/5 2'),
  12: pointsOf('1 3/4 4/3 2/5 5/2'),
};

/** @typedef {{ readonly m: number, readonly r: number, readonly size: number }} Transform a 1-D transform F(m, r) */

/**
 * @param {number} m
 * @param {number} r
 * @returns {Transform}
 */
const transformOf = (m, r) => ({ m, r, size: m + r - 1 });
const F45 = transformOf(4, 5);
const F63 = transformOf(6, 3);
const F43 = transformOf(4, 3);
const F85 = transformOf(8, 5);
const F83 = transformOf(8, 3);
export const TRANSFORMS = { F45, F63, F43, F85, F83 };

/** The 2-D transforms: of the columns of a tile, then of its rows. */
export const FORMS = [
  { down: F85, across: F45 },
  { down: F83, across: F43 },
  { down: F43, across: F43 },
  { down: F45, across: F45 },
  { down: F63, across: F63 },
];

/** 0 … n − 1. @param {number} n */
export const range = (n) => Array.from({ length: n }, (_, i) => i);

/**
 * The coefficients of Π (z − p²), that of z⁰ first.
 * @param {readonly Fraction[]} pairs
 */
export const expand = (pairs) =>
  pairs.reduce(
    (c, p) => [ZERO, ...c].map((high, i) => high.plus((c[i] ?? ZERO).times(p.power(2).negated))),
    [ONE],
  );

/**
 * G, of shape [size, r].
 * @param {Transform} transform
 * @returns {readonly (readonly Fraction[])[]}
 */
export function filterMatrix({ size, r }) {
  const points = [ZERO, ...POINTS[size].pairs.flatMap((p) => [p, p.negated])];
  const rows = points.map((p) => {
    const product = points.reduce((n, q) => (q === p ? n : n.times(p.plus(q.negated))), ONE);
    const scale = (p === ZERO ? product.magnitude : product).inverse;
    return range(r).map((k) => p.power(k).times(scale));
  });
  return [...rows, range(r).map((k) => (k === r - 1 ? ONE : ZERO))];
}
