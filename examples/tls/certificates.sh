#!/bin/sh
# Makes an authority in certs/, and certificates of servers and a client that it
# signs, or new ones over those that are there. They are for this example only.
set -eu
cd "$(dirname "$0")"
mkdir -p certs
cd certs

[ -e ca.crt ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
	-keyout ca.key -out ca.crt -days 30 -subj "/CN=authority of the example" 2>/dev/null

make() { # NAME SUBJECT SAN KEY...
	name=$1 subject=$2 san=$3
	shift 3
	openssl req -new -newkey "$@" -nodes -keyout "$name.key.new" -out "$name.csr" -subj "$subject" 2>/dev/null
	echo "subjectAltName=$san" >"$name.ext"
	openssl x509 -req -in "$name.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -extfile "$name.ext" \
		-days 7 -out "$name.crt.new" 2>/dev/null
	rm "$name.csr" "$name.ext"
	mv "$name.key.new" "$name.key"
	mv "$name.crt.new" "$name.crt"
}

make shop /CN=shop DNS:shop.example.com ec -pkeyopt ec_paramgen_curve:P-256
make shop-rsa /CN=shop DNS:shop.example.com rsa:2048
make tenants /CN=tenants 'DNS:*.tenants.example.com' ec -pkeyopt ec_paramgen_curve:P-256
make ann /O=Partner/CN=ann DNS:ann.example.com ec -pkeyopt ec_paramgen_curve:P-256
