#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The examples of docs/PROTOCOL.md do what the page says, with curl and openssl alone; and what the page lists, errors,
# statuses and members, is what the service has.
# Variables and functions of the protocol's examples come from its page.
# shellcheck disable=SC2154,SC2119
srcdir=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
. "$srcdir/tests/tap.sh"
. "$srcdir/tests/fastmapd/daemon_tap.sh"

needs curl openssl
plan 14
cd "$tap_scratch" || exit 1
page=$srcdir/docs/PROTOCOL.md
start

# example NUMBER: runs it here, where its variables stay.
example() {
    # shellcheck source=/dev/null
    . "$tap_scratch/example-$1" >"out-$1"
}

# members: the names in the JSON on standard input, sorted.
members() {
    grep -o '"[a-z_]*": \{0,1\}' | tr -d '": ' | sort -u
}

# page_members TEXT: those of the JSON block that follows the first line with TEXT on the page.
page_members() {
    awk -v text="$1" 'index($0, text) { seen = 1 } seen && /^```json$/ { inside = 1; next } inside && /^```$/ { exit } inside' "$page" |
        members
}

expect_text "the page has the examples that this test runs" "$(find . -name 'example-*' | wc -l | tr -d ' ')" 5
example 2
expect_text "health answers with the page's members" "$(members <out-2)" "$(page_members 'GET /v1/health')"
expect "the account's example finds the answer genuine" example 3
expect_text "the account's answer has the page's members" "$(members <account.json)" "$(page_members 'GET /v1/account')"
example 4
expect_text "the blob's example ends with the whole blob" "$(tail -c 200 out-4 | sed 's/.*"have":14,"complete":\([a-z]*\).*/\1/')" true
expect_text "a blob's answer has the page's members" "$(call GET "/v1/blobs/$digest" | members)" "$(page_members 'a shared block')"
printf '%s' "$(sha256 <block)" >manifest
expect_text "a program's answer has the page's members" "$(call POST /v1/programs manifest | members)" \
    "$(printf 'missing\nprogram')"
printf '%s' "$(printf other | sha256)" >manifest
expect_text "a missing file is listed as on the page" "$(call POST /v1/programs manifest | members)" "$(page_members 'POST /v1/programs')"
open_map 0 1000000
# shellcheck disable=SC2016
expect_text "an open map's answer has the page's members" "$(members <map.json)" "$(page_members 'Answer `201`')"
u64 1 2 3 4 >inputs
expect "the span's example finds the answer genuine" example 5
expect_text "and a receipt with the page's words" "$(tr ' ' '\n' <out-5 | sed 's/=.*//')" \
    "$(sed -n 's/^ *Fastmap-Receipt: //p' "$page" | tr ' ' '\n' | sed 's/=.*//')"
# shellcheck disable=SC2016
expect_text "a closed map's answer has the page's members" "$(call DELETE "/v1/maps/$map" | members)" "$(page_members 'shows it; `DELETE')"

# The settings against their page.
admin --help | awk -F'\t' 'NF == 4 { print $1 }' | sort >has
sed -n 's/^\.It Ic //p' "$srcdir/docs/man/fastmapd.conf.5" | sort >told
expect "fastmapd.conf(5) has every setting" diff told has

# The table of errors against the source.
sed -n 's/^    X(\([a-z]*\), \([0-9]*\)).*/\2 \1/p' "$srcdir/launchers/fastmapd/answer.h" | sort >has
# shellcheck disable=SC2016
awk -F'|' '/^\| [0-9]+ \|/ { gsub(/[`,]/, "", $3); n = split($3, word, " "); for (i = 1; i <= n; i++) print $2 + 0, word[i] }' "$page" | sort >told
expect "the page lists every error with its status" diff told has
