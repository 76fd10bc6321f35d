#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Adds up the logs of test suites (test-suite.log, lint.log) and prints `N passed, N failed`, with
# `, N skipped` where some were. Fails where a test failed, a log is missing, or no test ran.
set -eu

passed=0 failed=0 skipped=0

# count LOG NAME: the number after "# NAME:" in the head of the log.
count() {
    sed -n "s/^# $2: *//p" "$1" | head -n 1
}

for log in "$@"; do
    if [ ! -f "$log" ]; then
        echo "$log is missing: its tests did not run" >&2
        failed=$((failed + 1))
        continue
    fi
    passed=$((passed + $(count "$log" PASS) + $(count "$log" XFAIL)))
    failed=$((failed + $(count "$log" FAIL) + $(count "$log" XPASS) + $(count "$log" ERROR)))
    skipped=$((skipped + $(count "$log" SKIP)))
done

if [ "$skipped" -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
