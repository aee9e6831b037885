// Command bench measures the gateway beside nginx and haproxy on one machine in
// one run: each stands as a reverse proxy before the same backend, they take
// turns under the same load, and the processor time of all processes of each is
// divided by the requests that it answered.
//
// It knows the gateways by their programs and configurations only.
package main
