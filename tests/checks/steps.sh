# Sourced by tests/run: runs commands as named steps, times them, counts what passed and failed.
#
# Every step's output goes to a log of its own; the end of it is shown when the step fails. A failing step stops nothing.
# shellcheck shell=bash

steps_passed=0
steps_failed=0
steps_dry=no
# seconds that one step may take; then it is ended and has failed
steps_limit=2400
# lines of a failing step's log that are shown
steps_tail=80
steps_running=''
steps_logs=$(mktemp -d "${TMPDIR:-/tmp}/packproof-run.XXXXXX")

# an interrupted run ends what it had started
steps_interrupted() {
  trap - INT TERM
  if [[ -n $steps_running ]]; then kill -TERM "$steps_running" 2>/dev/null || true; fi
  exit 130
}
trap steps_interrupted INT TERM

# Runs one step. KIND says what it counts as: "one", or the tests in the output of "nextest" or "libtest".
# The log's path is in steps_log afterwards; returns the command's verdict as steps_ok=yes|no, never by exit code.
step() { # NAME KIND COMMAND…
  local name=$1 kind=$2 code=0 begin=$EPOCHREALTIME tests_passed=0 tests_failed=0 detail=''
  shift 2
  steps_log=$steps_logs/${name//[^A-Za-z0-9]/-}.log
  steps_ok=yes
  if [[ $steps_dry == yes ]]; then
    printf 'would run  %-28s %s\n' "$name" "$*"
    : >"$steps_log"
    return 0
  fi
  # a process group of its own, so that the limit ends the whole step; no standard input
  timeout --kill-after=30 "$steps_limit" "$@" >"$steps_log" 2>&1 </dev/null &
  steps_running=$!
  wait "$steps_running" || code=$?
  steps_running=''
  if ((code == 124 || code == 137)); then detail="ended after $steps_limit s"; fi

  case $kind in
    one) ;;
    nextest) count_nextest "$steps_log" ;;
    libtest) count_libtest "$steps_log" ;;
    *)
      echo "unknown kind of step: $kind" >&2
      exit 2
      ;;
  esac
  # a runner that failed without naming a failed test did not get that far
  if ((code != 0 && tests_failed == 0)); then tests_failed=1; fi
  if ((code == 0 && tests_failed == 0 && tests_passed == 0)); then
    if [[ $kind == nextest ]]; then
      tests_failed=1 detail='no test was run'
    else
      tests_passed=1
    fi
  fi
  ((steps_passed += tests_passed, steps_failed += tests_failed)) || true
  if ((tests_failed > 0)); then steps_ok=no; fi
  steps_line "$name" "$begin" "$kind" "$tests_passed" "$tests_failed" "$detail"
}

steps_line() { # NAME BEGIN KIND PASSED FAILED DETAIL
  local tenths=$(((${EPOCHREALTIME/[.,]/} - ${2/[.,]/}) / 100000)) verdict=ok counts=''
  if (($5 > 0)); then verdict=FAILED; fi
  if [[ $3 != one ]]; then counts="  $4 passed, $5 failed"; fi
  printf '%-7s %6d.%d s  %s%s%s\n' "$verdict" $((tenths / 10)) $((tenths % 10)) "$1" "$counts" "${6:+; $6}"
  if (($5 > 0)); then
    printf '        log: %s, its end:\n' "$steps_log"
    # indented, so that no line of it is taken for a result of this run
    tail -n "$steps_tail" "$steps_log" | sed 's/^/        | /'
  fi
}

# Without terminal colours.
plain() { sed 's/\x1b\[[0-9;]*m//g' "$1"; }

# Reads nextest's "Summary [ 1.2s] 5 tests run: 4 passed (1 slow), 1 failed, 2 skipped"; what ran and did not pass has failed,
# whatever nextest calls it (failed, timed out, could not be started). An interrupted run says "3/5 tests run".
count_nextest() { # LOG; sets tests_passed, tests_failed, detail
  local line run
  line=$(plain "$1" | grep -E '^ *Summary \[.*\] +[0-9]+(/[0-9]+)? tests? run: ' | tail -n 1) || return 0
  run=$(sed -E 's/^.*\] +([0-9]+\/)?([0-9]+) tests? run: .*/\2/' <<<"$line")
  tests_passed=$(sed -nE 's/.* tests? run: ([0-9]+) passed.*/\1/p' <<<"$line")
  tests_passed=${tests_passed:-0}
  tests_failed=$((run - tests_passed))
  if [[ $line =~ ([1-9][0-9]*)\ skipped ]]; then detail="${BASH_REMATCH[1]} tests not asked for (ignored or filtered)"; fi
}

# Adds up libtest's "test result: ok. 3 passed; 0 failed; 0 ignored; …".
count_libtest() { # LOG; sets tests_passed, tests_failed
  local numbers
  numbers=$(plain "$1" | sed -nE 's/^test result: [A-Za-z]+\. ([0-9]+) passed; ([0-9]+) failed;.*/\1 \2/p' |
    awk '{ passed += $1; failed += $2 } END { print passed + 0, failed + 0 }')
  read -r tests_passed tests_failed <<<"$numbers"
}

# Brings one peer (a script of tests/peers) and exports the path of its program; its version goes into the report.
peer() { # VARIABLE SCRIPT [ARGUMENT]
  local variable=$1 path
  shift
  step "peer $(basename "$1")${2:+ $2}" one "$@"
  if [[ $steps_dry == yes || $steps_ok == no ]]; then return 0; fi
  path=$(tail -n 1 "$steps_log")
  if [[ ! -x $path ]]; then
    echo "FAILED  $1 printed no program as its last line"
    ((steps_failed += 1, steps_passed -= 1)) || true
    return 0
  fi
  # what it says of its version is the line before; a note is for whoever keeps peers.lock
  { grep '^note: ' "$steps_log" || true; tail -n 2 "$steps_log" | sed -n 1p; } | sed 's/^/        | /'
  export "$variable=$path"
}

# The last line of a run; exit code 1 when anything failed.
finish() {
  if ((steps_failed == 0)); then rm -rf "$steps_logs"; fi
  printf '%d passed, %d failed\n' "$steps_passed" "$steps_failed"
  ((steps_failed == 0))
}
