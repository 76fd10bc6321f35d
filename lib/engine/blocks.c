/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A block is asked for in steps: its name (a digest of all of it, so that a stale copy is never taken for
 * it); where it is unknown, the shared memory of a rank on the same node, named by its file in /proc; from
 * elsewhere, or where that cannot be opened, its bytes, part by part. Whoever received bytes keeps them in
 * shared memory, for the next on its node.
 */
#include "engine/blocks.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/error.h"
#include "engine/letters.h"

#define KEPT 4 /* blocks of earlier maps */
#define PART_BYTES ((size_t)32 << 20)
#define PATH_BYTES 64

enum step { NAME, PATH, PART };

struct block {
    XXH128_hash_t name;
    size_t bytes;
    void *memory; /* NULL: the place is free */
    int fd;
    uint64_t used;
};

static struct block kept[KEPT];
static uint64_t uses;

/* ---- Shared memory ---- */

static int shared_memory(size_t bytes, void **memory)
{
    const int fd = memfd_create("fastmap-shared", MFD_CLOEXEC);
    *memory = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, (off_t)bytes) == 0)
        *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (*memory != MAP_FAILED)
        return fd;
    if (fd >= 0)
        (void)close(fd);
    return -1;
}

static struct block *kept_at(const void *memory)
{
    for (size_t i = 0; i < KEPT; i++)
        if (kept[i].memory != NULL && kept[i].memory == memory)
            return &kept[i];
    return NULL;
}

static struct block *kept_as(XXH128_hash_t name, size_t bytes)
{
    for (size_t i = 0; i < KEPT; i++)
        if (kept[i].memory != NULL && kept[i].bytes == bytes && XXH128_isEqual(kept[i].name, name))
            return &kept[i];
    return NULL;
}

/* A free place, if need be the one that was used longest ago. */
static struct block *place(void)
{
    struct block *oldest = &kept[0];
    for (size_t i = 1; i < KEPT && oldest->memory != NULL; i++)
        if (kept[i].memory == NULL || kept[i].used < oldest->used)
            oldest = &kept[i];
    if (oldest->memory != NULL) {
        (void)munmap(oldest->memory, oldest->bytes);
        (void)close(oldest->fd);
    }
    *oldest = (struct block){.fd = -1};
    return oldest;
}

/* ---- Who has it ---- */

static XXH128_hash_t name_of(const struct fastmap_map *map)
{
    const struct block *block = kept_at(map->shared);
    return block != NULL ? block->name : XXH3_128bits(map->shared, map->shared_size);
}

/* The file of shared memory that holds the block; -1: there is no memory for one. */
static int file_of(struct fm_engine_group *group)
{
    const struct block *block = kept_at(group->map->shared);
    if (block != NULL)
        return block->fd;
    if (group->block_fd < 0) {
        void *memory;
        group->block_fd = shared_memory(group->map->shared_size, &memory);
        if (group->block_fd >= 0) {
            memcpy(memory, group->map->shared, group->map->shared_size);
            (void)munmap(memory, group->map->shared_size);
        }
    }
    return group->block_fd;
}

void fm_engine_block_forget(struct fm_engine_group *group)
{
    if (group->block_fd >= 0)
        (void)close(group->block_fd);
    group->block_fd = -1;
}

static void answer_path(struct fm_engine_group *group, int to,
                        const struct fm_engine_header *header)
{
    char path[PATH_BYTES] = "";
    const int fd = file_of(group);
    if (fd >= 0)
        (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), fd);
    fm_engine_talk_post(group->world, group->tag, to, header, path, sizeof path);
}

