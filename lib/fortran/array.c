/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Geometry of Fortran arrays; see array.h. Nothing here knows about maps.
 *
 * A section such as a(2:3, ::2) is a base address, and an extent and a stride for each dimension.
 * The leading dimensions without holes form runs, which are copied whole; a counter with one digit
 * for each remaining dimension walks from run to run.
 */
#include "fortran/array.h"

#include <string.h>

void fm_fortran_read(struct fm_fortran_array *array, const CFI_cdesc_t *descriptor,
                     size_t last_extent)
{
    array->base = descriptor->base_addr;
    array->item_bytes = descriptor->elem_len;
    array->rank = (unsigned char)descriptor->rank;
    for (int d = 0; d < array->rank; d++) {
        CFI_index_t extent = descriptor->dim[d].extent;
        array->extent[d] = extent < 0 ? last_extent : (size_t)extent;
        array->stride_bytes[d] = descriptor->dim[d].sm;
    }
}

size_t fm_fortran_count_bytes(const struct fm_fortran_array *array, int dims)
{
    size_t bytes = array->item_bytes;
    for (int d = 0; d < dims; d++) {
        bytes *= array->extent[d];
    }
    return bytes;
}

/* How many leading dimensions lie without holes. The stride of an extent of 1 is never used. */
static int whole_dims(const struct fm_fortran_array *array)
{
    int d = 0;
    while (d < array->rank &&
           (array->extent[d] == 1 ||
            array->stride_bytes[d] == (ptrdiff_t)fm_fortran_count_bytes(array, d))) {
        d++;
    }
    return d;
}

bool fm_fortran_is_contiguous(const struct fm_fortran_array *array)
{
    return whole_dims(array) == array->rank;
}

/* The addresses [*low, *high) between which a non-empty array's items lie. */
static void find_range(const struct fm_fortran_array *array, const char **low, const char **high)
{
    *low = array->base;
    *high = array->base + array->item_bytes;
    for (int d = 0; d < array->rank; d++) {
        ptrdiff_t reach = array->stride_bytes[d] * (ptrdiff_t)(array->extent[d] - 1);
        *(reach < 0 ? low : high) += reach;
    }
}

bool fm_fortran_overlaps(const struct fm_fortran_array *a, const struct fm_fortran_array *b)
{
    if (fm_fortran_count_bytes(a, a->rank) == 0 || fm_fortran_count_bytes(b, b->rank) == 0) {
        return false;
    }
    const char *a_low;
    const char *a_high;
    const char *b_low;
    const char *b_high;
    find_range(a, &a_low, &a_high);
    find_range(b, &b_low, &b_high);
    return a_low < b_high && b_low < a_high;
}

/* Copies the items, run by run, to `packed` or, where that is NULL, from `source`. */
static void copy(const struct fm_fortran_array *array, char *packed, const char *source)
{
    if (fm_fortran_count_bytes(array, array->rank) == 0) {
        return;
    }
    int first = whole_dims(array);
    size_t run_bytes = fm_fortran_count_bytes(array, first);
    size_t done_bytes = 0;
    size_t index[CFI_MAX_RANK] = {0};
    char *run = array->base;
    int d;
    do {
        if (packed != NULL) {
            memcpy(packed + done_bytes, run, run_bytes);
        } else {
            memcpy(run, source + done_bytes, run_bytes);
        }
        done_bytes += run_bytes;
        for (d = first; d < array->rank && ++index[d] == array->extent[d]; d++) {
            run -= array->stride_bytes[d] * (ptrdiff_t)(array->extent[d] - 1);
            index[d] = 0;
        }
        run += d < array->rank ? array->stride_bytes[d] : 0;
    } while (d < array->rank);
}

void fm_fortran_pack(const struct fm_fortran_array *array, char *packed)
{
    copy(array, packed, NULL);
}

void fm_fortran_unpack(const struct fm_fortran_array *array, const char *packed)
{
    copy(array, NULL, packed);
}
