// Makes number-to-string.tsv: bits of a double in hexadecimal, tab, String(double). Run with Node 20:
//   node generate.mjs > number-to-string.tsv
// and plaintext.jsonl (see below):
//   node generate.mjs plaintext > plaintext.jsonl
const view = new DataView(new ArrayBuffer(8));
const fromBits = (bits) => (view.setBigUint64(0, bits), view.getFloat64(0));
const toBits = (value) => (view.setFloat64(0, value), view.getBigUint64(0));

// xorshift64*, so that the table can be made again
let state = 0x9e3779b97f4a7c15n;
const mask = (1n << 64n) - 1n;
function random() {
  state ^= state >> 12n;
  state ^= (state << 25n) & mask;
  state ^= state >> 27n;
  return (state * 0x2545f4914f6cdd1dn) & mask;
}

function numbers() {
  const values = [
    0, -0, 1, -1, 1.5, 0.1, 0.5, 1e3, 42, 1e20, 1e21, 1e22, 123456789012345680000, 999999999999999900000, 1e-5, 1e-6,
    1e-7, 1.5e-6, 1.5e-7, 123e-20, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 9007199254740991,
    9007199254740992, 9007199254740994, 9223372036854775807, -9223372036854775808, 0.1 + 0.2, 1 / 3, 100, 1200, 2 ** 53,
    2 ** 70, NaN, Infinity, -Infinity, 4.35, 0.000001, 0.0000001, 1e23, 8.41e21, 9.5e-7, 2e-44,
  ];
  for (let e = -25; e <= 25; e++) for (const m of [1, 1.2, 9.99, 1.2345678901234567]) values.push(Number(`${m}e${e}`));
  for (let i = -1074; i < 1024; i += 3) values.push(2 ** i);
  for (let i = 0; i < 1000; i++) values.push(fromBits(random()));
  for (let i = 0; i < 300; i++) values.push(Number(random() >> 20n) / 10 ** Number(random() % 16n));
  return values;
}

// One pack per line: namespaces with their entries in file order, and what JSON.stringify makes of the objects.
function plaintexts() {
  const texts = ["", "plain", "a\"b\\c/d", "\b\f\n\r\t", "\u0000\u0001\u001f\u007f\u0080", "\u2028\u2029\ufeff", "é漢😀", "</script>", " x "];
  const keys = ["A", "z", "10", "9", "0", "007", "4294967294", "4294967295", "-1", "1.5", "1e3", "", "a b", "k\ny", "é", "\u0007", "<<<", "length"];
  const out = [[], [["flags", []]], [["a", []], ["b", [["K", "v"]]], ["c", []]]];
  out.push([["n", keys.map((key, i) => [key, texts[i % texts.length]])]]);
  for (let i = 0; i < 60; i++) {
    const namespaces = [];
    for (let n = 0; n <= Number(random() % 4n); n++) {
      const entries = new Map();
      for (let k = 0; k < Number(random() % 9n); k++) {
        entries.set(keys[Number(random() % BigInt(keys.length))], texts[Number(random() % BigInt(texts.length))]);
      }
      namespaces.push([`n${9 - n}`, [...entries]]);
    }
    out.push(namespaces);
  }
  return out;
}

if (process.argv[2] === "plaintext") {
  for (const namespaces of plaintexts()) {
    const object = {};
    for (const [name, entries] of namespaces) {
      object[name] = {};
      for (const [key, value] of entries) object[name][key] = value;
    }
    console.log(JSON.stringify({ namespaces, expected: JSON.stringify(object) }));
  }
} else {
  for (const value of numbers()) console.log(`${toBits(value).toString(16).padStart(16, "0")}\t${String(value)}`);
}
