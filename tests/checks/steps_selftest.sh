#!/usr/bin/env bash
# Runs steps that pass, fail, hang and report tests, and compares what steps.sh makes of them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cases=0 failures=0

# Runs a script of steps; compares its last line and exit code, and what else it must say.
expect() { # NAME LAST-LINE CODE SAYS SCRIPT
  local code=0
  printf 'set -euo pipefail\n. %q\n%s\nfinish\n' "$here/steps.sh" "$5" >"$work/script"
  TMPDIR=$work bash "$work/script" >"$work/out" 2>"$work/err" || code=$?
  cases=$((cases + 1))
  if [[ $(tail -n 1 "$work/out") != "$2" || $code != "$3" || -s $work/err ]] || ! grep -q -- "$4" "$work/out"; then
    failures=$((failures + 1))
    printf 'failed: %s: exit code %s, output:\n' "$1" "$code"
    sed 's/^/    /' "$work/out" "$work/err"
  fi
}

summary() { printf 'printf "%%s\\n" %q' "     Summary [   0.123s] $1"; }

expect 'nothing' '0 passed, 0 failed' 0 '' ''
expect 'one step passes' '1 passed, 0 failed' 0 '^ok .* name' 'step name one true'
expect 'one fails, the next still runs' '1 passed, 1 failed' 1 '^FAILED .* first' 'step first one false; step second one true'
expect 'the end of a failing log is shown' '0 passed, 1 failed' 1 '^        | why' 'step x one sh -c "echo why; exit 3"'
expect 'a result line in a log is not ours' '0 passed, 1 failed' 1 '^        | 9 passed, 0 failed$' \
  'step x one sh -c "echo 9 passed, 0 failed; exit 1"'
expect 'a step that hangs is ended' '0 passed, 1 failed' 1 'ended after 1 s' 'steps_limit=1; step x one sleep 60'
expect 'a step has no standard input' '1 passed, 0 failed' 0 '^ok' 'step x one sh -c "! read -r line"'
expect 'a dry run runs nothing' '0 passed, 0 failed' 0 '^would run  x  *false' 'steps_dry=yes; step x one false'
expect 'nextest: all pass' '5 passed, 0 failed' 0 'x  5 passed, 0 failed$' \
  "step x nextest sh -c '$(summary '5 tests run: 5 passed, 0 skipped')'"
expect 'nextest: one test' '1 passed, 0 failed' 0 '^ok' "step x nextest sh -c '$(summary '1 test run: 1 passed, 0 skipped')'"
expect 'nextest: slow and skipped ones' '4 passed, 0 failed' 0 '2 tests not asked for' \
  "step x nextest sh -c '$(summary '4 tests run: 4 passed (1 slow, 1 flaky), 2 skipped')'"
expect 'nextest: failed and timed out' '4 passed, 3 failed' 1 '^FAILED' \
  "step x nextest sh -c '$(summary '7 tests run: 4 passed, 1 failed, 2 timed out, 0 skipped'); exit 100'"
expect 'nextest: none passes' '0 passed, 2 failed' 1 '^FAILED' \
  "step x nextest sh -c '$(summary '2 tests run: 0 passed, 2 failed, 0 skipped'); exit 100'"
expect 'nextest: interrupted' '2 passed, 8 failed' 1 '^FAILED' \
  "step x nextest sh -c '$(summary '3/10 tests run: 2 passed, 1 failed, 0 skipped'); exit 100'"
expect 'nextest: does not build' '0 passed, 1 failed' 1 '^FAILED' 'step x nextest sh -c "echo error: no; exit 101"'
expect 'nextest: passes but says failure' '5 passed, 1 failed' 1 '^FAILED' \
  "step x nextest sh -c '$(summary '5 tests run: 5 passed, 0 skipped'); exit 1'"
expect 'nextest: no test at all' '0 passed, 1 failed' 1 'no test was run' 'step x nextest true'
expect 'libtest: sums up' '5 passed, 0 failed' 0 '^ok' \
  'step x libtest sh -c "echo test result: ok. 3 passed\; 0 failed\; 0 ignored; echo test result: ok. 2 passed\; 0 failed\; 1 ignored"'
expect 'libtest: a failure' '3 passed, 1 failed' 1 '^FAILED' \
  'step x libtest sh -c "echo test result: FAILED. 3 passed\; 1 failed\; 0 ignored; exit 101"'
expect 'libtest: nothing to test' '1 passed, 0 failed' 0 '^ok' 'step x libtest true'
expect 'a peer is exported, its version shown' '2 passed, 0 failed' 0 '^        | tool 1.2$' \
  'peer TOOL sh -c "echo tool 1.2 >&2; echo /bin/true"; step y one sh -c "test \$TOOL = /bin/true"'
expect 'a peer that is not there' '0 passed, 1 failed' 1 'no program' 'peer TOOL sh -c "echo /nonexistent"'
expect 'a peer that fails' '0 passed, 1 failed' 1 '^FAILED' 'peer TOOL false'

echo "$cases cases, $failures failed"
((failures == 0))
