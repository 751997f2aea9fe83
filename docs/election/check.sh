#!/bin/sh
# check.sh checks the model of the election, bully.pml, exhaustively with spin, and prints how many states there are.
# Then it plants a bug (a peer that accepts lower terms), which must be found. It needs spin and gcc; as root it
# installs them where apt-get exists. It ends with status 0 if all is as it should be, within 1 GB and about a minute.
set -eu
cd "$(dirname "$0")"

missing=
for tool in spin gcc; do
	command -v "$tool" >/dev/null 2>&1 || missing="$missing $tool"
done
if [ -n "$missing" ]; then
	if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
		apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $missing libc6-dev >/dev/null
	else
		echo "check.sh: missing:$missing. Install them, on Debian with: sudo apt-get install$missing" >&2
		exit 1
	fi
fi

model=$PWD/bully.pml
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
total=0

# verify OPTIONS...: builds and runs the verifier; its report is in $dir/out.
verify() {
	rm -rf "$dir/run"
	mkdir "$dir/run"
	(
		cd "$dir/run"
		spin -a "$@" "$model" >spin.log 2>&1 || { cat spin.log; exit 1; }
		gcc -w -O2 -DCOLLAPSE -DSAFETY -DMEMLIM=3900 -o pan pan.c
		timeout 120 ./pan -m1000000 >"$dir/out" 2>&1 || true
	)
}

hold() {
	verify "$@"
	states=$(sed -n 's/^ *\([0-9.e+]*\) states, stored.*/\1/p' "$dir/out")
	if ! grep -q 'errors: 0' "$dir/out" || grep -Eq 'aborted|out of memory|max search depth too small|Search not completed' "$dir/out" || [ -z "$states" ]; then
		echo "FAILED with $*:"
		cat "$dir/out"
		exit 1
	fi
	printf '%-70s %10s states, no errors\n' "$*" "$states"
	total=$(awk "BEGIN { printf \"%d\", $total + $states }")
}

# Four peers with crashes and loss; three with a restart, and with a false suspicion, because those have more states.
hold -DCRASHES=1 -DRESTARTS=0 -DLOSSES=0 -DDOUBTS=0
hold -DCRASHES=2 -DRESTARTS=0 -DLOSSES=0 -DDOUBTS=0 -DMAXTERM=4
hold -DCRASHES=1 -DRESTARTS=0 -DLOSSES=1 -DDOUBTS=0 -DMAXTERM=4
hold -DABSENT=1 -DCRASHES=1 -DRESTARTS=1 -DLOSSES=0 -DDOUBTS=0 -DMAXTERM=4
hold -DABSENT=1 -DCRASHES=0 -DRESTARTS=0 -DLOSSES=0 -DDOUBTS=1
echo "$total states in all, no errors"

verify -DBUG_LOWER -DCRASHES=1 -DRESTARTS=0 -DLOSSES=0 -DDOUBTS=0
if grep -q 'errors: 0' "$dir/out"; then
	echo "FAILED: the planted bug, a peer that accepts lower terms, was not found"
	exit 1
fi
echo "the planted bug is found: $(grep -m1 'assertion violated' "$dir/out")"
