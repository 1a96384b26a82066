#!/bin/sh
# Runs Caddy as the ACME client of Envoy, and copies the certificate to where Envoy looks for it.
#   run.sh DATA CERTS READY
# DATA: Caddy's own folder, with the account's key; CERTS: the folder that Envoy watches; READY: a
# URL that answers once Envoy forwards challenges.
set -eu
data=$1 certs=$2 ready=$3
# Of this user and its group alone, which is Envoy's.
umask 027

# Each authority and name has a folder of its own: after a change, no other certificate is found.
XDG_DATA_HOME=$data/$(printf %s "$POTOO_ACME_CA $POTOO_SITE" | tr -c A-Za-z0-9.- _)
export XDG_DATA_HOME

# Authorities count failed challenges.
until wget -q -O /dev/null "$ready"; do sleep 1; done

# Written beside and moved: Envoy sees only moves, and only whole files.
copy() {
  cmp -s "$1" "$certs/$2" || { cat "$1" >"$certs/.$2" && mv "$certs/.$2" "$certs/$2"; }
}

# Until Caddy ends, which takes over this shell's process. Between the two moves, key and
# certificate do not match: Envoy keeps its old pair.
while kill -0 $$ 2>/dev/null; do
  for found in "$XDG_DATA_HOME"/caddy/certificates/*/*/*.json; do # Caddy writes it last
    [ ! -e "$found" ] || { copy "${found%.json}.key" key.pem && copy "${found%.json}.crt" cert.pem; }
  done
  sleep 2
done &

exec caddy run --config "${0%/*}/Caddyfile" --adapter caddyfile
