/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An actual argument of a Fortran call: where its elements lie, whether they lie in one piece, and
 * how they get into one piece and back. Which arguments are allowed, and what is done with them, is
 * decided in map.c.
 */
#ifndef FM_FORTRAN_ARRAY_H
#define FM_FORTRAN_ARRAY_H

#include <ISO_Fortran_binding.h>
#include <stdbool.h>
#include <stddef.h>

/* A Fortran array of any type and rank in memory. Dimension 0 is the nearest, as in Fortran. */
struct fm_fortran_array {
    char *base;                  /* of the first element, which need not be the lowest address */
    size_t item_bytes;           /* bytes of one array element in Fortran's sense */
    int rank;                    /* 0 is a scalar */
    size_t extent[CFI_MAX_RANK]; /* items */
    ptrdiff_t stride_bytes[CFI_MAX_RANK]; /* from one item to the next; negative if reversed */
};

/* Reads a descriptor. An assumed-size array says no last extent; `last_extent` stands in for it. */
void fm_fortran_read(struct fm_fortran_array *array, const CFI_cdesc_t *descriptor,
                     size_t last_extent);

/* Bytes of all items of the first `dims` dimensions, holes not counted. */
size_t fm_fortran_count_bytes(const struct fm_fortran_array *array, int dims);

/* Whether the items of a non-empty array lie without holes, in order. */
bool fm_fortran_is_contiguous(const struct fm_fortran_array *array);

/* Whether the address ranges of two arrays, holes included, meet. */
bool fm_fortran_overlaps(const struct fm_fortran_array *a, const struct fm_fortran_array *b);

/* Copies all items to `packed`, in Fortran's order, without holes. */
void fm_fortran_pack(const struct fm_fortran_array *array, char *packed);

/* Copies all items back from where fm_fortran_pack() put them. */
void fm_fortran_unpack(const struct fm_fortran_array *array, const char *packed);

#endif
