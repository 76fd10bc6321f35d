# SPDX-License-Identifier: BSD-3-Clause
# A picture of what bench/adaptive and bench/faults have measured, as SVG. In a build folder:
#     sh ../bench/adaptive.sh >table && sh ../bench/adaptive.sh --faults 3 looks >faults
#     awk -f ../bench/adaptive.awk table looks >../docs/adaptive.svg
# Above: a dot for each cell where the cloud can help, by its time to the clairvoyant optimum, in order. Below: for
# each fault, elements that were done over time in its first round, here and in the cloud, from the fault to the end.

function line(x1, y1, x2, y2, colour, dash) {
    printf "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s'%s/>\n", x1, y1, x2, y2, colour,
        dash ? " stroke-dasharray='4 3'" : ""
}

function text(x, y, size, anchor, what) {
    printf "<text x='%.1f' y='%.1f' font-size='%d' text-anchor='%s'>%s</text>\n", x, y, size, anchor, what
}

# A row of the table: vCPUs, and an optimum clearly below LOCAL's time, say that the cloud can help.
$1 ~ /^[0-9.]+$/ && NF >= 17 {
    if ($5 > 0 && $12 < 0.98 * $10)
        ratio[cells++] = $14 + 0
    next
}

$1 == "load:" {
    load = $2
}

$1 == "look" {
    split($0, f, "\t")
    if (f[3] != 0)
        next
    if (!(f[2] in looks))
        name[faults++] = f[2]
    k = looks[f[2]]++
    at[f[2], k] = f[5]
    here[f[2], k] = f[6]
    back[f[2], k] = f[7]
    fault[f[2]] = f[4]
    if (f[5] > longest)
        longest = f[5]
    if (f[6] + f[7] > most)
        most = f[6] + f[7]
}

function dots(left, top, width, height,    i, j, t, y, low, high) {
    for (i = 1; i < cells; i++)
        for (j = i; j > 0 && ratio[j] < ratio[j - 1]; j--) {
            t = ratio[j]; ratio[j] = ratio[j - 1]; ratio[j - 1] = t
        }
    low = 0.9
    high = 2.4
    text(left, top - 12, 14, "start", "time of ADAPTIVE to the clairvoyant optimum, " cells " cells where the cloud can help")
    for (t = 1; t <= 2.4; t += 0.2) {
        y = top + height * (high - t) / (high - low)
        line(left, y, left + width, y, "#eee")
        text(left - 6, y + 4, 11, "end", sprintf("%.1f", t))
    }
    split("1.10 1.25", aims, " ")
    for (i = 1; i <= 2; i++) {
        y = top + height * (high - aims[i]) / (high - low)
        line(left, y, left + width, y, i == 1 ? "#2a7" : "#c33", 1)
        text(left + width + 4, y + 4, 11, "start", aims[i])
    }
    for (i = 0; i < cells; i++) {
        t = ratio[i] > high ? high : ratio[i]
        printf "<circle cx='%.1f' cy='%.1f' r='4' fill='%s'/>\n", left + width * (i + 0.5) / cells,
            top + height * (high - t) / (high - low), t <= 1.10 ? "#2a7" : t <= 1.25 ? "#e90" : "#c33"
    }
    line(left, top + height, left + width, top + height, "#888")
    text(left + width, top + height + 16, 11, "end", "cells in order; above 2.4 drawn at 2.4; a load of " load " on the machine")
}

function path(what, x, y, width, height, colour, values,    k, n) {
    printf "<polyline fill='none' stroke='%s' stroke-width='2' points='", colour
    n = looks[what]
    for (k = 0; k < n; k++)
        printf "%.1f,%.1f ", x + width * at[what, k] / longest, y + height * (1 - values[what, k] / most)
    printf "'/>\n"
}

function timeline(what, x, y, width, height,    k, t) {
    text(x, y - 8, 13, "start", what)
    printf "<rect x='%.1f' y='%.1f' width='%.1f' height='%.1f' fill='none' stroke='#ccc'/>\n", x, y, width, height
    path(what, x, y, width, height, "#36c", here)
    path(what, x, y, width, height, "#e90", back)
    t = x + width * fault[what] / longest
    if (what != "no fault")
        line(t, y, t, y + height, "#c33", 1)
    for (k = 0; k <= longest; k++) {
        line(x + width * k / longest, y + height, x + width * k / longest, y + height + 4, "#888")
        text(x + width * k / longest, y + height + 16, 10, "middle", k " s")
    }
}

END {
    printf "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 900 860' font-family='sans-serif' fill='#222'>\n"
    printf "<rect width='900' height='860' fill='white'/>\n"
    dots(50, 40, 800, 260)
    text(50, 365, 14, "start", "elements done over time; the dashed line is the fault")
    printf "<rect x='440' y='355' width='12' height='12' fill='#36c'/><rect x='560' y='355' width='12' height='12' fill='#e90'/>\n"
    text(457, 365, 12, "start", "by threads here")
    text(577, 365, 12, "start", "back from the cloud")
    for (i = 0; i < faults; i++)
        timeline(name[i], 50 + i % 2 * 430, 400 + int(i / 2) * 155, 370, 105)
    print "</svg>"
}
