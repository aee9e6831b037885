// Command bench measures the gateway beside its peers on one machine in one run:
// each stands as a reverse proxy before the same backend, they take turns under
// the same load, and the processor time of all processes of each is divided by
// the requests that it answered. docs/benchmarks.md says how to read it.
//
// It knows the gateways by their programs and configurations only.
package main
