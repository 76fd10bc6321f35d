/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The C side of `call fastmap(f, x, y, shared, ierr)`: turns descriptors of Fortran arrays into a
 * map.
 *
 * Decided here: what x, y and shared may be, and which of them are copied. A map needs its elements
 * in one piece, so a section with holes, or reversed, is packed first; y is packed as well, so that
 * what an element leaves unwritten keeps its value, and unpacked after. Inside the element function
 * a Fortran compiler may assume that y shares memory with nothing, so x and shared are also copied
 * where they overlap y. How arrays are read and packed is decided in array.c, how a map runs in the
 * engine, what becomes of the returned code in include/fastmap.f90.
 */
#include "base/error.h"
#include "base/failure.h"
#include "fortran/array.h"

#include <fastmap.h>
#include <stdlib.h>

enum { X, Y, SHARED, ARGUMENTS };

/* One argument of the call; all zero for an absent shared. */
struct argument {
    struct fm_fortran_array array;
    size_t bytes; /* of all its elements, without holes */
    char *packed; /* its copy without holes; NULL where the array itself serves */
};

/* Called by the module only, and therefore not in fastmap.h. */
FASTMAP_API int fastmap_fortran_map(fastmap_func *func, const CFI_cdesc_t *x, const CFI_cdesc_t *y,
                                    const CFI_cdesc_t *shared, const struct fastmap_map *options,
                                    struct fastmap_report *report);
FASTMAP_API int fastmap_fortran_estimate(fastmap_func *func, const CFI_cdesc_t *x,
                                         const CFI_cdesc_t *y, const CFI_cdesc_t *shared,
                                         const struct fastmap_map *options,
                                         struct fastmap_forecast *estimate);

/* A zero-sized array constructor has no address, and is fine. */
static bool has_no_memory(const CFI_cdesc_t *descriptor)
{
    for (int d = 0; d < descriptor->rank; d++) {
        if (descriptor->dim[d].extent == 0) {
            return false;
        }
    }
    return descriptor->base_addr == NULL;
}

static int check_descriptor(const CFI_cdesc_t *descriptor, const char *name)
{
    if (descriptor->version != CFI_VERSION) {
        return fm_base_fail(FASTMAP_ERR_ARGUMENT,
                            "the descriptor of %s has version %d, this library reads version %d: "
                            "compile the program with the gfortran that the library was built with",
                            name, (int)descriptor->version, CFI_VERSION);
    }
    if (has_no_memory(descriptor)) {
        return fm_base_fail(
            FASTMAP_ERR_ARGUMENT,
            "%s has no memory: allocate it, or associate the pointer, before the call", name);
    }
    return 0;
}

static int check_elements(const CFI_cdesc_t *descriptor, const char *name)
{
    int code = check_descriptor(descriptor, name);
    if (code == 0 && descriptor->rank == 0) {
        code = fm_base_fail(FASTMAP_ERR_ARGUMENT,
                            "%s is a scalar, but the last dimension counts the elements: pass an "
                            "array, if need be one of one element, such as %s(1:1)",
                            name, name);
    }
    return code;
}

static CFI_index_t last_extent(const CFI_cdesc_t *descriptor)
{
    return descriptor->dim[descriptor->rank - 1].extent;
}

/* An assumed-size x (its last extent is -1) is taken to have the elements that y asks for. */
static int check_counts(const CFI_cdesc_t *x, const CFI_cdesc_t *y)
{
    if (last_extent(y) < 0) {
        return fm_base_fail(FASTMAP_ERR_ARGUMENT,
                            "y is an assumed-size array, which does not say how many elements it "
                            "has: pass a section that ends, such as y(1:n)");
    }
    if (last_extent(x) >= 0 && last_extent(x) != last_extent(y)) {
        return fm_base_fail(FASTMAP_ERR_ARGUMENT,
                            "the last extent of x is %lld and that of y %lld, but both count the "
                            "elements: pass sections of equal last extent",
                            (long long)last_extent(x), (long long)last_extent(y));
    }
    return 0;
}

static int check_shared(const CFI_cdesc_t *shared)
{
    int code = check_descriptor(shared, "shared");
    if (code == 0 && shared->rank > 0 && last_extent(shared) < 0) {
        code = fm_base_fail(FASTMAP_ERR_ARGUMENT,
                            "shared is an assumed-size array, which does not say how large it is: "
                            "pass a section that ends, such as shared(1:m)");
    }
    return code;
}

static int check(const CFI_cdesc_t *x, const CFI_cdesc_t *y, const CFI_cdesc_t *shared)
{
    int code = check_elements(x, "x");
    if (code == 0) {
        code = check_elements(y, "y");
    }
    if (code == 0) {
        code = check_counts(x, y);
    }
    if (code == 0 && shared != NULL) {
        code = check_shared(shared);
    }
    return code;
}

