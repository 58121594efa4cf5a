# Turns the figures of benches/run (ROW TEST ROUND key=value …) into Markdown tables of medians and ratios to the veth row.

{
	split("", value)
	for (i = 4; i <= NF; i++) {
		split($i, pair, "=")
		value[pair[1]] = pair[2]
	}
	row = $1
	test = $2
	if (!("role" in value) || !("complete" in value))
		next
	if (value["complete"] && value["seconds"] > 0)
		add(row, "queued", 100 * value["queued"] / value["seconds"])
	own = row == "server" ? "server" : "client" # whose end the row is about
	if (test == "out" || test == "in") {
		receiver = (test == "in") == (value["role"] == own)
		if (receiver && value["complete"])
			add(row, test, value["gbit"])
		if (value["role"] == own && value["complete"])
			add(row, test " cpu", value["cpu_s_per_gb"])
		if (receiver)
			add(row, test " again", value["retransmitted"])
		# Nothing may be missing: both ends tell how much went through.
		totals[row, test, $3] = totals[row, test, $3] " " value["total"]
	} else if (value["role"] == "client" && value["complete"]) {
		if (test ~ /rtt/) {
			add(row, test " p50", value["p50_us"])
			add(row, test " p99", value["p99_us"])
			add(row, test " p99.9", value["p999_us"])
		} else
			add(row, test, value["per_s"])
		if (test ~ /udp/)
			add(row, test " lost", value["lost"])
	}
}

function add(row, what, x) {
	figures[row, what, ++counts[row, what]] = x + 0
}

function sorted(row, what, into, n, i, j, x) {
	n = counts[row, what] + 0
	for (i = 1; i <= n; i++)
		into[i] = figures[row, what, i]
	for (i = 2; i <= n; i++) {
		x = into[i]
		for (j = i - 1; j >= 1 && into[j] > x; j--)
			into[j + 1] = into[j]
		into[j + 1] = x
	}
	return n
}

function median(row, what, n) {
	n = sorted(row, what, ordered)
	return n == 0 ? -1 : n % 2 ? ordered[(n + 1) / 2] : (ordered[n / 2] + ordered[n / 2 + 1]) / 2
}

# The median, its spread, and the ratio to the kernel's.
function cell(row, what, form, m, n, text, base) {
	m = median(row, what)
	if (m < 0)
		return "none"
	n = counts[row, what]
	text = sprintf(form, m)
	if (n > 1)
		text = text " (" sprintf(form, ordered[1]) " to " sprintf(form, ordered[n]) ")"
	base = median("veth", what)
	if (row != "veth" && base > 0)
		text = text sprintf(" **%.2f×**", m / base)
	return text
}

function plain(row, what, form, m) {
	m = median(row, what)
	return m < 0 ? "none" : sprintf(form, m)
}

END {
	names["veth"] = "kernel ↔ kernel, veth"
	names["client"] = "tunsock client ↔ kernel"
	names["server"] = "tunsock server ↔ kernel"
	names["both"] = "tunsock ↔ tunsock"
	n = split(rows, order, ",")
	print "| row | sends Gbit/s | receives Gbit/s | RTT p50 µs | p99 µs | p99.9 µs | connections/s |"
	print "|---|---|---|---|---|---|---|"
	for (i = 1; i <= n; i++)
		printf "| %s | %s | %s | %s | %s | %s | %s |\n", names[order[i]], cell(order[i], "out", "%.1f"), cell(order[i], "in", "%.1f"),
			cell(order[i], "rtt p50", "%.1f"), cell(order[i], "rtt p99", "%.0f"), cell(order[i], "rtt p99.9", "%.0f"),
			cell(order[i], "connect", "%.0f")
	print ""
	print "| row | UDP RTT p50 µs | p99 µs | UDP echoes/s | CPU s/GB sending | CPU s/GB receiving | kernel's retransmissions out, in | ready without a CPU |"
	print "|---|---|---|---|---|---|---|---|"
	for (i = 1; i <= n; i++)
		printf "| %s | %s | %s | %s | %s | %s | %s, %s | %s |\n", names[order[i]], cell(order[i], "udp-rtt p50", "%.1f"),
			cell(order[i], "udp-rtt p99", "%.0f"), cell(order[i], "udp-rate", "%.0f"), cell(order[i], "out cpu", "%.2f"),
			cell(order[i], "in cpu", "%.2f"), plain(order[i], "out again", "%.0f"), plain(order[i], "in again", "%.0f"), plain(order[i], "queued", "%.0f") " %"
	if (csv != "") {
		print "row,figure,median,lowest,highest,rounds,ratio" >csv
		m = split("out,in,rtt p50,rtt p99,rtt p99.9,connect,udp-rtt p50,udp-rtt p99,udp-rtt p99.9,udp-rate,out cpu,in cpu,queued", all, ",")
		for (i = 1; i <= n; i++)
			for (j = 1; j <= m; j++) {
				base = median("veth", all[j])
				middle = median(order[i], all[j])
				k = counts[order[i], all[j]]
				ratio = base > 0 ? middle / base : ""
				if (middle >= 0)
					printf("%s,%s,%s,%s,%s,%d,%s\n", order[i], all[j], middle, ordered[1], ordered[k], k, ratio) >csv
			}
	}
	for (key in totals) {
		split(totals[key], both, " ")
		if (both[1] != both[2]) {
			split(key, part, SUBSEP)
			printf "\nBytes are missing: %s, %s, round %s: %s sent or received, the other end %s\n", part[1], part[2], part[3],
				both[1], both[2]
		}
	}
}
