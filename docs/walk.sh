#!/usr/bin/env bash
# Walks the playbook data-leakage from a report to the signed close with curl, and prints every refusal met on the way.
# Usage: docs/walk.sh [ADDRESS] [KEY]    (defaults: the address of `make run` and the key it keeps)
set -euo pipefail
address=${1:-http://127.0.0.1:${HOLDFAST_PORT:-8080}}
ann=${2:-$(cat "${HOLDFAST_DATA_DIR:-.holdfast}/admin-key")}
answer=$(mktemp); trap 'rm -f "$answer"' EXIT

field() { # field PATH: one member of the last answer, such as id or missing.0.ref
    python3 -c 'import json, sys
value = json.load(open(sys.argv[1]))
for part in sys.argv[2].split("."): value = value[int(part) if part.isdigit() else part]
print(value)' "$answer" "$1"
}
call() { # call KEY METHOD PATH [JSON]: must be answered with 2xx
    status=$(curl -sS -o "$answer" -w '%{http_code}' -X "$2" "$address$3" \
        -H "Authorization: Bearer $1" -H 'Content-Type: application/json' ${4:+-d "$4"})
    case $status in 2*) ;; *) echo "unexpected $status: $2 $3"; cat "$answer"; exit 1 ;; esac
}
refused() { # refused TITLE KEY METHOD PATH JSON: must be refused
    status=$(curl -sS -o "$answer" -w '%{http_code}' -X "$3" "$address$4" \
        -H "Authorization: Bearer $2" -H 'Content-Type: application/json' -d "$5")
    case $status in 4*) ;; *) echo "expected a refusal, got $status: $3 $4"; cat "$answer"; exit 1 ;; esac
    echo "refused: $1"
    python3 -c 'import json, sys
problem = json.load(open(sys.argv[1]))
print("        ", problem["status"], problem["code"], problem.get("gate") or "", "-", problem["detail"])
for missing in problem.get("missing", []): print("          missing", missing["kind"], missing["ref"] + ":", missing["message"])' "$answer"
}
act() { # act KEY ACTION [MEMBERS]: complete an action
    call "$1" POST "$incident/actions/$2/transitions" "{\"transition\": \"complete\"${3:+, $3}}"
    echo "done:    $2"
}
step() { call "$1" POST "$incident/steps/$2/transitions" '{"transition": "complete"}'; echo "closed:  step $2, $(field sla.state)"; }
key_of() { # key_of PERSON_ID: somebody else's first key, by a one-time token
    call "$ann" POST "/v1/people/$1/enrolment" '{}'
    call none POST /v1/enrolments/redeem "{\"token\": \"$(field token)\"}"
    field key
}

# A provider of two: Ann, who pasted the list, and Bea, who also owns risks. One client with a notice clause.
call "$ann" GET /v1/me; ann_id=$(field id)
call "$ann" POST /v1/people '{"name": "Bea Berg", "email": "bea@msp.example", "roles": ["risk_owner", "legal_counsel"]}'
bea_id=$(field id); bea=$(key_of "$bea_id")
call "$ann" POST /v1/clients '{"name": "Example Client Ltd", "gdpr_role": "processor", "contract": {"clauses": [{"kind": "msa",
    "notice_duration": "PT72H", "notice_clock": "discovered_at", "recipient": "dpo@client.example", "method": "e-mail",
    "threshold": "any", "source_document": "MSA 2025", "clause": "9.2"}]}}'
client=$(field id)

call "$ann" POST /v1/incidents "{\"title\": \"Client list pasted into a public chatbot\", \"playbook\": \"data-leakage\",
    \"client_ids\": [\"$client\"]}"
incident=/v1/incidents/$(field number)
echo "opened:  $(field number), $(field status), $(field severity)"

curl -sS -o "$answer" "$address$incident/evidence?filename=prompt.txt&kind=screenshot&action_id=DL.1.2" \
    -H "Authorization: Bearer $ann" -H 'Content-Type: text/plain' --data-binary 'the prompt, word for word'
shot=$(field id)
act "$ann" DL.1.1
act "$ann" DL.1.2 "\"evidence_ids\": [\"$shot\"]"
act "$ann" DL.1.3 '"inputs": {"ai_systems": {"entries": [{"name": "ExampleChat", "url": "https://chat.example.com",
    "identification": "identified"}]}}'
act "$ann" DL.1.4 '"inputs": {"affected_data": {"entries": [{"data_type": "contact_data", "record_count": 40,
    "individuals_count": 40, "count_precision": "exact"}]}, "credentials_exposed": true}'
act "$ann" DL.1.5 "\"inputs\": {\"impacted_parties\": {\"entries\": [{\"kind\": \"client\", \"client_id\": \"$client\", \"count\": 40}]}}"
refused "credentials not rotated" "$ann" POST "$incident/steps/DL.1/transitions" '{"transition": "complete"}'
act "$ann" DL.1.6
step "$ann" DL.1

notice() { # notice KEY KIND ACTION AUDIENCE MORE: draft a message
    call "$1" POST "$incident/notifications" "{\"kind\": \"$2\", \"action_id\": \"$3\", \"audience\": \"$4\", \"channel\": \"e-mail\",
        \"recipients\": [\"$4@msp.example\"], \"subject\": \"Contact data in a public AI service\",
        \"body\": \"Contact data was entered into a public AI service. It is contained.\"${5:+, $5}}"
    message=$incident/notifications/$(field id)/transitions
}
notice "$ann" internal DL.2.1 security
call "$ann" POST "$message" '{"transition": "record_sent"}'
act "$ann" DL.2.2 '"inputs": {"retention": "30 days", "breach_notice": "within 72 hours"}'
act "$ann" DL.2.3 '"inputs": {"opt_out_available": "yes"}'
act "$ann" DL.2.4
step "$ann" DL.2

