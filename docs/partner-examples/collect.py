"""Collects operations, applies each once, and acknowledges it. Needs the package `requests`.

DESK=https://desk.example.com TOKEN=... python collect.py
"""

import os
import sys
import time

import requests

desk = requests.Session()
desk.headers["Authorization"] = f"Bearer {os.environ['TOKEN']}"
outbox = f"{os.environ['DESK']}/api/v1/outbox/"
records = {}  # the ids that were applied, with our record's id; a real desk keeps this in its database


def apply(operation):
    number = operation["change"]["number"]
    print(operation["operation"], operation["sequence"], number, operation["change"]["title"], flush=True)
    return f"D-{number}"


cursor = ""
while True:
    try:
        answer = desk.get(outbox, params={"after": cursor, "wait": 30}, timeout=60)
        if answer.status_code in (401, 403):
            sys.exit(f"Ask the service desk: {answer.text}")
        if not answer.ok:
            print("Trying again:", answer.text, flush=True)
            cursor = ""  # begins as a new reader, in case the cursor is not known any more
            time.sleep(5)
            continue
        said = answer.json()
        for operation in said["results"]:
            if operation["id"] not in records:
                records[operation["id"]] = apply(operation)
        done = [{"id": one["id"], "external_id": records[one["id"]]} for one in said["results"]]
        if done:
            answer = desk.post(f"{outbox}acknowledge/", json={"operations": done}, timeout=60)
            answer.raise_for_status()
            for one in answer.json()["results"]:
                if "error" in one:
                    print("Not acknowledged:", one, flush=True)
        cursor = said["cursor"] or ""
    except requests.RequestException as error:
        print("Trying again:", error, flush=True)
        time.sleep(5)
