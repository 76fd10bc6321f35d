/* SPDX-License-Identifier: BSD-3-Clause */
/* What bench/local prints: a few lines for each cell as it is measured, a table in a file for other
   programs, and at the end a summary against the numbers that the project has set itself. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "cell.h"

#include <stdio.h>

void bench_print_heading(const struct bench_plan *plan);
void bench_print_cell(const struct bench_plan *plan, const struct bench_result *result);

/* Tab-separated, one line for each cell and runner. */
void bench_write_heading(FILE *file);
void bench_write_cell(FILE *file, const struct bench_plan *plan, const struct bench_result *result);

/* Each number to reach: how many cells reach it, and the worst ones. */
void bench_print_summary(const struct bench_plan *plan, const struct bench_result *results,
                         size_t count);

#endif
