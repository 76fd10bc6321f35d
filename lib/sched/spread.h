/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How far costs of elements scatter, and so how far the sum of those to come may be from an estimate. Pure.
 *
 * A sample is a batch of elements that were timed together. The weighted scatter of the samples' means,
 *
 *     s2 = sum m_i (mean_i - mean)^2 / (k - 1)      over k samples of m_i elements,
 *
 * has the variance of one element as its expectation, however long the batches are; where costs change
 * slowly along the array it is larger, as it should be. Few samples miss the rare dear element, and then look
 * alike: so some are assumed beside them that scatter as widely as costs commonly do. Of x elements to come
 * the sum is x times the mean, off by sqrt(s2 (1/x + 1/m)) for each, m being the elements seen: their own
 * luck, and that of the mean.
 */
#ifndef FM_SCHED_SPREAD_H
#define FM_SCHED_SPREAD_H

#include <stddef.h>

struct fm_sched_spread {
    size_t samples;
    double elements;
    double mean_ns;
    double squares; /* weighted, of the samples' distances from the mean */
};

/* A batch of `count` elements took so long. */
void fm_sched_spread_note(struct fm_sched_spread *spread, size_t count, double total_ns);

/*
 * The factor f, at least 1, by which the sum over x elements to come is off at most: between 1/f and f times
 * x means in nine of ten maps whose elements to come are like those seen. By Student's distribution, since a
 * scatter from few samples is itself uncertain, and on a logarithmic scale, since costs are positive and
 * scatter upwards.
 */
double fm_sched_spread_factor(const struct fm_sched_spread *spread, size_t x);

#endif
