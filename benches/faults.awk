# Turns the figures of benches/faults (PATH ENDS SEED key=value …) into Markdown tables of medians and ratios to the kernel.

{
	split("", value)
	for (i = 4; i <= NF; i++) {
		split($i, pair, "=")
		value[pair[1]] = pair[2]
	}
	if (value["role"] == "link") {
		add($1, $2, "queued", value["there_queued_us"] / 1000)
		add($1, $2, "queued max", value["there_queued_max_us"] / 1000)
		add($1, $2, "drops", value["there_lost"] + value["there_overflowed"])
		add($1, $2, "frames", value["there_frames"])
	} else if ("bytes" in value && value["complete"])
		add($1, $2, "mbit", value["bytes"] * 8 / value["seconds"] / 1e6)
	else if ("retrans" in value)
		add($1, $2, "retrans", value["retrans"])
}

function add(path, pair, what, x) {
	figures[path, pair, what, ++counts[path, pair, what]] = x + 0
}

function median(path, pair, what, n, i, j, x) {
	n = counts[path, pair, what] + 0
	for (i = 1; i <= n; i++)
		ordered[i] = figures[path, pair, what, i]
	for (i = 2; i <= n; i++) {
		x = ordered[i]
		for (j = i - 1; j >= 1 && ordered[j] > x; j--)
			ordered[j + 1] = ordered[j]
		ordered[j + 1] = x
	}
	last = n
	return n == 0 ? -1 : n % 2 ? ordered[(n + 1) / 2] : (ordered[n / 2] + ordered[n / 2 + 1]) / 2
}

function form(x) {
	return x < 0 ? "none" : sprintf(x < 10 ? "%.2f" : "%.1f", x)
}

# Goodput, its spread, and the ratio to the kernel's with the same congestion control.
function cell(path, pair, m, text, base, part) {
	m = median(path, pair, "mbit")
	if (m < 0)
		return "none"
	text = form(m)
	if (last > 1)
		text = text " (" form(ordered[1]) " to " form(ordered[last]) ")"
	split(pair, part, "-")
	base = median(path, "kernel-kernel-" part[3], "mbit")
	if (pair !~ /^kernel-kernel/ && base > 0)
		text = text sprintf(" **%.2f×**", m / base)
	return text
}

END {
	rows = split(names, row, "\n")
	columns = split(ends, column, ",")
	head = "| path |"
	rule = "|---|"
	for (j = 1; j <= columns; j++) {
		split(column[j], part, "-")
		head = head " " part[1] " → " part[2] ", " part[3] " |"
		rule = rule "---|"
	}
	print "Goodput, Mbit/s:\n\n" head "\n" rule
	for (i = 1; i <= rows; i++) {
		split(row[i], name, "|")
		line = "| " name[2] " |"
		for (j = 1; j <= columns; j++)
			line = line " " cell(name[1], column[j]) " |"
		print line
	}
	print "\nSegments sent again (as TCP_INFO says) / lost on the way; time in the queue, mean / longest, ms:\n\n" head "\n" rule
	for (i = 1; i <= rows; i++) {
		split(row[i], name, "|")
		line = "| " name[2] " |"
		for (j = 1; j <= columns; j++)
			line = line sprintf(" %d / %d; %s / %s |", median(name[1], column[j], "retrans"), median(name[1], column[j], "drops"),
				form(median(name[1], column[j], "queued")), form(median(name[1], column[j], "queued max")))
		print line
	}
}
