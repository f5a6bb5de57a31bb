#!/bin/sh
# Everything that wants a CUDA GPU: checks, speed, and experiments on data. Every step ends within ten minutes.
#
#   benchmarks/gpu.sh                  all checks and speeds
#   benchmarks/gpu.sh swap attach      some of them
#   benchmarks/gpu.sh --list           what there is
#   SEQUENCES=ml-1m.txt benchmarks/gpu.sh sasrec-none sasrec-sse       experiments name their data
#   PAIRS=pairs.tsv benchmarks/gpu.sh translate-plain translate-sse
#   DATA=DIR benchmarks/gpu.sh table7 table6      the paper's tables, size medium: start them again until they are done
#   DATA=DIR ONLY=ml1m-d100 ARMS=none,sse-se TRIALS=1 benchmarks/gpu.sh table4       a part of one
#
# Runs from a checkout: nothing is installed or fetched. Needs torch with CUDA, numba, scipy, typer; transformers for
# attach, language and translate; pytest for tests. JSON goes to OUT (default benchmarks/results), models to MODELS
# (default out/gpu). A run that is cut short goes on when its step is started again with the same MODELS.
set -u
cd "$(dirname "$0")/.." || exit 1
PYTHON=${PYTHON:-python3}
OUT=${OUT:-benchmarks/results}
MODELS=${MODELS:-out/gpu}
LIMIT=${LIMIT:-590}
export PYTHONPATH="$PWD/src:$PWD${PYTHONPATH:+:$PYTHONPATH}"
CHECKS="tests swap attach recsys sasrec language"
EXPERIMENTS="sasrec-none sasrec-sse translate-plain translate-sse table4 table5 table6 table7"

bench() { # name
    timeout "$LIMIT" "$PYTHON" -m "benchmarks.gpu_$1" --device cuda --out "$OUT/gpu_$1.json"
}

sasrec() { # arm, setting of the paper's Table 4
    : "${SEQUENCES:?a file of sequences: user and item per line, in the order of time}"
    model="$MODELS/sasrec-$1"
    timeout "$LIMIT" "$PYTHON" -m torchsse fit sasrec "$SEQUENCES" --validation last --setting "$2" --epochs 400 \
        --patience 20 --device cuda --checkpoint "$model-run" --out "$model" --overwrite &&
        timeout "$LIMIT" "$PYTHON" -m torchsse evaluate "$model" "$SEQUENCES" --protocol both --json >"$OUT/gpu_sasrec-$1.json"
}

translate() { # arm, p0
    : "${PAIRS:?sentence pairs, a .tsv; FILE.tsv@set=train takes the lines of a column}"
    timeout "$LIMIT" "$PYTHON" -m torchsse translate train "$PAIRS" --size small --p0 "$2" --precision bf16 \
        ${DEV:+--dev "$DEV"} ${HELD_OUT:+--held-out "$HELD_OUT"} --device cuda --out "$MODELS/translate-$1" &&
        cp "$MODELS/translate-$1/translation.json" "$OUT/gpu_translate-$1.json"
}

table() { # name
    : "${DATA:?the directory of data sets, as docs/reproduce.md lays it out}"
    timeout "$LIMIT" "$PYTHON" -m torchsse reproduce "$1" --data "$DATA" --size medium --device cuda \
        ${ONLY:+--only "$ONLY"} ${ARMS:+--arms "$ARMS"} ${TRIALS:+--trials "$TRIALS"} --out "$MODELS/reproduce" &&
        cp "$MODELS/reproduce/$1/medium/results.json" "$OUT/gpu_$1.json"
}

step() {
    case $1 in
    tests | swap | attach | recsys | sasrec | language) bench "$1" ;;
    sasrec-none) sasrec none table4-b2-none ;;
    sasrec-sse) sasrec sse table4-b2-both ;;
    translate-plain) translate plain 0 ;;
    translate-sse) translate sse 0.01 ;;
    table[4-7]) table "$1" ;;
    *)
        echo "error: no step $1; there are $CHECKS $EXPERIMENTS" >&2
        return 1
        ;;
    esac
}

if [ "${1:-}" = --list ]; then
    echo "$CHECKS"
    echo "$EXPERIMENTS"
    exit 0
fi
for name in "$@"; do # a typing error is told before hours of work
    case " $CHECKS $EXPERIMENTS " in *" $name "*) ;; *) step "$name"; exit ;; esac
done
"$PYTHON" -c 'import sys, torch; sys.exit(0 if torch.cuda.is_available() else "error: no CUDA device here")' || exit 1
mkdir -p "$OUT" "$MODELS"
failed=""
for name in ${*:-$CHECKS}; do
    echo "== $name"
    step "$name" || failed="$failed $name"
done
[ -z "$failed" ] || echo "failed:$failed" >&2
[ -z "$failed" ]
