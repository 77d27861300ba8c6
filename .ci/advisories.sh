#!/usr/bin/env bash
# What is known against the packages of Cargo.lock: RustSec's advisories, as far as their base can be fetched, and versions that were
# yanked, by crates.io's index as cargo keeps it. What could not be checked is said.
set -euo pipefail
cd "${1:-$(dirname "$0")/..}"
base=https://github.com/RustSec/advisory-db

if refusal=$(GIT_TERMINAL_PROMPT=0 timeout 20 git ls-remote "$base" HEAD 2>&1 > /dev/null); then
    command -v cargo-audit > /dev/null || cargo install --locked --quiet cargo-audit
    cargo audit
else
    echo "advisories were NOT checked, since $base cannot be fetched: ${refusal:-no answer within 20 s}"
fi

# Cargo asks the index about every package of the lock file, and changes nothing.
answer=$(CARGO_NET_OFFLINE=false timeout 120 cargo update --dry-run 2>&1) || case "$?$answer" in
124* | *"failed to download"*)
    echo "yanked versions were NOT checked, since cargo cannot reach crates.io's index"
    exit
    ;;
*)
    echo "$answer"
    exit 1
    ;;
esac
python3 - <<'END'
import json, os, pathlib, sys, tomllib

home = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo"))
index = max(home.glob("registry/index/index.crates.io-*/.cache"), key=os.path.getmtime)
lock = tomllib.loads(pathlib.Path("Cargo.lock").read_text())
packages = [p for p in lock["package"] if p.get("source", "").startswith("registry+")]

def entries(name):
    """A package's versions in cargo's copy of the index: JSON between zero bytes."""
    name = name.lower()
    folder = {1: "1", 2: "2", 3: "3/" + name[0]}.get(len(name), f"{name[:2]}/{name[2:4]}")
    parts = (index / folder / name).read_bytes().split(b"\0")
    return {entry["vers"]: entry for entry in map(json.loads, (part for part in parts if part.startswith(b"{")))}

bad = []
for package in packages:
    name, version = package["name"], package["version"]
    try:
        entry = entries(name)[version]
    except (OSError, KeyError):
        bad.append(f"{name} {version} is not in the index")
        continue
    if entry["yanked"]:
        bad.append(f"{name} {version} was yanked: `cargo update {name}@{version}`")
    if entry["cksum"] != package["checksum"]:
        bad.append(f"{name} {version} has another checksum in the index")
sys.exit("\n".join(bad) or print(f"none of the {len(packages)} locked packages was yanked"))
END
