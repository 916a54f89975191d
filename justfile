# The recipes that people and CI share. `just` alone lists them.

[private]
default:
    @just --list --unsorted

# Build everything, optimised
build:
    cargo build --release --workspace

# Run every test
test:
    cargo test --workspace

# Check formatting and lints; warnings are errors
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items

# Run the built-in suite, or the scenarios given
run *ARGS:
    cargo run --release -- run {{ARGS}}

# Show what this machine can do, and that a known race is caught
doctor:
    cargo run --release -- doctor

# Measure everything that docs/performance.md states
bench:
    cargo bench --workspace

# TMPFS is where all is measured, DISK where writing is measured besides; some minutes, on a quiet machine.
# Measure what docs/locks.md states, publish it in results/published/, and fill in its tables
locks TMPFS="/dev/shm" DISK="target":
    cargo build --release --package flockwork-harness --bin flockwork --example locks
    rm -rf target/locks
    for name in choice wait pause read containers replica; do \
        target/release/flockwork bench scenarios/bench/locks-$name.toml --results-dir target/locks --seed 1 --root {{TMPFS}} --quiet || exit; done
    target/release/flockwork bench scenarios/bench/locks-write.toml --results-dir target/locks --seed 1 --root {{TMPFS}} --root {{DISK}} --quiet
    mkdir -p results/published
    find results/published -name 'locks-*' -delete
    target/release/examples/locks publish target/locks/*-locks-*
    target/release/examples/locks document

# What the instrument of `flockwork bench` costs: each acquisition measured against the bare loop
bench-cost:
    cargo bench -p flockwork-harness --bench contention -- cost

# The same lock measured by a loop in C and by stress-ng (where installed), in turns
bench-c:
    cargo bench -p flockwork-harness --bench contention -- others

# Measure tmpfs, ext4, xfs, btrfs and overlay, each made for the purpose and removed again: needs root
bench-filesystems *ARGS="scenarios/bench/filesystems.toml":
    cargo build --release
    harness/benches/contention/filesystems.sh target/release/flockwork {{ARGS}}

# Prove the library by controlled exploration: the table of docs/proof.md, of all spaces or of those named (fs2/rename/kill)
proof *SPACES:
    cargo test --release -p flockwork-harness --test proof -- --table {{SPACES}}

# The schedules of docs/proof.md: each rule of the library switched off
proof-broken:
    cargo run --release -- run scenarios/proof/broken

# Every known-bug scenario with SEEDS seeds: each must show its class every time
seeds SEEDS="20":
    for seed in $(seq 1 {{SEEDS}}); do cargo run --release --quiet -- run scenarios/history --seed $seed || exit; done

# How many mutations of real histories the judges detect: the table of docs/judge.md
mutations:
    cargo test --release --package flockwork-harness --test mutations -- --measure

# Hold both judges against oracles that try every order, over more than a million random histories: some minutes
oracles:
    cargo test --release --package flockwork-harness --test search --test checks_oracle --test judge_oracle -- --ignored
    cargo test --release --package flockwork-judge --test objects many -- --ignored

# How many schedules each known bug takes under control, by strategy: the table of docs/gvisor-history.md
bugs *BUGS:
    cargo test --release -p flockwork-harness --test matrix -- --measure-explored {{BUGS}}

# How long each known bug takes to shrink, to what, and how often that reproduces: a table of docs/gvisor-history.md
shrinks *BUGS:
    cargo test --release -p flockwork-harness --test matrix -- --measure-shrunk {{BUGS}}

# Change the core library in every small way, and see that its tests notice (cargo-mutants): hours; `-f src/write.rs` for a part
mutants *ARGS:
    cargo mutants --package flockwork --output target {{ARGS}}

# A hostile world by numbers (a few of each in every run of the tests): SIGKILLs of the harness, mutated inputs, hostile objects, injected errors, runs under load; about ten minutes
hostile:
    cargo test --release --package flockwork --test hostile -- --include-ignored --nocapture
    PROPTEST_CASES=34100 cargo test --release --package flockwork-harness --test history_mutated -- --nocapture
    cargo test --release --package flockwork-harness --test cli -- --ignored --exact --nocapture hostile::at_length

# Each measurement is added to LOG as soon as it is known, so that one that was cut off goes on where it was; remove LOG to begin anew.
# What is found of scenarios/field by `flockwork race`, under stress with a model, perturbed and free, how soon, and what of real tools: the tables of docs/field.md; an hour, on a quiet machine
field LOG="target/field.jsonl": && (field-tools LOG)
    FLOCKWORK_FIELD_LOG="$PWD/{{LOG}}" cargo test --release -p flockwork-harness --test field -- --ignored --exact --nocapture publish::publish

# What the harness costs a command beside a loop in C, and how long each broken program of scenarios/field takes until it is found, shrunk and told; some minutes, on a quiet machine
race-speed:
    cargo test --release -p flockwork-harness --test field -- --ignored --exact --nocapture speed::measure

# States of a power loss judged in a second, the journal's cost, memory for 100 MB: the table of docs/crash.md; a minute or two, on a quiet machine
crash-speed:
    cargo bench -p flockwork-harness --bench control -- crash

# Run every scenario of scenarios/crash on every disk model, and fill in the table of docs/crash.md; some minutes, as far as the tools are installed
crash-table:
    cargo build --release --package flockwork-harness --bin flockwork
    FLOCKWORK_BINARY="$PWD/target/release/flockwork" cargo test --package flockwork-harness --test crash_scenarios -- --ignored --exact --nocapture publish

# What a power loss leaves of every operation of the library, on every disk model or on those named, and what each fsync is needed for; fills in the tables of docs/crash.md
crash-library *DISKS:
    cargo test --release -p flockwork-harness --test proof -- --power-table {{DISKS}}

# Hold the disk models against real ext4, xfs and btrfs, at length, and fill in the tables of docs/disks.md; some minutes, needs root, xfsprogs and btrfs-progs
disks:
    cargo test --package flockwork-harness --test disks -- --publish

# Only the table of real tools, as far as they are installed; needs the network for filelock and proper-lockfile
field-tools LOG="target/field.jsonl":
    FLOCKWORK_FIELD_LOG="$PWD/{{LOG}}" cargo test --release -p flockwork-harness --test field -- --ignored --exact --nocapture publish::publish_tools

# Install runc, crun, runsc and a static busybox from the distribution, and build youki from its crate (some minutes)
runtimes:
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends runc crun runsc busybox-static libseccomp-dev pkg-config
    command -v youki >/dev/null || cargo install youki --locked --no-default-features --features v1,v2,seccomp

# Make the findings in container runtimes again: scripts, scenarios and profiles, of what is installed; needs root
findings:
    FLOCKWORK_LONG=1 cargo test --package flockwork-harness --test runtimes

# How soon each finding in container runtimes shows, free, perturbed and under control, with SEEDS seeds, for SECONDS in all: the table
# of docs/findings. What has a line in LOG is not run again. Needs root
runtime-rates SECONDS="3600" LOG="target/runtime-rates.log" SEEDS="10":
    cargo build --release --package flockwork-harness --bin flockwork
    harness/tests/runtimes/rates.sh target/release/flockwork {{SECONDS}} {{LOG}} {{SEEDS}}

# How fast runtimes are driven, beside the same commands run plain: the table of docs/runtimes.md; some minutes, on a quiet machine
runtime-speed:
    FLOCKWORK_MEASURE=1 cargo test --release --package flockwork-harness --test runtimes -- measure_speed

# Try every pair of operations of the container runtimes that are installed, from every status, with kills at their system calls,
# for SECONDS in all; TRIPLES=1 tries triples. What has a line in LOG is not tried again; the table is of all lines. Needs root
runtime-pairs SECONDS="3600" LOG="target/runtime-pairs.log" RUNTIMES="runc crun youki runsc":
    cargo build --release --package flockwork-harness --bin flockwork
    harness/tests/runtimes/pairs.sh target/release/flockwork {{SECONDS}} {{LOG}} "{{RUNTIMES}}"

# Fuzz the reader of histories for SECONDS (cargo-fuzz; no nightly toolchain is needed)
fuzz SECONDS="600":
    mkdir -p fuzz/corpus/history
    RUSTC_BOOTSTRAP=1 cargo fuzz run history fuzz/corpus/history fuzz/seeds/history -- -max_total_time={{SECONDS}} -timeout=10 -max_len=4096 -dict=fuzz/dictionary.txt

# The long run: ten million operations on the library, kills included
soak OPERATIONS="10000000":
    cargo run --release -- run scenarios/kills.toml --operations {{OPERATIONS}}

# What it costs to hold real programs, started or cloned, beside the same pairs run plain: the tables of docs/control.md; some
# minutes on a quiet machine, with FLOCKWORK_QUICK=1 less than one
control-speed:
    cargo bench -p flockwork-harness --bench control -- programs

# Kill harnesses that hold programs at random moments, KILLS times, and look for what stays: about three seconds each. Runs add up
# in LOG, so that a thousand can be had in pieces, in the background
kills KILLS="1000" LOG="target/kills.log":
    cargo build --release --package flockwork-harness --bin flockwork
    nice -n 19 harness/tests/tracee/kills.sh target/release/flockwork {{KILLS}} {{LOG}}

# Run EXECUTIONS executions of programs under control in random orders, beside others that keep the machine busy: none may diverge
# unreported, find anything, hang or leave anything. Runs add up in LOG
executions EXECUTIONS="100000" LOG="target/executions.log":
    cargo build --release --package flockwork-harness --bin flockwork
    nice -n 19 harness/tests/tracee/executions.sh target/release/flockwork {{EXECUTIONS}} {{LOG}}

# The release archive for TARGET: the binary, completions, the manual page and the licences, below target/dist
dist TARGET="":
    #!/usr/bin/env bash
    set -euo pipefail
    target={{TARGET}}
    target=${target:-$(rustc -vV | sed -n 's/^host: //p')}
    version=$(cargo pkgid --package flockwork-harness | sed 's/.*[#@]//')
    cargo build --release --package flockwork-harness --bin flockwork --target "$target"
    name=flockwork-harness-$target-v$version
    folder=target/dist/$name
    rm -rf "$folder" && mkdir -p "$folder/completions" "$folder/man" "$folder/schemas"
    install -m 755 -s "target/$target/release/flockwork" "$folder/flockwork"
    run=$folder/flockwork
    # What a foreign target writes, this machine's binary writes as well.
    "$run" --version >/dev/null 2>&1 || run="cargo run --release --quiet --package flockwork-harness --bin flockwork --"
    $run completions bash >"$folder/completions/flockwork.bash"
    $run completions zsh >"$folder/completions/_flockwork"
    $run completions fish >"$folder/completions/flockwork.fish"
    $run man >"$folder/man/flockwork.1"
    $run config --schema scenario >"$folder/schemas/scenario.schema.json"
    $run config --schema settings >"$folder/schemas/settings.schema.json"
    cp README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT "$folder"
    tar --create --gzip --sort=name --owner=0 --group=0 --numeric-owner --file "$folder.tar.gz" --directory target/dist "$name"
    (cd target/dist && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
    ls -l "$folder.tar.gz"

# A static binary that runs on any Linux of this processor (needs musl-tools and the target: rustup target add)
dist-static:
    just dist x86_64-unknown-linux-musl

# Make the packages as they would be published; without --no-verify they are built as well, which takes minutes
publish-dry-run:
    cargo publish --workspace --dry-run --no-verify --allow-dirty

# Write the JSON schemas of scenarios and settings into schemas/
schemas:
    for which in scenario settings; do cargo run --quiet -- config --schema $which >schemas/$which.schema.json || exit; done

# How long a page of a million operations takes to write and to open: a row of docs/performance.md
report-speed:
    cargo test --release --package flockwork-harness --test cli -- --ignored --nocapture a_million_operations

# How long merging takes, and what sharding costs: rows of docs/performance.md
merge-speed:
    cargo test --release --package flockwork-harness --test cli -- --ignored --nocapture merging_a_hundred_shards four_shards

# All that decides whether a change may land
ci: lint test publish-dry-run
    cargo run --release -- doctor
    cargo run --release -- run
