#!/bin/sh
# Asks Handset whether somebody has a phone, with curl.
#
#   ISSUER=… CLIENT_ID=… CLIENT_SECRET=… sh verify.sh +819012345678
set -eu
issuer=${ISSUER:-http://localhost:3000}
issuer=${issuer%/}

# field NAME prints a string of the JSON on standard input; use jq if you have it.
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

# post PATH BODY prints the answer, or ends with what is wrong.
post() {
	answer=$(curl -sS "$issuer$1" -H "Authorization: Bearer $token" -H "Content-Type: application/json" -d "$2")
	problem=$(printf %s "$answer" | field detail)
	[ -z "$problem" ] || { echo "verify: error: $problem" >&2; exit 1; }
	printf '%s\n' "$answer"
}

token=$(curl -sS "$issuer/oauth/token" -d grant_type=client_credentials -d "client_id=$CLIENT_ID" \
	--data-urlencode "client_secret=$CLIENT_SECRET" --data-urlencode "audience=$issuer/verifications" | field access_token)
[ -n "$token" ] || { echo "verify: error: no token: check CLIENT_ID and CLIENT_SECRET" >&2; exit 1; }

verification=$(post /verifications "{\"phone_number\":\"$1\",\"purpose\":\"example\"}")
id=$(printf %s "$verification" | field id)
echo "A code was sent to $(printf %s "$verification" | field phone_number)"
status=pending
while [ "$status" = pending ]; do
	echo "Code?"
	read -r code || { echo "verify: error: no code was typed" >&2; exit 1; }
	verification=$(post "/verifications/$id/answers" "{\"code\":\"$code\"}")
	status=$(printf %s "$verification" | field status)
	[ "$status" != pending ] || echo "Wrong. Tries left: $(printf %s "$verification" | sed -n 's/.*"attempts_left":\([0-9]*\).*/\1/p')"
done
[ "$status" = approved ] || { echo "verify: error: the verification is $status" >&2; exit 1; }
# A front end would hand the result to its back end, which does this.
proof=$(post /verifications/results "{\"result\":\"$(printf %s "$verification" | field result)\"}")
echo "Verified $(printf %s "$proof" | field phone_number)"
