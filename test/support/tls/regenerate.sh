#!/bin/sh
# Makes the test-only certificates anew, next to this script. Needs openssl 3. See README.md.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
from=20200101000000Z
until=21200101000000Z

cat > "$work/ca.conf" <<CONF
[ca]
default_ca = test
[test]
database = $work/index.txt
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
copy_extensions = none
unique_subject = no
[any]
commonName = supplied
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[here]
subjectAltName = DNS:localhost, IP:127.0.0.1
extendedKeyUsage = serverAuth
[elsewhere]
subjectAltName = DNS:elsewhere.invalid
extendedKeyUsage = serverAuth
[client]
extendedKeyUsage = clientAuth
CONF
: > "$work/index.txt"

# make NAME SUBJECT EXTENSIONS FROM UNTIL SIGNING-OPTIONS...
make() {
  name=$1 subject=$2 extensions=$3 start=$4 end=$5
  shift 5
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$subject" \
    -keyout "$name.key.pem" -out "$work/$name.csr" 2> /dev/null
  openssl ca -batch -notext -config "$work/ca.conf" -extensions "$extensions" -startdate "$start" -enddate "$end" \
    -in "$work/$name.csr" -out "$name.cert.pem" "$@" 2> /dev/null
}

make ca 'Test CA, trust nowhere' authority $from $until -selfsign -keyfile ca.key.pem
signed='-cert ca.cert.pem -keyfile ca.key.pem'
make server localhost here $from $until $signed
make expired localhost here $from 20210101000000Z $signed
make wrong-host elsewhere.invalid elsewhere $from $until $signed
make client test-client client $from $until $signed
make self-signed localhost here $from $until -selfsign -keyfile self-signed.key.pem
# Nothing needs to be signed by this authority any more.
rm ca.key.pem
