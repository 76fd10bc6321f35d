/* SPDX-License-Identifier: BSD-3-Clause */
/* What somebody who knows all costs beforehand would reach. */
#ifndef BENCH_OPTIMUM_H
#define BENCH_OPTIMUM_H

#include <stddef.h>

struct bench_machine {
    int workers; /* here */
    int vcpus;   /* there */
    double round_trip_s;
    double element_s; /* that an element's bytes take on the link, each way; ways overlap */
};

/* Seconds for elements of these costs in seconds, which it sorts. */
double bench_optimum(const struct bench_machine *machine, double *costs, size_t n);

/* What somebody would reach who knows their mean, and who is free. */
double bench_blind(const struct bench_machine *machine, const double *costs, size_t n);

#endif
