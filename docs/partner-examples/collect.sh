#!/bin/sh
# Collects operations, applies each once, and acknowledges it. Needs curl and jq.
#
# DESK=https://desk.example.com TOKEN=... sh collect.sh
#
# The folder `collected` keeps the ids that were applied.
set -eu
outbox=$DESK/api/v1/outbox/
folder=collected
mkdir -p "$folder"

# call ARGUMENTS...: the answer is in $folder/answer, its status in $status, 000 without an answer.
call() {
    status=$(curl --silent --show-error --max-time 60 --header "Authorization: Bearer $TOKEN" \
        --output "$folder/answer" --write-out '%{http_code}' "$@") || status=000
    case $status in
    401 | 403)
        echo "Ask the service desk: $(cat "$folder/answer")" >&2
        exit 1
        ;;
    esac
}

apply() {
    jq --raw-output '"\(.operation) \(.sequence) \(.change.number) \(.change.title)"'
}

cursor=
while :; do
    call --get --data-urlencode "after=$cursor" --data wait=30 "$outbox"
    if [ "$status" = 200 ]; then
        mv "$folder/answer" "$folder/operations"
        jq --compact-output '.results[]' "$folder/operations" | while IFS= read -r operation; do
            id=$(printf %s "$operation" | jq --raw-output .id)
            [ -e "$folder/$id" ] || printf %s "$operation" | apply
            : >"$folder/$id"
        done
        jq '{operations: [.results[] | {id, external_id: "D-\(.change.number)"}]}' "$folder/operations" >"$folder/done"
        if jq --exit-status '.operations != []' "$folder/done" >/dev/null; then
            call --header 'Content-Type: application/json' --data "@$folder/done" "${outbox}acknowledge/"
            [ "$status" != 200 ] || jq --raw-output '.results[] | select(.error) | "Not acknowledged: \(.)"' "$folder/answer"
        fi
    fi
    if [ "$status" = 200 ]; then
        cursor=$(jq --raw-output '.cursor // ""' "$folder/operations")
    else
        echo "Trying again: $status"
        cursor= # begins as a new reader, in case the cursor is not known any more
        sleep 5
    fi
done