call "$ann" GET "$incident/obligations"
duty=$(python3 -c 'import json, sys
print(next(duty["id"] for duty in json.load(open(sys.argv[1])) if duty["rule_id"] == "OB-S-3"))' "$answer")
notice "$bea" client_notice DL.4.2 dpo "\"client_id\": \"$client\", \"obligation_id\": \"$duty\""
call "$bea" POST "$message" '{"transition": "submit"}'
call "$bea" POST /v1/keys "{\"name\": \"a second key of Bea\", \"person_id\": \"$bea_id\"}"; second_key=$(field key)
refused "one person's two keys as four eyes" "$second_key" POST "$message" '{"transition": "approve"}'
call "$ann" POST "$message" '{"transition": "approve"}'
refused "client notice before the assessment" "$bea" POST "$message" '{"transition": "record_sent"}'

act "$bea" DL.3.1 '"outcome": "does_not_apply", "inputs": {"rationale": "40 persons are fewer than 500."}'
act "$bea" DL.3.3 '"outcome": "applies", "inputs": {"rationale": "Clause 9.2 of the MSA asks for notice within 72 hours."}'
act "$bea" DL.3.4
act "$bea" DL.3.5 '"inputs": {"vendor_retained": "yes", "vendor_trained_on": "no", "vendor_access_known": "unknown"}'
act "$bea" DL.3.6 '"outcome": "reviewed", "inputs": {"rationale": "One contract duty stands, the others do not apply."}'
call "$bea" GET "$incident/obligations"
python3 -c 'import json, sys
for duty in json.load(open(sys.argv[1])): print(duty["id"], duty["rule_id"], duty["decision"])' "$answer" |
while read -r id rule decision; do
    [ "$decision" = open ] || continue
    if [ "$rule" = OB-S-3 ]; then body='{"decision": "notify", "rationale": "Clause 9.2 of the MSA."}'
    else body='{"decision": "not_required", "rationale": "Contact data of 40 persons; counsel is engaged already."}'; fi
    call "$bea" POST "$incident/obligations/$id/decision" "$body"
    echo "decided: $rule"
done
step "$bea" DL.3

call "$bea" POST "$message" '{"transition": "record_sent"}'; echo "sent:    the client's notice, approved by another person"
act "$ann" DL.4.1
act "$ann" DL.4.4
act "$ann" DL.4.5 '"inputs": {"vendor_answer": "Deleted on the same day.", "deletion_confirmed": "yes"}'
call "$bea" POST /v1/risks/AR-001/revisions "{\"incident_id\": \"${incident##*/}\", \"decision\": \"no_change\",
    \"reason\": \"The scores expected an incident like this one.\"}"
act "$ann" DL.4.3
step "$ann" DL.4

call "$bea" POST "$incident/notifications" '{"kind": "briefing", "action_id": "DL.5.1", "audience": "all staff", "channel": "e-mail",
    "recipients": ["all@msp.example"], "subject": "A reminder", "body": "Keep client data out of public chatbots."}'
call "$bea" POST "$incident/notifications/$(field id)/transitions" '{"transition": "record_sent"}'
act "$bea" DL.5.2 '"outcome": "not_needed", "inputs": {"rationale": "The gateway filters it.", "policy_gap_found": false}'
act "$bea" CO.3 '"inputs": {"root_cause": {"category": "policy_not_followed", "method": "five_whys", "contributing": [],
    "statement": "The policy forbids it and the work had to be finished that night.", "confidence": "high"}}'
refused "documentation missing" "$bea" POST "$incident/sign-off" '{"statement": "All is done."}'
act "$bea" CO.4 "\"inputs\": {\"remediation\": {\"entries\": [{\"description\": \"The credential was rotated and the chat deleted.\",
    \"done_at\": \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\", \"done_by\": \"$ann_id\", \"verified_by\": \"$bea_id\"}]}}"
act "$bea" CO.5 '"inputs": {"none": {"reason": "Nothing is left to do after the review."}}'
same='{"answer": "no_change_needed", "reason": "The review found it sufficient."}'
act "$bea" CO.6 "\"outcome\": \"answered\", \"inputs\": {\"technical_controls\": $same, \"vendor_review\": $same, \"tool_list\": $same,
    \"training\": $same, \"policy\": $same}"
call "$bea" PUT "$incident/documentation/D02" "{\"discovered_by\": \"$ann_id\", \"discovery_method\": \"self_report\"}"
call "$bea" PATCH "$incident" "{\"person_concerned\": \"person\", \"person_concerned_id\": \"$ann_id\"}"

refused "the signer is the person concerned" "$ann" POST "$incident/sign-off" '{"statement": "All is done."}'
call "$bea" POST "$incident/sign-off" '{"statement": "All is done and documented."}'
echo "signed:  $(field number) is $(field status)"
call "$bea" GET "$incident/timeline?limit=200"
python3 -c 'import json, sys
events = json.load(open(sys.argv[1]))["items"]
assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
assert all(after["prev_hash"] == before["hash"] for before, after in zip(events, events[1:]))
print(f"timeline: {len(events)} events, linked without a gap")' "$answer"
