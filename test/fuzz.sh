#!/bin/sh
# Runs every fuzz target of every module for the given time.
set -eu
time=${1:-10s}
cd "$(dirname "$0")/.."
go=${GO:-go}
for module in . sdk/go plugins; do
	for package in $(cd "$module" && $go list ./...); do
		for target in $(cd "$module" && $go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
			echo "fuzz $package $target"
			(cd "$module" && $go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package")
		done
	done
done
