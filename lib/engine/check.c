/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A ladder of checks before anything runs. The order is that of a reader of the call: function, arrays,
 * sizes, what they have in common.
 */
#include "engine/check.h"

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Bytes of the first version's structs: what a program compiled against it passes. */
#define MAP_SIZE_0_1 sizeof(struct fastmap_map)
#define REPORT_SIZE_0_1 sizeof(struct fastmap_report)

static inline int check_sizes(const struct fastmap_map *map, const struct fastmap_report *report)
{
    if (map->size != MAP_SIZE_0_1)
        return fm_base_fail(
            FASTMAP_ERR_ARGUMENT,
            "struct fastmap_map has size field %zu where this library knows %zu: fill "
            "the struct with FASTMAP_MAP(), and compile against the installed fastmap.h",
            map->size, MAP_SIZE_0_1);
    if (report != NULL && report->size != REPORT_SIZE_0_1)
        return fm_base_fail(
            FASTMAP_ERR_ARGUMENT,
            "struct fastmap_report has size field %zu where this library knows %zu: "
            "start it with FASTMAP_REPORT()",
            report->size, REPORT_SIZE_0_1);
    return 0;
}

static inline int check_function(const struct fastmap_map *map)
{
    if (map->func == NULL && map->block == NULL)
        return fm_base_fail(FASTMAP_ERR_ARGUMENT,
                            "the function is NULL: pass the function that computes one element");
    if (map->func != NULL && map->block != NULL)
        return fm_base_fail(FASTMAP_ERR_ARGUMENT,
                            "func and block are both set: set the one that should run");
    return 0;
}

static inline int check_array(const char *name, const void *array, size_t size)
{
    if (array == NULL && size != 0)
        return fm_base_fail(FASTMAP_ERR_ARGUMENT,
                            "%s is NULL but %s_size is %zu: pass the array, or size 0 for a map "
                            "without it",
                            name, name, size);
    if (array != NULL && size == 0)
        return fm_base_fail(
            FASTMAP_ERR_ARGUMENT,
            "%s_size is 0 but %s is not NULL: pass the bytes of one element, or NULL "
            "for a map without it (data for all elements belongs in shared)",
            name, name);
    return 0;
}

static inline int check_options(const struct fastmap_map *map)
{
    if (map->on_error != FASTMAP_ON_ERROR_CONTINUE && map->on_error != FASTMAP_ON_ERROR_STOP)
        return fm_base_fail(
            FASTMAP_ERR_ARGUMENT,
            "on_error is %d: use FASTMAP_ON_ERROR_CONTINUE or FASTMAP_ON_ERROR_STOP",
            (int)map->on_error);
    if (map->spread != FASTMAP_SPREAD_OWNED && map->spread != FASTMAP_SPREAD_REPLICATED)
        return fm_base_fail(FASTMAP_ERR_ARGUMENT,
                            "spread is %d: use FASTMAP_SPREAD_OWNED or FASTMAP_SPREAD_REPLICATED",
                            (int)map->spread);
    if (!(map->element_seconds >= 0 && map->element_seconds < 1e9))
        return fm_base_fail(
            FASTMAP_ERR_ARGUMENT,
            "element_seconds is %g: pass the expected seconds of an element, or 0 for "
            "unknown",
            map->element_seconds);
    if (map->shared == NULL && map->shared_size != 0)
        return fm_base_fail(FASTMAP_ERR_ARGUMENT,
                            "shared is NULL but shared_size is %zu: pass the block, or size 0",
                            map->shared_size);
    return 0;
}

/* Most maps say nothing of where they run, and a tiny one should not pay for what others say. */
static inline bool says_where(const struct fastmap_map *map)
{
    return ((unsigned)map->workers | (unsigned)map->verify | (unsigned)map->retries) != 0 ||
           map->element_timeout != 0;
}

