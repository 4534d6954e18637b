#!/bin/sh
# Checks the signature of one received message, and drops a repeat. Needs openssl.
#
# SIGNING_SECRET=whsec_... SEEN=folder sh receive.sh ID TIMESTAMP SIGNATURE body.json
#
# The first three are the headers webhook-id, webhook-timestamp and webhook-signature. body.json has the body, byte for
# byte as it arrived. Exits with 0 for a new message, with 1 if it is not genuine, with 2 for a repeat.
set -eu
id=$1 timestamp=$2 signatures=$3 body=$4

fail() {
    echo "$2" >&2
    exit "$1"
}

case $timestamp in
'' | *[!0-9]*) fail 1 "The timestamp is no number." ;;
esac
age=$(($(date +%s) - timestamp))
{ [ "$age" -le 300 ] && [ "$age" -ge -300 ]; } || fail 1 "The message is too old, or a clock is wrong."

key=$(printf %s "${SIGNING_SECRET#whsec_}" | openssl base64 -d -A | od -An -v -tx1 | tr -d ' \n')
expected=$({ printf '%s.%s.' "$id" "$timestamp"; cat "$body"; } |
    openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | openssl base64 -A)
# There are two signatures while the secret is being replaced.
case " $signatures " in
*" v1,$expected "*) ;;
*) fail 1 "The signature is wrong." ;;
esac

# The id is genuine by now. It is a UUID, so it can be a name. Of two calls at once, one makes the folder.
mkdir "$SEEN/$id" 2>/dev/null || fail 2 "$id was received before."
