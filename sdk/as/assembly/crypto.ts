import * as raw from "./raw";

/** The hashes. */
export enum Hash {
  SHA256 = 0,
  SHA384 = 1,
  SHA512 = 2,
  SHA1 = 3,
  MD5 = 4,
}

export function hash(algorithm: Hash, data: ArrayBuffer): ArrayBuffer {
  return raw.taken(<u32>raw.hash(algorithm, raw.at(data), raw.len(data), raw.at(raw.scratch), raw.len(raw.scratch)));
}

/** RFC 2104. */
export function hmac(algorithm: Hash, key: ArrayBuffer, data: ArrayBuffer): ArrayBuffer {
  return raw.taken(<u32>raw.hmac(algorithm, raw.at(key), raw.len(key), raw.at(data), raw.len(data), raw.at(raw.scratch), raw.len(raw.scratch)));
}

/** Compares in a time that does not tell where they differ. */
export function equal(a: ArrayBuffer, b: ArrayBuffer): bool {
  return raw.equal(raw.at(a), raw.len(a), raw.at(b), raw.len(b)) == 1;
}

/** Bytes that nobody can guess. */
export function random(n: i32): ArrayBuffer {
  const b = new ArrayBuffer(n);
  raw.random(raw.at(b), raw.len(b));
  return b;
}

/** AES-GCM with a key of 16, 24 or 32 bytes: nonce, ciphertext and tag; null for another key. */
export function seal(key: ArrayBuffer, data: ArrayBuffer, extra: ArrayBuffer): ArrayBuffer | null {
  raw.grow(raw.len(data) + 64);
  const n = raw.seal(raw.at(key), raw.len(key), raw.at(data), raw.len(data), raw.at(extra), raw.len(extra), raw.at(raw.scratch), raw.len(raw.scratch));
  return n < 0 ? null : raw.taken(n);
}

/** The opposite; null if it was not sealed with this key and extra. */
export function open(key: ArrayBuffer, data: ArrayBuffer, extra: ArrayBuffer): ArrayBuffer | null {
  raw.grow(raw.len(data));
  const n = raw.open(raw.at(key), raw.len(key), raw.at(data), raw.len(data), raw.at(extra), raw.len(extra), raw.at(raw.scratch), raw.len(raw.scratch));
  return n < 0 ? null : raw.taken(n);
}

/** The payload of a token that one of the keys signed; null if none did. keys are a JWK set, a JWK or PEM. */
export function verify(keys: string, token: string, algorithms: string = ""): string | null {
  const k = raw.bytes(keys), t = raw.bytes(token), a = raw.bytes(algorithms);
  raw.grow(raw.len(t));
  const n = raw.jws_verify(raw.at(k), raw.len(k), raw.at(t), raw.len(t), raw.at(a), raw.len(a), raw.at(raw.scratch), raw.len(raw.scratch));
  return n < 0 ? null : raw.text(raw.taken(n));
}

/** A token; null for a key or an algorithm that there is not. */
export function sign(key: string, algorithm: string, payload: string): string | null {
  const k = raw.bytes(key), a = raw.bytes(algorithm), p = raw.bytes(payload);
  raw.grow(2 * raw.len(p) + 2048);
  const n = raw.jws_sign(raw.at(k), raw.len(k), raw.at(a), raw.len(a), raw.at(p), raw.len(p), raw.at(raw.scratch), raw.len(raw.scratch));
  return n < 0 ? null : raw.text(raw.taken(n));
}
