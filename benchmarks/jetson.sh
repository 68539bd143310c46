#!/usr/bin/env bash
# Times what ships on this Jetson with every engine that it has, and prints a table to send back.
#
#   bash benchmarks/jetson.sh > row.md
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"
model=${1:-swift-s}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

without=
vodistill engine build "$model" >&2 || { without=tensorrt; echo "no plan: timed without tensorrt" >&2; }
engines=$(vodistill doctor --json | python3 -c '
import json, sys
found = [f["what"].removeprefix("engine ") for f in json.load(sys.stdin) if f["what"].startswith("engine ") and f["works"]]
print(" ".join(f"--engine {name}" for name in found if name not in sys.argv))' $without)
# shellcheck disable=SC2086
vodistill bench --model "$model" --model classical $engines --threads 1 --threads 2 --json "$out/bench.json" >&2
cat "$out/bench.md"
echo "- board: $(tr -d '\0' 2> /dev/null < /proc/device-tree/model || echo unknown)"
echo "- L4T: $(head -n 1 /etc/nv_tegra_release 2> /dev/null || echo unknown)"
echo "- power mode: $(nvpmodel -q 2> /dev/null | tr '\n' ' ' || echo unknown)"
