#!/bin/sh
# The flow of the Durable Functions sample "E4_SmsPhoneVerification", with curl.
#
#   ISSUER=… KEY=… sh sample.sh +819012345678
set -eu
issuer=${ISSUER:-http://localhost:3000}
issuer=${issuer%/}

# field NAME prints a string of the JSON on standard input; use jq if you have it.
field() { sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

# POST /orchestrators/E4_SmsPhoneVerification starts an instance.
started=$(curl -sS -H "x-functions-key: $KEY" -H "Content-Type: application/json" \
	-d "\"$1\"" "$issuer/orchestrators/E4_SmsPhoneVerification")
status=$(printf %s "$started" | field statusQueryGetUri)
event=$(printf %s "$started" | field sendEventPostUri | sed 's/{eventName}/SmsChallengeResponse/')
[ -n "$status" ] || { echo "sample: error: $(printf %s "$started" | field message)" >&2; exit 1; }

# The address that came with the start takes the code; the one beside it tells the end.
while
	echo "Code?"
	read -r code || { echo "sample: error: no code was typed" >&2; exit 1; }
	curl -sS -o /dev/null -H "Content-Type: application/json" -d "\"$code\"" "$event"
	instance=$(curl -sS "$status")
	[ "$(printf %s "$instance" | field runtimeStatus)" = Running ]
do
	echo "Wrong."
done
case $instance in
*'"output":true'*) echo "Verified" ;;
*) echo "sample: error: not verified" >&2; exit 1 ;;
esac
