#!/bin/sh
# Starts an example: the demo backends, the gateway, and what to try. Ctrl-C, or
# the end of either, ends both.
set -u
cd "$(dirname "$0")/.." || exit 1
example=examples/$1

# Also compiles the plugins, so that the start below is quick.
bin/headgate validate "$example" || exit

bin/headgate demo &
demo=$!
bin/headgate run "$example" &
gateway=$!
trap 'kill $demo $gateway 2>/dev/null; wait' EXIT
trap 'exit 0' INT TERM HUP

alive() { kill -0 $demo 2>/dev/null && kill -0 $gateway 2>/dev/null; }

sleep 1
if alive; then
	echo
	cat "$example/TRY.txt"
	echo
	echo "Metrics: curl http://127.0.0.1:9901/metrics    Stop: Ctrl-C"
fi
while alive; do
	sleep 1
done
echo "one of the two processes ended" >&2
exit 3
