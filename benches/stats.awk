# Turns figures (ROW FIGURE ROUND VALUE, blanks in names written as underscores) into a Markdown table, one line a figure and one column a
# row: medians of the rounds, the lowest and the highest behind them, and the ratio to the row `base` if there is one. With `csv` the same
# is written there: suite,row,figure,median,lowest,highest,rounds,ratio.

{
	if (!($1 in seen_row)) {
		seen_row[$1] = 1
		rows[++row_count] = $1
	}
	if (!($2 in seen_figure)) {
		seen_figure[$2] = 1
		names[++figure_count] = $2
	}
	values[$1, $2, ++counts[$1, $2]] = $4 + 0
}

function median(row, figure, n, i, j, x) {
	n = counts[row, figure] + 0
	for (i = 1; i <= n; i++) {
		x = values[row, figure, i]
		for (j = i - 1; j >= 1 && ordered[j] > x; j--)
			ordered[j + 1] = ordered[j]
		ordered[j + 1] = x
	}
	return n == 0 ? "none" : n % 2 ? ordered[(n + 1) / 2] : (ordered[n / 2] + ordered[n / 2 + 1]) / 2
}

# Three digits say what there is to say, and whole numbers stay whole.
function short(x, size) {
	size = x < 0 ? -x : x
	return size >= 100 || x == int(x) ? sprintf("%.0f", x) : size >= 10 ? sprintf("%.1f", x) : sprintf("%.2f", x)
}

function words(name) {
	gsub(/_/, " ", name)
	return name
}

END {
	printf "| figure |"
	for (i = 1; i <= row_count; i++)
		printf " %s |", words(rows[i])
	printf "\n|---|"
	for (i = 1; i <= row_count; i++)
		printf "---|"
	print ""
	for (j = 1; j <= figure_count; j++) {
		printf "| %s |", words(names[j])
		kernel = base == "" ? "none" : median(base, names[j])
		for (i = 1; i <= row_count; i++) {
			m = median(rows[i], names[j])
			n = counts[rows[i], names[j]]
			ratio = m != "none" && kernel != "none" && kernel > 0 && rows[i] != base ? sprintf("%.3f", m / kernel) : ""
			if (m == "none")
				printf " none |"
			else
				printf(" %s%s%s |", short(m), (n > 1 ? " (" short(ordered[1]) " to " short(ordered[n]) ")" : ""),
					(ratio == "" ? "" : sprintf(" **%.2f×**", ratio)))
			if (csv != "" && m != "none")
				printf("\"%s\",\"%s\",\"%s\",%s,%s,%s,%d,%s\n", suite, words(rows[i]), words(names[j]), m, ordered[1], ordered[n], n, ratio) >>csv
		}
		print ""
	}
}
