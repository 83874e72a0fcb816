"""Asks Handset whether somebody has a phone, with Python 3 and no package.

  ISSUER=… CLIENT_ID=… CLIENT_SECRET=… python3 verify.py +819012345678
"""

import json
import os
import sys
import urllib.error
import urllib.parse
import urllib.request

issuer = os.environ.get("ISSUER", "http://localhost:3000").rstrip("/")


def post(path, body, headers):
    request = urllib.request.Request(issuer + path, body.encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as refused:
        said = json.load(refused)
        sys.exit("verify: error: " + (said.get("detail") or said["error_description"]))


def call(path, body):
    return post(path, json.dumps(body), {
        "Authorization": "Bearer " + token, "Content-Type": "application/json"})


token = post("/oauth/token", urllib.parse.urlencode({
    "grant_type": "client_credentials",
    "client_id": os.environ["CLIENT_ID"],
    "client_secret": os.environ["CLIENT_SECRET"],
    "audience": issuer + "/verifications",
}), {})["access_token"]

started = call("/verifications", {"phone_number": sys.argv[1], "purpose": "example"})
print("A code was sent to", started["phone_number"], flush=True)
verification = started
while verification["status"] == "pending":
    print("Code?", flush=True)
    code = sys.stdin.readline().strip()
    if not code:
        sys.exit("verify: error: no code was typed")
    verification = call(f"/verifications/{started['id']}/answers", {"code": code})
    if verification["status"] == "pending":
        print("Wrong. Tries left:", verification["attempts_left"], flush=True)
if verification["status"] != "approved":
    sys.exit(f"verify: error: the verification is {verification['status']}")
# A front end would hand the result to its back end, which does this.
print("Verified", call("/verifications/results", {"result": verification["result"]})["phone_number"])
