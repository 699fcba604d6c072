// Makes number-to-string.tsv: bits of a double in hexadecimal, tab, String(double). Run with Node 20:
//   node generate.mjs > number-to-string.tsv
// and plaintext.jsonl (see below):
//   node generate.mjs plaintext > plaintext.jsonl
// and schema.jsonl: the values; which of them Number takes for integers, which are booleans; for each pattern which it
// matches, in the order of the values, one bit each, the first value's highest, in hexadecimal:
//   node --enable-experimental-regexp-engine-on-excessive-backtracks generate.mjs schema > schema.jsonl
// Without the flag the answers are the same, and some patterns take hours for the long values.
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

const pick = (list) => list[Number(random() % BigInt(list.length))];

// A pattern of the part that schema/pattern.rs documents.
function randomPattern(depth) {
  const atom = () => {
    const kind = Number(random() % 10n);
    if (kind < 4) return pick(["a", "b", "1", "-", " ", "\\.", "\\x61", "\\u0062", "é", "/", "<", "&&", "~", "#"]);
    if (kind < 6) return pick([".", "\\d", "\\D", "\\w", "\\W", "\\s", "\\S", "\\n", "\\$"]);
    if (kind < 8) return pick(["[ab]", "[^ab]", "[a-]", "[-1]", "[^-a]", "[\\d.]", "[^\\w]", "[\\s\\S]", "[^]", "[a^]", "[[:a]", "[--b]", "[\\]\\\\]", "[\\W1]", "[ -~]", "[^\\D]"]);
    if (depth === 0) return "a";
    return `(${pick(["", "?:"])}${randomPattern(depth - 1)})`;
  };
  const parts = [];
  for (let i = 0; i <= Number(random() % 4n); i++) {
    parts.push(atom() + pick(["", "", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,}", "{0,2}", "{2,3}?", "{0}"]));
  }
  const text = parts.join("");
  const anchored = pick(["", "^", "^", "$"]) + text + pick(["", "$", "$"]);
  return random() % 4n === 0n ? `${anchored}|${randomPattern(0)}` : anchored;
}

function schemaTable() {
  const values = [
    "", " ", "\t\n\v\f\r", "\u0085", "\ufeff", "\u00a0", "\u1680", "\u180e", "\u2000", "\u200a", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000",
    "0", "-0", "+0", "1", "01", "007", "42", "-5", "+5", "--5", "+-5", " 42 ", "\n42\ufeff", "42\u0085", "4 2", "1_000", "1,000",
    "4.0", "4.", ".5", ".", "-.5", "5.5", "1.50", "0.0000001", "1e3", "1E3", "1e+3", "1e-3", "1e", "e3", "1e3.0", "1.5e1", "1.25e1", "1e21", "1e308", "1e309", "-1e400", "1e-400", "1e99999999999",
    "9007199254740993", "9007199254740993.5", "4503599627370497.5", "9223372036854775807", "123456789012345678901234567890", "0.9999999999999999999999", "1.0000000000000000000001",
    "0x1f", "0X1F", "0x", "0xg", "-0x1", "+0x1", "0x1.5", "0x 1", "0o17", "0O17", "0o8", "0o", "0b101", "0B1", "0b2", "0x1_0", "0b", "1n", "0xé", "0x１",
    "0x" + "f".repeat(256), "0x" + "f".repeat(13) + "7" + "f".repeat(242), "0x" + "f".repeat(13) + "8" + "0".repeat(242), "0x" + "f".repeat(13) + "b" + "f".repeat(242), "0x1" + "0".repeat(255), "0x1" + "0".repeat(256), "0x" + "f".repeat(14) + "8" + "0".repeat(241), "0b" + "1".repeat(1024), "0b" + "1".repeat(1023), "0o" + "7".repeat(341), "0o" + "7".repeat(342),
    "Infinity", "-Infinity", "infinity", "NaN", "null", "undefined", "１", "٣", "²",
    "true", "false", "TRUE", "False", "tRuE", " true", "true ", "yes", "on", "t", "truе", "ｔｒｕｅ", "falſe", "FALſE",
    "a", "b", "ab", "ba", "aab", "a1", "a-b", "a.b", "a\nb", "\n", "a\n", "\r\n", "a\u2028b", "a b", "é", "É", "aé", "e\u0301", "ß", "Ω", "K", "\u0000", "\u007f",
    "😀", "a😀", "😀😀", "\u{10d83d}", "\u{10ffff}b", "𝟙", "\ue000", "\uffff", "\ud7ff",
    "sk_live_51Habc", "AKIAIOSFODNN7EXAMPLE", "postgres://user:p%40ss@db.example:5432/orders?sslmode=require", "https://hooks.example/T0/B1", "10.0.0.1", "256.1.1.1", "2026-01-02T00:00:00Z", "0a1b2c3d-0000-4000-8000-00000000aaaa", "alice@example.com", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "deadbeef".repeat(8), "<a>", "a/b", "[x]", "{x}", "\\", "^a", "a$", "a|b", "(a)", "a#b", "--", "\"q\"", "/", "1.2.3-rc.1",
  ];
  const letters = ["a", "b", "1", "-", " ", ".", "\n", "é", "_", "😀", "\\", "^", "<"];
  for (let i = 0; i < 200; i++) {
    let text = "";
    for (let k = 0; k < Number(random() % 7n); k++) text += pick(letters);
    values.push(text);
  }
  const patterns = [
    "", "a", "^a$", "^.$", "^..$", "^.*$", "^[^]$", "^[^]*$", "^sk_(live|test)_[A-Za-z0-9]{8,}$", "^AKIA[0-9A-Z]{16}$", "^postgres(ql)?://", "^https://[^/]+(/.*)?$",
    "^\\d{1,3}(\\.\\d{1,3}){3}$", "^(25[0-5]|2[0-4]\\d|1?\\d?\\d)(\\.(25[0-5]|2[0-4]\\d|1?\\d?\\d)){3}$", "^\\d{4}-\\d{2}-\\d{2}T", "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
    "^[^@\\s]+@[^@\\s]+\\.[a-z]{2,}$", "^[\\w-]+\\.[\\w-]+\\.[\\w-]+$", "^-----BEGIN [A-Z ]+-----\\n", "^(?:[0-9a-f]{2})+$", "^[0-9a-fA-F]{64}$", "^\\S+$", "^\\s*$", "\\s", "\\S", "\\w", "\\W", "\\d", "\\D", "^\\W$", "^\\D$", "^\\S$",
    "[\\s]", "[^\\s]", "[^\\S]", "[\\w.]", "[^\\w.]", "[\\D\\d]", "[a-c]", "[^a-c]", "[a-]", "[-a]", "[^-a]", "[--b]", "[\\--b]", "[.]", "[\\.]", "[$^]", "[|]", "[(]", "[[]", "[\\]]", "[\\[\\]]", "[{}]", "[/]", "[&&b]", "[a&&b]", "[a~~b]", "[[:alpha:]", "[#a ]",
    "a|b", "|a", "a|", "^(|a)$", "^(a|b)*$", "^(a*)*$", "^(?:a?)*$", "^(a*?)+b", "(?:^a|b)+$", "^(?:|a)+$", "(?:$|a)+b", "^a+?$", "^a{0}$", "^a{2}", "^a{1,2}b", "a{0,0}b", "^.{3}$", "^.{6,}$", "\\x41", "\\u0041", "\\u00e9", "^\\u0065\\u0301$", "\\0", "\\t", "\\n", "\\v", "\\f", "\\r", "\\/", "\\-", "\\_", "\\ ", "\\\\", "\\^", "\\$", "a$", "$a", "^$", "a^", "^^a$$", "\ufeff", "\u0085", "é", "É", "ß", "[é-ï]", "[\\u0000-\\u001f]", "[^\\u0000-\\u00ff]", "[\\u0000-\\uffff]", "^[\\u0000-\\uffff]{2}$", "[\\ud7ff-\\ue000]", "[\\ue000-\\uffff]", "^[^a]{2}$", "^[^\\ue000-\\uffff]{3}$", "\\<", "<a>", "\\#", "a#b", "a b", "\"", "'", "%", "=", "~", "`", ",", ";", ":", "!", "@",
  ];
  for (let i = 0; i < 700; i++) patterns.push(randomPattern(2));
  while (values.length % 4) values.push("");
  const bits = (test) => {
    const text = values.map((value) => (test(value) ? "1" : "0")).join("");
    return BigInt(`0b${text}`).toString(16).padStart(values.length / 4, "0");
  };
  console.log(JSON.stringify({ values }));
  console.log(JSON.stringify({ type: "integer", accepts: bits((v) => v.trim() !== "" && Number.isInteger(Number(v))) }));
  console.log(JSON.stringify({ type: "boolean", accepts: bits((v) => ["true", "false"].includes(v.toLowerCase())) }));
  for (const pattern of new Set(patterns)) {
    const expression = new RegExp(pattern);
    console.log(JSON.stringify({ type: "string", pattern, accepts: bits((v) => expression.test(v)) }));
  }
}

if (process.argv[2] === "schema") {
  schemaTable();
} else if (process.argv[2] === "plaintext") {
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
