// What plugins do, for the benchmark of what fuel costs.

let sum: u32 = 0;
const document =
  '{"id":12345,"name":"some user","roles":["reader","writer","admin"],"limits":{"minute":600,"day":100000},"address":{"city":"Anywhere"}}';
const lines = "Accept: */*\r\nUser-Agent: curl/8\r\nX-A: one, two, three\r\nCookie: a=b; c=d\r\nHost: example.com";
const blob = new Uint8Array(8192).fill(97);

class Scanner {
  at: i32 = 0;
  constructor(public text: string) {}

  value(): u32 {
    let n: u32 = 1;
    const c = this.text.charCodeAt(this.at++);
    if (c == 0x7b || c == 0x5b) {
      const end = c + 2;
      while (this.text.charCodeAt(this.at) != end) {
        n += this.value();
        const next = this.text.charCodeAt(this.at);
        if (next == 0x3a || next == 0x2c) this.at++;
      }
      this.at++;
    } else if (c == 0x22) {
      const from = this.at;
      this.at = this.text.indexOf('"', from) + 1;
      n += this.text.substring(from, this.at - 1).length;
    } else {
      while (this.text.charCodeAt(this.at) >= 0x30 && this.text.charCodeAt(this.at) <= 0x39) this.at++;
    }
    return n;
  }
}

export function json(): void {
  sum += new Scanner(document).value();
}

export function headers(): void {
  const fields = new Map<string, string>();
  const list = lines.split("\r\n");
  for (let i = 0; i < list.length; i++) {
    const colon = list[i].indexOf(":");
    fields.set(list[i].substring(0, colon).toLowerCase(), list[i].substring(colon + 1).trim());
  }
  sum += fields.size;
}

// A loop of five instructions: the most that fuel can cost.
export function loop(): void {
  let c: u32 = 0xffffffff;
  for (let i = 0; i < blob.length; i++) {
    c ^= blob[i];
    for (let k = 0; k < 8; k++) c = c & 1 ? (c >> 1) ^ 0xedb88320 : c >> 1;
  }
  sum += c;
}

export function sort(): void {
  const list = new Array<u32>(1000);
  let x: u32 = 1;
  for (let i = 0; i < 1000; i++) {
    x = x * 1664525 + 1013904223;
    list[i] = x;
  }
  list.sort((a, b) => (a < b ? -1 : i32(a > b)));
  sum += list[0];
}
