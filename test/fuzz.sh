#!/bin/sh
# Runs every fuzz target of every module, for a count of inputs such as 5000x or a
# time such as 30s. A count ends cleanly: a time may run out within an input.
set -eu
amount=${1:-10000x}
cd "$(dirname "$0")/.."
go=${GO:-go}
for module in . sdk/go plugins; do
	for package in $(cd "$module" && $go list ./...); do
		for target in $(cd "$module" && $go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
			echo "fuzz $package $target"
			(cd "$module" && $go test -run '^$' -fuzz "^$target\$" -fuzztime "$amount" -fuzzminimizetime 20x "$package")
		done
	done
done
