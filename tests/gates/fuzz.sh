#!/bin/sh
# fuzz.sh BUILD_DIR SECONDS   runs each fuzz target that long, from its seeds in tests/fuzz/seeds/NAME, and those in Python.
# What it finds stays in BUILD_DIR/corpus/NAME for the next run; a crash fails and leaves BUILD_DIR/crash-*. A round in
# Python that fails says the seed that repeats it.
set -eu
build=$1
seconds=$2

count=0
failed=0
for target in "$build"/tests/fuzz_*; do
    if [ ! -f "$target" ] || [ ! -x "$target" ]; then continue; fi
    name=${target##*/fuzz_}
    case $name in replay_*) continue ;; esac
    corpus=$build/corpus/$name
    log=$build/fuzz-$name.log
    mkdir -p "$corpus"
    set -- "$corpus"
    if [ -d "tests/fuzz/seeds/$name" ]; then set -- "$@" "tests/fuzz/seeds/$name"; fi
    count=$((count + 1))
    if "$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/" "$@" >"$log" 2>&1; then
        echo "$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$log") runs"
    else
        failed=$((failed + 1))
        tail -40 "$log"
        echo "$name: FAILED, see $log"
    fi
done
[ "$count" -gt 0 ] || { echo "no fuzz target in $build/tests"; exit 1; }
for script in tests/fuzz/*_fuzz.py; do
    count=$((count + 1))
    /usr/bin/python3 -B "$script" "$seconds" 2>&1 || failed=$((failed + 1))
done
echo "fuzz: $((count - failed)) passed, $failed failed"
[ "$failed" = 0 ]
