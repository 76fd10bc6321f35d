/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A course: in which order the elements of a map are computed, and how much work each is, where that is not
 * simply the one after the other and all alike. Whoever computes a map with a course counts in positions; an
 * element's index, which its function may ask for and failures are named by, is at its position. Work is in
 * elements of mean cost, so that without a course it is the number of elements.
 */
#ifndef FM_TIER_COURSE_H
#define FM_TIER_COURSE_H

#include <stddef.h>
#include <stdint.h>

/* Arrays by position; they belong to whoever made the course. */
struct fm_tier_course {
    const uint32_t *place; /* the index of the element there */
    const double *before;  /* work of all elements before it; one more than there are elements */
    size_t border;         /* from here on they are meant for others, if these come for them */
};

/* Work of the elements at [first, end). course: NULL where there is none, as below. */
static inline double fm_tier_course_work(const struct fm_tier_course *course, size_t first,
                                         size_t end)
{
    return course == NULL ? (double)(end - first) : course->before[end] - course->before[first];
}

/* The position in [first, end] nearest to where `before` reaches the mark. */
static inline size_t fm_tier_course_find(const struct fm_tier_course *course, size_t first,
                                         size_t end, double mark)
{
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if ((course->before[middle] + course->before[middle + 1]) / 2 < mark)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

/* How many elements, of so many that are all alike, are the work. */
static inline size_t fm_tier_course_alike(size_t elements, double work)
{
    return work < (double)elements ? (size_t)work : elements;
}

/* How many of the elements at [first, end), from its beginning on, are about so much work: one at least, if
   there are any. */
static inline size_t fm_tier_course_lowest(const struct fm_tier_course *course, size_t first,
                                           size_t end, double work)
{
    if (first >= end)
        return 0;
    const size_t count =
        course == NULL
            ? fm_tier_course_alike(end - first, work)
            : fm_tier_course_find(course, first, end, course->before[first] + work) - first;
    return count > 0 ? count : 1;
}

/* The same from its end. */
static inline size_t fm_tier_course_highest(const struct fm_tier_course *course, size_t first,
                                            size_t end, double work)
{
    if (first >= end)
        return 0;
    const size_t count =
        course == NULL ? fm_tier_course_alike(end - first, work)
                       : end - fm_tier_course_find(course, first, end, course->before[end] - work);
    return count > 0 ? count : 1;
}

#endif
