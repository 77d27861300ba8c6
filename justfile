# `just` lists the recipes; `just ablation scale=smoke` runs one.

set positional-arguments

speecht5 := "cargo run --release --bin speecht5 --"

# List the recipes
default:
    @{{ just_executable() }} --list

# The ablation table of the paper: just ablation [scale=smoke|mini|base] [seeds=N] [jobs=N] [KEY=VALUE ...]
ablation *args:
    @{{ just_executable() }} run ablation "$@"

# Recognition, with and without a language model: just asr [scale=smoke|mini|base] [KEY=VALUE ...]
asr *args:
    @{{ just_executable() }} run lm "$@"

# Synthesis
tts *args:
    @{{ just_executable() }} run tts "$@"

# Translation into German and French
st *args:
    @{{ just_executable() }} run st "$@"

# Voice conversion
vc *args:
    @{{ just_executable() }} run vc "$@"

# Enhancement
se *args:
    @{{ just_executable() }} run se "$@"

# Speaker identification
sid *args:
    @{{ just_executable() }} run sid "$@"

# Any table by name (`speecht5 list`): just run TABLE [scale=...] [seeds=N] [jobs=N] [data=fsdd|MANIFEST] [KEY=VALUE ...]
run table *args:
    @{{ just_executable() }} _speecht5 run "$@"

# The report of a run under way, on this machine: just watch TABLE, with what `just run` was given
watch table *args:
    @{{ just_executable() }} _speecht5 watch "$@"

# What a table would do, without doing it: just plan TABLE, with what `just run` would be given
plan table *args:
    @{{ just_executable() }} _speecht5 plan "$@"

_speecht5 command table *args:
    #!/usr/bin/env bash
    set -euo pipefail
    words=("$1" "$2")
    shift 2
    for arg in "$@"; do
        case $arg in
            scale=* | seeds=*) words+=("--${arg%%=*}" "${arg#*=}") ;;
            # `plan` and `watch` do nothing that could be done side by side.
            jobs=*) [ {{ command }} != run ] || words+=(--jobs "${arg#jobs=}") ;;
            # What `just digits` prepares.
            data=fsdd) words+=(--data data/digits/manifest.jsonl --name digits) ;;
            data=*) words+=(--data "${arg#data=}") ;;
            *) words+=("$arg") ;;
        esac
    done
    exec {{ speecht5 }} "${words[@]}"

# The Free Spoken Digit Dataset as a corpus: just digits DIR (with its recordings/) [OUT]
digits from to="data/digits":
    cargo run --release --bin vocable -- prepare fsdd --from "$1" --to "$2" --strings 600

# All tests that need nothing but Rust
test:
    cargo test --workspace

# Tests on real recordings; fails where they are missing: just test-recordings DIR (the digits' recordings/)
test-recordings from:
    VOCABLE_FSDD="$(realpath "$1")" cargo test --workspace --features speecht5-experiments/recordings --test recordings

# A report in headless Chromium (Debian's `chromium`): it loads, plays, sorts and filters
test-report:
    cargo test --workspace --features speecht5-experiments/chromium --test chromium

# What was measured, as one page with curves, sounds and pictures: just report [FILE] [ARGS ...]
report file="report.html" *args:
    @file=$1; shift; {{ speecht5 }} report --html "$file" "$@"

# Keep what was measured beside the code, write RESULTS.md and its page: just keep [RUNS]
keep runs="runs":
    {{ speecht5 }} archive --runs "$1" --to experiments/speecht5/results --exhibits 7
    {{ speecht5 }} report --runs experiments/speecht5/results --markdown experiments/speecht5/RESULTS.md
    {{ speecht5 }} report --runs experiments/speecht5/results --html experiments/speecht5/results/report.html

# Go on from what is kept beside the code, with more seeds, rows or columns: just restore [RUNS], then just run
restore runs="runs":
    {{ speecht5 }} archive --runs experiments/speecht5/results --to "$1"

# Exported models in transformers (of PyPI), its numbers here: just test-transformers [FOLDER like fixtures/hf]
test-transformers *args:
    bash fixtures/reference/transformers.sh "$@"

# Inject every fault many times into whole runs, writes docs/reliability.md
faults:
    VOCABLE_FAULTS=1 cargo test --release --workspace --test reliability -- --nocapture every_fault

# Train at scale smoke for a while (40,000 updates: half an hour); fails if memory, file handles or speed drift
soak updates="40000":
    VOCABLE_SOAK={{ updates }} cargo test --release --workspace --test reliability -- --nocapture a_long_run

# Write the golden loss curves anew, after a change that was meant to change them
golden:
    VOCABLE_GOLDEN=1 cargo test --release --workspace --test reliability -- processes_threads

# Write docs/reference anew: the command lines and the configuration as they are
reference:
    VOCABLE_REFERENCE=1 cargo test --release --workspace --no-fail-fast --test reference

# Event files of training, read by PyPI's tensorboard
test-tensorboard:
    bash fixtures/reference/tensorboard.sh

# Runs shared by processes; needs Debian's openmpi-bin, libopenmpi-dev and libclang-dev
test-mpi:
    cargo test --release --workspace --features speecht5-experiments/mpi --test mpi

# Regenerate the shipped corpus from Debian's flite, festival and vorbis-tools
corpus:
    python3 corpora/mini/make.py

# Time the kernels and whole training steps: just bench [FILTER]
bench *args:
    cargo bench --bench generation --bench kernels --bench training_step -- "$@"

# Time this workspace and PyTorch side by side, writes docs/performance.md: just bench-peers [--only ROW,ROW] [--rounds N]
bench-peers *args:
    #!/usr/bin/env bash
    set -euo pipefail
    venv=target/peers-venv
    [ -x $venv/bin/python ] || python3 -m venv $venv
    $venv/bin/pip install --quiet --disable-pip-version-check -r benches/peers/requirements.txt
    cargo build --release --bin vocable --bin peers
    exec target/release/peers --python $venv/bin/python "$@"

# Everything CI checks
ci:
    bash .ci/run