static __attribute__((noinline)) int check_where(const struct fastmap_map *map)
{
    if (map->retries < 0)
        return fm_base_fail(FASTMAP_ERR_ARGUMENT, "retries is %d: pass 0 or more", map->retries);
    if (!(map->element_timeout >= 0 && map->element_timeout < 1e9))
        return fm_base_fail(
            FASTMAP_ERR_ARGUMENT,
            "element_timeout is %g: pass the seconds that an element may take, or 0 for "
            "no limit",
            map->element_timeout);
    if ((unsigned)map->workers > FASTMAP_WORKERS_PROCESSES)
        return fm_base_fail(
            FASTMAP_ERR_ARGUMENT,
            "workers is %d: use FASTMAP_WORKERS_THREADS, FASTMAP_WORKERS_PROCESSES or 0",
            (int)map->workers);
    if ((unsigned)map->verify > FASTMAP_VERIFY_ON)
        return fm_base_fail(FASTMAP_ERR_ARGUMENT,
                            "verify is %d: use FASTMAP_VERIFY_OFF, FASTMAP_VERIFY_ON or 0",
                            (int)map->verify);
    return 0;
}

int fm_engine_refuse_timeout(void)
{
    return fm_base_fail(
        FASTMAP_ERR_ARGUMENT,
        "element_timeout is set, but elements run in threads, which cannot be ended: set "
        "workers to FASTMAP_WORKERS_PROCESSES, or element_timeout to 0");
}

/* Bytes of a whole array, which must fit between its start and the end of the address space. */
static inline int check_extent(const char *name, const void *array, size_t size, size_t n,
                               size_t *bytes)
{
    if (__builtin_mul_overflow(size, n, bytes) || *bytes > PTRDIFF_MAX ||
        *bytes > UINTPTR_MAX - (uintptr_t)array)
        return fm_base_fail(
            FASTMAP_ERR_OVERFLOW,
            "%s: %zu elements of %zu bytes do not fit the address space: check n and "
            "%s_size",
            name, n, size, name);
    return 0;
}

static inline bool meet(const void *a, size_t a_bytes, const void *b, size_t b_bytes)
{
    const uintptr_t a0 = (uintptr_t)a;
    const uintptr_t b0 = (uintptr_t)b;
    return a_bytes > 0 && b_bytes > 0 && a0 < b0 + b_bytes && b0 < a0 + a_bytes;
}

static inline int check_overlap(const struct fastmap_map *map, size_t in_bytes, size_t out_bytes)
{
    const bool in_place = map->in == map->out && map->in_size == map->out_size;
    if (!in_place && meet(map->in, in_bytes, map->out, out_bytes))
        return fm_base_fail(FASTMAP_ERR_OVERLAP,
                            "in and out overlap: use separate arrays, or the same array with equal "
                            "element sizes for a map in place");
    if (meet(map->shared, map->shared_size, map->out, out_bytes))
        return fm_base_fail(FASTMAP_ERR_OVERLAP,
                            "shared and out overlap: elements would read what others write; pass a "
                            "copy as shared");
    return 0;
}

int fm_engine_check(const struct fastmap_map *map, const struct fastmap_report *report)
{
    if (map == NULL)
        return fm_base_fail(FASTMAP_ERR_ARGUMENT, "the map is NULL: pass a struct fastmap_map");
    size_t in_bytes;
    size_t out_bytes;
    int error = check_sizes(map, report);
    if (error == 0)
        error = check_function(map);
    if (error == 0 && map->n > 0)
        error = check_array("in", map->in, map->in_size);
    if (error == 0 && map->n > 0)
        error = check_array("out", map->out, map->out_size);
    if (error == 0)
        error = check_options(map);
    if (error == 0 && __builtin_expect(says_where(map), 0))
        error = check_where(map);
    if (error == 0)
        error = check_extent("in", map->in, map->in_size, map->n, &in_bytes);
    if (error == 0)
        error = check_extent("out", map->out, map->out_size, map->n, &out_bytes);
    if (error == 0 && map->shared_size > UINTPTR_MAX - (uintptr_t)map->shared)
        error = fm_base_fail(FASTMAP_ERR_OVERFLOW,
                             "shared: %zu bytes do not fit the address space: check shared_size",
                             map->shared_size);
    if (error == 0)
        error = check_overlap(map, in_bytes, out_bytes);
    return error;
}
