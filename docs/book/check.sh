#!/usr/bin/env bash
# Runs every command of the book in order, in an empty folder beside the shipped corpus; the programs are built before.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
export PATH="${VOCABLE_PROGRAMS:-$root/target/release}:$PATH"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ln -s "$root/corpora" "$folder/corpora"
cd "$folder"
for page in "$root"/docs/book/0*.md; do
    echo "== ${page##*/}"
    awk '/^```sh$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$page" > commands.sh
    bash -euxo pipefail commands.sh > output.txt 2>&1 || { tail -40 output.txt; exit 1; }
done
echo "every command of the book works"
