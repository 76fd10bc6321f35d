/* SPDX-License-Identifier: BSD-3-Clause */
/* See course.h. */
#include "sched/course.h"

#include <math.h>
#include <stdlib.h>

#define FLAT 0.1      /* mean distance from the mean, to the mean */
#define FEW 4         /* measured elements that say nothing */
#define GOOD_PART 0.5 /* of what equal shares miss */

bool fm_sched_course_fill(float *cost_ns, size_t n)
{
    double sum = 0;
    size_t known = 0;
    for (size_t i = 0; i < n; i++) {
        sum += cost_ns[i];
        known += cost_ns[i] > 0;
    }
    for (size_t i = 0; i < n && known > 0; i++)
        if (!(cost_ns[i] > 0))
            cost_ns[i] = (float)(sum / (double)known);
    return known > 0;
}

bool fm_sched_course_is_flat(const float *cost_ns, size_t n)
{
    double sum = 0;
    double off = 0;
    for (size_t i = 0; i < n; i++)
        sum += cost_ns[i];
    for (size_t i = 0; i < n; i++)
        off += fabs(cost_ns[i] - sum / (double)n);
    return off <= FLAT * sum;
}

static int compare(const void *left, const void *right)
{
    const struct fm_sched_costed *a = left;
    const struct fm_sched_costed *b = right;
    if (a->cost_ns != b->cost_ns)
        return a->cost_ns < b->cost_ns ? -1 : 1;
    return a->index < b->index ? -1 : a->index > b->index;
}

void fm_sched_course_sort(struct fm_sched_costed *elements, size_t n)
{
    qsort(elements, n, sizeof *elements, compare);
}

/* ---- The plan ---- */

/* The earliest of a heap has got more to do. */
static void sift(struct fm_sched_worker *heap, int count)
{
    int at = 0;
    for (;;) {
        int least = 2 * at + 1;
        if (least >= count)
            return;
        if (least + 1 < count && heap[least + 1].free_ns < heap[least].free_ns)
            least++;
        if (heap[at].free_ns <= heap[least].free_ns)
            return;
        const struct fm_sched_worker down = heap[at];
        heap[at] = heap[least];
        heap[least] = down;
        at = least;
    }
}

/* Gives out elements, the dearest first. Who is there has the number `here`, whichever it is. */
static void assign(const struct fm_sched_machine *machine, const struct fm_sched_costed *elements,
                   size_t n, uint32_t *owner, struct fm_sched_worker *here)
{
    double link_ns = 0;
    struct fm_sched_worker *there = here + machine->here;
    for (int i = 0; i < machine->here + machine->there; i++)
        here[i] = (struct fm_sched_worker){.number = (uint32_t)i};
    for (size_t i = n; i-- > 0;) {
        const double cost_ns = elements[i].cost_ns;
        const double arrived_ns = link_ns + machine->transport_ns + machine->latency_ns / 2;
        const double begun_ns = machine->there > 0 ? fmax(there->free_ns, arrived_ns) : INFINITY;
        const double back_ns = begun_ns + cost_ns + machine->transport_ns + machine->latency_ns / 2;
        if (machine->here > 0 && here->free_ns + cost_ns <= back_ns) {
            owner[i] = here->number;
            here->free_ns += cost_ns;
            sift(here, machine->here);
        } else {
            owner[i] = (uint32_t)machine->here;
            link_ns += machine->transport_ns;
            there->free_ns = begun_ns + cost_ns;
            sift(there, machine->there);
        }
    }
}

/* Where each worker's elements begin in the plan. */
static void find_places(const struct fm_sched_machine *machine, const uint32_t *owner, size_t n,
                        struct fm_sched_worker *workers)
{
    for (int i = 0; i < machine->here; i++)
        workers[i].place = 0;
    for (size_t i = 0; i < n; i++)
        if (owner[i] < (uint32_t)machine->here)
            workers[owner[i]].place++;
    size_t place = 0;
    for (int i = 0; i < machine->here; i++) {
        const size_t count = workers[i].place;
        workers[i].place = place;
        place += count;
    }
}

size_t fm_sched_course_plan(const struct fm_sched_machine *machine,
                            const struct fm_sched_costed *elements, size_t n, uint32_t *owner,
                            struct fm_sched_worker *workers, struct fm_sched_costed *planned)
{
    size_t end = n;
    assign(machine, elements, n, owner, workers);
    find_places(machine, owner, n, workers);
    for (size_t i = n; i-- > 0;)
        if (owner[i] < (uint32_t)machine->here)
            planned[workers[owner[i]].place++] = elements[i];
        else
            planned[--end] = elements[i];
    return end;
}

bool fm_sched_course_persists(const float *predicted_ns, const float *measured_ns, size_t n)
{
    double predicted = 0, measured = 0, off = 0, equal_off = 0;
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        if (predicted_ns[i] > 0 && measured_ns[i] > 0) {
            predicted += predicted_ns[i];
            measured += measured_ns[i];
            count++;
        }
    for (size_t i = 0; i < n; i++)
        if (predicted_ns[i] > 0 && measured_ns[i] > 0) {
            const double share = measured_ns[i] / measured;
            off += fabs(share - predicted_ns[i] / predicted);
            equal_off += fabs(share - 1 / (double)count);
        }
    return count <= FEW || off < GOOD_PART * equal_off;
}
