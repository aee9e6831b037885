#!/bin/sh
# Checks the sources of all modules. A tool that is not installed is named and
# passed over; with CI set that is a failure, except for the vulnerability
# database, which may be out of reach.
set -u
cd "$(dirname "$0")/.." || exit 1
go=${GO:-go}
PATH=$PATH:$($go env GOPATH)/bin
failed=0

# All but the conventions for comments and names.
checks="all,-ST1000,-ST1003,-ST1020,-ST1021,-ST1022"

unformatted=$(gofmt -l cmd runtime host policies plugins sdk bench test)
if [ -n "$unformatted" ]; then
	echo "not formatted:"
	echo "$unformatted"
	failed=1
fi

missing() {
	echo "$1 is not installed: passed over"
	[ -z "${CI:-}" ] || failed=1
}

for module in . sdk/go plugins test/conformance; do
	(cd $module && $go vet ./...) || failed=1
	if command -v staticcheck >/dev/null; then
		(cd $module && staticcheck -checks "$checks" ./...) || failed=1
	else
		missing staticcheck
	fi
done

if command -v govulncheck >/dev/null; then
	out=$(govulncheck ./... 2>&1)
	code=$?
	# 3 means that it found something; anything else that it could not look.
	case $code in
	0) echo "govulncheck: nothing found" ;;
	3)
		echo "$out"
		failed=1
		;;
	*) echo "govulncheck could not run, so nothing is known of vulnerabilities: $(echo "$out" | tail -n 1)" ;;
	esac
else
	missing govulncheck
fi
exit $failed
