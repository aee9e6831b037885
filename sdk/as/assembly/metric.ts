import * as raw from "./raw";

/** A metric of the plugin, shown as headgate_plugin_x_NAME. Labels are names and values. */
export class Metric {
  constructor(private name: string) {}

  /** Adds to a counter. */
  count(labels: string[][] = [], v: f64 = 1): bool {
    return this.put(0, labels, v);
  }

  /** Sets a gauge. */
  set(v: f64, labels: string[][] = []): bool {
    return this.put(1, labels, v);
  }

  /** Changes a gauge. */
  change(v: f64, labels: string[][] = []): bool {
    return this.put(2, labels, v);
  }

  /** Puts a number of seconds into a histogram. */
  observe(v: f64, labels: string[][] = []): bool {
    return this.put(3, labels, v);
  }

  private put(op: u32, labels: string[][], v: f64): bool {
    let list = "";
    for (let i = 0; i < labels.length; i++) list += labels[i][0] + "\0" + labels[i][1] + "\0";
    const n = raw.bytes(this.name), l = raw.bytes(list);
    return raw.metric(op, raw.at(n), raw.len(n), raw.at(l), raw.len(l), v) == 0;
  }
}