void fm_engine_block_answer(struct fm_engine_group *group, int to,
                            const struct fm_engine_header *need)
{
    const struct fastmap_map *map = group->map;
    struct fm_engine_header header = {.terms = group->terms, .message = need->message};
    header.message.kind = FM_ENGINE_BLOCK;
    const size_t offset = (size_t)need->message.first;
    if (need->message.code == NAME) {
        const XXH128_hash_t name = name_of(map);
        fm_engine_talk_post(group->world, group->tag, to, &header, &name, sizeof name);
    } else if (need->message.code == PATH) {
        answer_path(group, to, &header);
    } else if (offset < map->shared_size) {
        const size_t left = map->shared_size - offset;
        fm_engine_talk_post(group->world, group->tag, to, &header,
                            (const char *)map->shared + offset,
                            left < PART_BYTES ? left : PART_BYTES);
    }
}

/* ---- Who needs it ---- */

/* Asks, and waits for the answer; it has at least so many bytes beyond the header. NULL: MPI has ended. */
static struct fm_engine_letter *ask(struct fm_engine_world *world, int from, enum step step,
                                    size_t offset, size_t least)
{
    const struct fm_engine_header header = {
        .message = {.kind = FM_ENGINE_NEED, .code = step, .first = offset}};
    pthread_mutex_lock(&world->mutex);
    fm_engine_talk_post(world, fm_engine_letters_tag(world), from, &header, NULL, 0);
    pthread_mutex_unlock(&world->mutex);
    struct fm_engine_letter *letter = fm_engine_letters_await(world, FM_ENGINE_BLOCK);
    if (letter != NULL && letter->size - sizeof header < least) {
        fm_engine_letter_free(letter);
        letter = NULL;
    }
    return letter;
}

static const char *payload(const struct fm_engine_letter *letter)
{
    return letter->bytes + sizeof(struct fm_engine_header);
}

static bool open_shared(struct fm_engine_world *world, int from, struct block *block)
{
    if (world->is.node[from] != world->is.node[world->is.rank])
        return false;
    struct fm_engine_letter *letter = ask(world, from, PATH, 0, PATH_BYTES);
    if (letter == NULL)
        return false;
    block->fd = open(payload(letter), O_RDONLY | O_CLOEXEC);
    fm_engine_letter_free(letter);
    if (block->fd < 0)
        return false;
    void *memory = mmap(NULL, block->bytes, PROT_READ, MAP_SHARED, block->fd, 0);
    if (memory != MAP_FAILED) {
        block->memory = memory;
        return true;
    }
    (void)close(block->fd);
    return false;
}

static bool receive_parts(struct fm_engine_world *world, int from, struct block *block)
{
    void *memory;
    block->fd = shared_memory(block->bytes, &memory);
    size_t have = 0;
    while (block->fd >= 0 && have < block->bytes) {
        const size_t left = block->bytes - have;
        const size_t part = left < PART_BYTES ? left : PART_BYTES;
        struct fm_engine_letter *letter = ask(world, from, PART, have, part);
        if (letter == NULL)
            break;
        memcpy((char *)memory + have, payload(letter), part);
        fm_engine_letter_free(letter);
        have += part;
    }
    if (block->fd >= 0 && have == block->bytes) {
        block->memory = memory;
        return mprotect(memory, block->bytes, PROT_READ) == 0;
    }
    if (block->fd >= 0) {
        (void)munmap(memory, block->bytes);
        (void)close(block->fd);
    }
    return false;
}

const void *fm_engine_block_fetch(struct fm_engine_world *world, int from, size_t bytes)
{
    XXH128_hash_t name;
    struct fm_engine_letter *letter = ask(world, from, NAME, 0, sizeof name);
    if (letter == NULL)
        return NULL;
    memcpy(&name, payload(letter), sizeof name);
    fm_engine_letter_free(letter);
    struct block *block = kept_as(name, bytes);
    if (block == NULL) {
        block = place();
        block->name = name;
        block->bytes = bytes;
        if (!open_shared(world, from, block) && !receive_parts(world, from, block)) {
            (void)fm_base_fail(FASTMAP_ERR_MEMORY,
                               "a rank that serves has no memory for a shared block of %zu bytes: "
                               "free some, or run fewer ranks on a node",
                               bytes);
            return NULL;
        }
    }
    block->used = ++uses;
    return block->memory;
}
