# Turns the lines of benches/streams (ROW TEST ROUND key=value …, one from each end) into figures (ROW FIGURE ROUND VALUE) for stats.awk.
# A row's own end is the server in the rows that are about servers; "out" is what that end sends.

{
	split("", value)
	for (i = 4; i <= NF; i++) {
		split($i, pair, "=")
		value[pair[1]] = pair[2]
	}
	row = $1
	test = $2
	round = $3
	if (!("role" in value))
		next
	own = value["role"] == (row == "server" || row == "smoltcp" ? "server" : "client")
	if (own && test ~ /^(out|in|both|connect)/)
		figure(test " peak MB of the process", value["peak_kb"] / 1024)
	# Nothing may be missing: both ends tell how much went through.
	if (test ~ /^(out|in|both)/) {
		total[row, test, round] = total[row, test, round] " " ("total" in value ? value["total"] : value["sent"])
		other[row, test, round] = ("total" in value ? value["total"] : value["received"]) " " other[row, test, round]
	}
	if (!value["complete"])
		next
	if (value["queued"] != "" && value["seconds"] > 0)
		queued[row] = queued[row] " " 100 * value["queued"] / value["seconds"]
	if (test ~ /^(out|in|both)/)
		bulk()
	else if (test ~ /^udp-(out|in)$/)
		flood()
	else if (value["role"] == "client")
		exchanges()
}

function figure(name, x) {
	gsub(/ /, "_", name)
	print row, name, round, x
}

function bulk(receives) {
	receives = test ~ /^both/ || (test ~ /^in/) == own
	if (test ~ /^both/) {
		sum[row, test, round] += value["in_gbit"]
		if (++ends[row, test, round] == 2)
			figure(test " Gbit/s", sum[row, test, round])
	} else if (receives)
		figure(test " Gbit/s", "gbit" in value ? value["gbit"] : value["in_gbit"])
	if (own)
		figure(test " CPU s/GB", value["cpu_s_per_gb"])
	if (receives && "gbit" in value)
		figure(test " kernel's retransmissions", value["retransmitted"])
}

function flood() {
	if ("sent_per_s" in value)
		figure(test " sent datagrams/s", value["sent_per_s"])
	else
		figure(test " datagrams/s", value["per_s"])
}

function exchanges() {
	if (test ~ /rtt/) {
		figure(test " p50 µs", value["p50_us"])
		figure(test " p99 µs", value["p99_us"])
		figure(test " p99.9 µs", value["p999_us"])
	} else if (test == "udp-rate")
		figure("udp-rate echoes/s", value["per_s"])
	else
		figure(test " connections/s", value["per_s"])
	if (test ~ /udp/)
		figure(test " lost", value["lost"])
}

END {
	for (row in queued) {
		n = split(queued[row], all, " ")
		for (round = 1; round <= n; round++)
			figure("ready without a CPU, %", all[round])
	}
	for (key in total) {
		split(key, part, SUBSEP)
		split(total[key], a, " ")
		split(other[key], b, " ")
		if (a[2] != "" && (a[1] != b[1] || a[2] != b[2]))
			printf "Bytes are missing: %s, %s, round %s: sent%s, received at the other ends %s\n", part[1], part[2], part[3], total[key],
				other[key] >"/dev/stderr"
	}
}