static void read_argument(struct argument *argument, const CFI_cdesc_t *descriptor, size_t n)
{
    *argument = (struct argument){.bytes = 0};
    if (descriptor != NULL) {
        fm_fortran_read(&argument->array, descriptor, n);
        argument->bytes = fm_fortran_count_bytes(&argument->array, argument->array.rank);
    }
}

/* Packs an argument if it has holes or shares memory with y, which is NULL for y itself. */
static int pack_argument(struct argument *argument, const struct argument *y)
{
    const struct fm_fortran_array *array = &argument->array;
    bool shares = y != NULL && y->packed == NULL && fm_fortran_overlaps(array, &y->array);
    if (argument->bytes == 0 || (fm_fortran_is_contiguous(array) && !shares)) {
        return 0;
    }
    argument->packed = malloc(argument->bytes);
    if (argument->packed == NULL) {
        return fm_base_fail(
            FASTMAP_ERR_MEMORY,
            "no memory for a copy of %zu bytes of an array that is not contiguous or "
            "shares memory with y: pass whole arrays, or map fewer elements at once",
            argument->bytes);
    }
    fm_fortran_pack(array, argument->packed);
    return 0;
}

/* Where the map finds the elements; NULL goes with elements of no size. */
static void *elements_of(const struct argument *argument)
{
    if (argument->bytes == 0) {
        return NULL;
    }
    return argument->packed != NULL ? argument->packed : argument->array.base;
}

/* The same failure in the words of a language that counts from 1. */
static int fail_elements(const struct fastmap_report *report)
{
    char how[FM_BASE_FAILURE_BYTES];
    const struct fastmap_failure *first = &report->failures[0];
    fm_base_failure_describe(first, how);
    return fm_base_fail(FASTMAP_ERR_ELEMENT,
                        "%zu of %zu elements failed; the first, number %zu counted from 1, %s: see "
                        "what the function means by it",
                        report->failed, report->elements, first->index + 1, how);
}

static size_t element_bytes(const struct argument *argument)
{
    return fm_fortran_count_bytes(&argument->array, argument->array.rank - 1);
}

/* What is asked of the C side, with the options and where the answer goes: one of the two. */
struct call {
    fastmap_func *func;
    const struct fastmap_map *options;
    struct fastmap_report *report;
    struct fastmap_forecast *estimate;
};

static int run(const struct call *call, const struct argument arguments[ARGUMENTS])
{
    const struct argument *y = &arguments[Y];
    struct fastmap_map map = *call->options;
    map.func = call->func;
    map.in = elements_of(&arguments[X]);
    map.in_size = element_bytes(&arguments[X]);
    map.out = elements_of(y);
    map.out_size = element_bytes(y);
    map.n = y->array.extent[y->array.rank - 1];
    map.shared = elements_of(&arguments[SHARED]);
    map.shared_size = arguments[SHARED].bytes;
    if (call->estimate != NULL) {
        return fastmap_estimate(NULL, &map, call->estimate);
    }
    int code = fastmap_run(&map, call->report);
    return code == FASTMAP_ERR_ELEMENT ? fail_elements(call->report) : code;
}

static int pack_and_run(const struct call *call, struct argument arguments[ARGUMENTS])
{
    struct argument *y = &arguments[Y];
    int code = pack_argument(y, NULL);
    if (code == 0) {
        code = pack_argument(&arguments[X], y);
    }
    if (code == 0) {
        code = pack_argument(&arguments[SHARED], y);
    }
    if (code == 0) {
        code = run(call, arguments);
        if (y->packed != NULL && call->estimate == NULL) {
            fm_fortran_unpack(&y->array, y->packed);
        }
    }
    return code;
}

/* Also without elements: under MPI a rank that has none helps those that have some. */
static int call_with(const struct call *call, const CFI_cdesc_t *x, const CFI_cdesc_t *y,
                     const CFI_cdesc_t *shared)
{
    int code = check(x, y, shared);
    if (code != 0) {
        return code;
    }
    struct argument arguments[ARGUMENTS];
    size_t n = (size_t)last_extent(y);
    read_argument(&arguments[X], x, n);
    read_argument(&arguments[Y], y, n);
    read_argument(&arguments[SHARED], shared, n);
    code = pack_and_run(call, arguments);
    for (int i = 0; i < ARGUMENTS; i++) {
        free(arguments[i].packed);
    }
    return code;
}

int fastmap_fortran_map(fastmap_func *func, const CFI_cdesc_t *x, const CFI_cdesc_t *y,
                        const CFI_cdesc_t *shared, const struct fastmap_map *options,
                        struct fastmap_report *report)
{
    const struct call call = {.func = func, .options = options, .report = report};
    return call_with(&call, x, y, shared);
}

int fastmap_fortran_estimate(fastmap_func *func, const CFI_cdesc_t *x, const CFI_cdesc_t *y,
                             const CFI_cdesc_t *shared, const struct fastmap_map *options,
                             struct fastmap_forecast *estimate)
{
    const struct call call = {.func = func, .options = options, .estimate = estimate};
    return call_with(&call, x, y, shared);
}
