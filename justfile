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

# How many schedules each known bug takes under control, by strategy: the table of docs/gvisor-history.md
bugs *BUGS:
    cargo test --release -p flockwork-harness --test matrix -- --measure-explored {{BUGS}}

# How long each known bug takes to shrink, to what, and how often that reproduces: a table of docs/gvisor-history.md
shrinks *BUGS:
    cargo test --release -p flockwork-harness --test matrix -- --measure-shrunk {{BUGS}}

# Change the core library in every small way, and see that its tests notice (cargo-mutants): hours; `-f src/write.rs` for a part
mutants *ARGS:
    cargo mutants --package flockwork --output target {{ARGS}}

# What `flockwork race` finds of scenarios/field, how soon, and what of real tools: the tables of docs/field.md; an hour, on a quiet machine
field: && field-tools
    cargo test --release -p flockwork-harness --test field -- --ignored --exact --nocapture publish::publish

# Only the table of real tools, as far as they are installed; needs the network for filelock and proper-lockfile
field-tools:
    cargo test --release -p flockwork-harness --test field -- --ignored --exact --nocapture publish::publish_tools

# Fuzz the reader of histories for SECONDS (cargo-fuzz; no nightly toolchain is needed)
fuzz SECONDS="600":
    mkdir -p fuzz/corpus/history
    RUSTC_BOOTSTRAP=1 cargo fuzz run history fuzz/corpus/history fuzz/seeds/history -- -max_total_time={{SECONDS}} -timeout=10 -max_len=4096 -dict=fuzz/dictionary.txt

# The long run: ten million operations on the library, kills included
soak OPERATIONS="10000000":
    cargo run --release -- run scenarios/kills.toml --operations {{OPERATIONS}}

# All that decides whether a change may land
ci: lint test
    cargo run --release -- doctor
    cargo run --release -- run
