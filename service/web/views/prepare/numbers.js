// Numbers for people: four digits are enough to compare, the API has them all.

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });
const short = new Intl.NumberFormat("en", { maximumSignificantDigits: 4, notation: "scientific" });

export function compact(number) {
  const size = Math.abs(number);
  return (number !== 0 && (size < 1e-3 || size >= 1e7) ? short : plain).format(number);
}
