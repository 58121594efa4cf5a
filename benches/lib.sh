# What the benchmarks share: where things are, options that all of them have, namespaces that go with the process that made them, figures
# and their table. Sourced by bash; a script calls begin, does its work inside, and ends with conclude.
# shellcheck shell=bash
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$here")
target=${CARGO_TARGET_DIR:-$root/target}
tunsock=$target/release/tunsock
library=$target/release/libtunsock.so
programs=$target/benches

common_usage='  --rounds N       rounds over all rows (default 5)
  --out FILE       also append the tables there
  --raw FILE       also append every single figure there
  --csv FILE       also append the medians there: suite, row, figure, median, lowest, highest, rounds, ratio
  --no-build       measure what is in the target directory'
rounds=5 out='' raw='' csv='' build=yes inside=no

# Takes a common option off the arguments: how many of them it was is in $taken, 0 for none.
common_option() {
	taken=2
	case $1 in
	--no-build) build=no taken=1 ;;
	--inside) inside=yes taken=1 ;;
	--rounds) rounds=${2:?} ;;
	--out) out=$(realpath -m "${2:?}") ;;
	--raw) raw=$(realpath -m "${2:?}") ;;
	--csv) csv=$(realpath -m "${2:?}") ;;
	*) taken=0 ;;
	esac
}

# Builds the library, the command and the C programs that are named, and starts the script anew in a network namespace: everything
# happens in such, which are gone when their last process is. The words after "--" are the script's own arguments.
begin() {
	local name words=()
	while [ "$1" != -- ]; do words+=("$1"); shift; done
	shift
	if [ "$inside" = no ]; then
		if [ "$build" = yes ]; then
			(cd "$root" && cargo build --release --quiet -p tunsock -p tunsock-cli)
		fi
		mkdir -p "$programs"
		for name in "${words[@]}"; do
			cc -O2 -std=gnu11 -Wall -Wextra -o "$programs/$name" "$here/$name.c"
		done
		local as_user=()
		[ "$(id -u)" = 0 ] || as_user=(--map-root-user)
		exec unshare "${as_user[@]}" --net -- "$0" --inside "$@"
	fi
	tmp=$(mktemp -d)
	: >"$tmp/figures"
	children=()
	failures=0
	trap finish EXIT
	loads=$(load_now)
}

finish() {
	local pid
	for pid in "${children[@]}"; do kill "$pid" 2>/dev/null || true; done
	rm -rf "$tmp"
}

load_now() { cut -d' ' -f1 /proc/loadavg; }

# A namespace of its own: the process that holds it dies with this one. Its number is left in $holder.
namespace() {
	local mark=$tmp/up.$RANDOM
	mkfifo "$mark"
	setpriv --pdeathsig KILL unshare --net -- sh -c 'echo up >"$1"; exec sleep 7200' sh "$mark" &
	holder=$!
	children+=("$holder")
	read -r -t 10 _ <>"$mark"
	rm "$mark"
	in_ns "$holder" ip link set lo up
	# A test of connections leaves tens of thousands in TIME-WAIT.
	in_ns "$holder" sh -c 'echo 10000 65535 >/proc/sys/net/ipv4/ip_local_port_range'
}
in_ns() { local pid=$1; shift; nsenter --net="/proc/$pid/ns/net" -- "$@"; }

# The congestion control of a namespace's sockets, as far as the machine allows it.
set_congestion() { # namespace name
	in_ns "$1" sh -c 'echo "$1" >/proc/sys/net/ipv4/tcp_congestion_control' sh "$2"
}

# Two namespaces, $left (10.84.0.1) and $right (10.84.0.2), with a veth pair between them: the kernel at both ends.
veth_pair() { # mtu
	namespace; left=$holder
	namespace; right=$holder
	ip link add name vl mtu "$1" netns "$left" type veth peer name vr mtu "$1" netns "$right"
	in_ns "$left" ip addr add 10.84.0.1/24 dev vl
	in_ns "$right" ip addr add 10.84.0.2/24 dev vr
	in_ns "$left" ip link set vl up
	in_ns "$right" ip link set vr up
}

# The CPU of an end, as words before its program.
on_cpu() { # no|one|two client|server
	case $1-$2 in
	no-*) ;;
	one-*|two-server) echo taskset -c 0 ;;
	two-client) echo taskset -c 1 ;;
	esac
}

figure() { # row figure round value
	echo "${1// /_} ${2// /_} $3 $4" >>"$tmp/figures"
}

# What a line of figures says of a key.
value() { sed -n "s/.*\b$2=\([0-9.-]*\).*/\1/p" <<<"$1"; }

failed() {
	failures=$((failures + 1))
	echo "failed: $*" >&2
}

skipped() { # what why
	echo "SKIPPED: $1: $2" | tee -a "$tmp/skipped" >&2
}

# Prints the head, the table of the figures and what was skipped, and writes what was asked for.
conclude() { # suite base text
	loads+=" $(load_now)"
	{
		echo "$(nproc) × $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), Linux $(uname -r | cut -d. -f1,2)," \
			"commit $(git -C "$root" describe --always --dirty 2>/dev/null || echo unknown). $3"
		echo "$rounds rounds, medians (lowest to highest); load of the machine before and after: $loads."
		echo
		awk -v suite="$1" -v base="${2// /_}" -v csv="$csv" -f "$here/stats.awk" "$tmp/figures"
		[ ! -e "$tmp/skipped" ] || { echo; cat "$tmp/skipped"; }
		((failures == 0)) || printf '\n%s measurements failed.\n' "$failures"
	} | tee ${out:+-a "$out"}
	[ -z "$raw" ] || cat "$tmp/figures" >>"$raw"
	((failures == 0))
}
