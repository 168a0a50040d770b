# shellcheck shell=bash
# Runs checks and counts them. Sourced by bash after setup.sh.
#
#   check NAME COMMAND...          one check: passed or failed
#   suite NAME COUNTER COMMAND...  many: COUNTER reads the log and prints
#                                  "PASSED FAILED"
#   finish                         closing line; status 1 if anything failed

passed=0
failed=0
logs=$root/build/logs
mkdir -p "$logs"

suite() {
  local name=$1 counter=$2 status=0 start=$SECONDS good bad
  local log=$logs/${name//[ \/]/-}.log
  shift 2
  printf '%-28s ' "$name"
  "$@" >"$log" 2>&1 </dev/null || status=$?
  read -r good bad <<<"$("$counter" "$log" "$status")"
  # A suite that died has failed, whatever it counted.
  [ "$status" = 0 ] || [ "$bad" != 0 ] || bad=1
  passed=$((passed + good))
  failed=$((failed + bad))
  if [ "$status" = 0 ] && [ "$bad" = 0 ]; then
    printf 'ok      %5d passed  %4d s\n' "$good" $((SECONDS - start))
  else
    printf 'FAILED  %5d passed, %d failed  %d s\n' "$good" "$bad" \
      $((SECONDS - start))
    tail -n 150 "$log" | sed 's/^/  | /'
    printf '  whole log: %s\n' "$log"
  fi
}

check() {
  local name=$1
  shift
  suite "$name" count_one "$@"
}

count_one() { [ "$2" = 0 ] && echo 1 0 || echo 0 1; }

# Adds up the cases of the doctest programs that ctest ran; another test of
# ctest's, and a program that died, counts as one.
count_ctest() {
  awk '
    /\[doctest\] test cases:/ {
      split($0, part, "|"); split(part[2], p, " "); split(part[3], f, " ")
      good += p[1]; bad += f[1]; cases = 1; case_bad = f[1]
    }
    / Testing: / { cases = 0; case_bad = 0 }
    /^Test Passed\./ { if (!cases) good++ }
    /^Test (Failed|timed out|not run)/ || /^(Test )?time.?out/ {
      if (!cases || case_bad == 0) bad++
    }
    END { print good + 0, bad + 0 }' "$ctest_log" 2>/dev/null || echo 0 1
}

# The lines of `ferrule check`: "2071 files, 0 bad; 1988 samples ...".
count_files() {
  awk '/^[0-9]+ files, [0-9]+ bad;/ { good += $1 - $3; bad += $3 }
       END { print good + 0, bad + 0 }' "$1"
}

# The last line of pytest: "3 failed, 120 passed, 2 skipped, 1 error in 4.2s".
count_pytest() {
  awk '
    / in [0-9.]+s/ { line = $0 }
    END {
      n = split(line, word, /[ ,=]+/)
      for (i = 2; i <= n; i++) {
        if (word[i] == "passed") good = word[i - 1]
        if (word[i] ~ /^(failed|errors?)$/) bad += word[i - 1]
      }
      print good + 0, bad + 0
    }' "$1"
}

finish() {
  printf '\n%d passed, %d failed\n' "$passed" "$failed"
  [ "$failed" = 0 ]
}
