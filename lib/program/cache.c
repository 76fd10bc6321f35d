/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The cache of digests: $XDG_CACHE_HOME/fastmap/digests, else ~/.cache/fastmap/digests. Numbers are little
 * end first. The file is believed if and only if
 * (1) it is a regular file, no link, of the effective user, and nobody else may write to it;
 * (2) it has 16 + 72 n + 32 bytes for an n up to FM_PROGRAM_CACHE_MOST;
 * (3) it begins with "fmdigest", the version 1 and n, of four bytes each;
 * (4) n records follow: device, inode, bytes, modification and change time in nanoseconds since 1970, of
 *     eight bytes each, and the SHA-256;
 * (5) it ends with the SHA-256 of all before.
 * Anything else, such as half a file after a power cut, is as good as no file. It is replaced as a whole by
 * a rename, so that of two processes that write at once one wins; before, what others added is read again.
 *
 * A file's times have a grain: what was written twice within it has the same identity before and after the
 * second time. So a file is remembered only when its last change is older than any file system's grain.
 */
#include "program/cache.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "wire/bytes.h"

#define HEAD_BYTES 16
#define RECORD_BYTES 72
#define VERSION 1
#define GRAIN_NS INT64_C(2000000000) /* of the coarsest file system's times */
#define PATH_BYTES 4096

static const char magic[8] = {'f', 'm', 'd', 'i', 'g', 'e', 's', 't'};

/* The mutex protects all below, and is held while the file is read or written. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct fm_program_record *records; /* the oldest first */
static size_t record_count;
static bool is_loaded;
static bool is_changed;

/* ---- Identities ---- */

static int64_t nanoseconds(struct timespec time)
{
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

struct fm_program_identity fm_program_cache_identity(const struct stat *status)
{
    return (struct fm_program_identity){
        .device = status->st_dev,
        .inode = status->st_ino,
        .bytes = (uint64_t)status->st_size,
        .modified_ns = nanoseconds(status->st_mtim),
        .changed_ns = nanoseconds(status->st_ctim),
    };
}

static bool is_same(const struct fm_program_identity *a, const struct fm_program_identity *b)
{
    return a->inode == b->inode && a->device == b->device && a->bytes == b->bytes &&
           a->modified_ns == b->modified_ns && a->changed_ns == b->changed_ns;
}

static bool is_settled(const struct fm_program_identity *identity)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return identity->changed_ns < nanoseconds(now) - GRAIN_NS;
}

/* ---- The records in memory ---- */

static struct fm_program_record *find(const struct fm_program_identity *identity)
{
    for (size_t i = 0; i < record_count; i++)
        if (is_same(&records[i].identity, identity))
            return &records[i];
    return NULL;
}

/* Without memory for it there is no cache, which is slower and no error. */
static bool has_room(void)
{
    if (records == NULL)
        records = malloc(FM_PROGRAM_CACHE_MOST * sizeof *records);
    if (records != NULL && record_count == FM_PROGRAM_CACHE_MOST) {
        record_count -= FM_PROGRAM_CACHE_MOST / 4;
        memmove(records, records + FM_PROGRAM_CACHE_MOST / 4, record_count * sizeof *records);
    }
    return records != NULL;
}

static void add(const struct fm_program_record *record)
{
    if (find(&record->identity) == NULL && has_room())
        records[record_count++] = *record;
}

/* ---- The bytes of the file ---- */

static bool digest_of(const uint8_t *bytes, size_t size, uint8_t sha256[FM_PROGRAM_SHA256])
{
    return EVP_Digest(bytes, size, sha256, NULL, EVP_sha256(), NULL) == 1;
}

static void put_record(uint8_t *bytes, const struct fm_program_record *record)
{
    fm_wire_put(bytes, record->identity.device, 8);
    fm_wire_put(bytes + 8, record->identity.inode, 8);
    fm_wire_put(bytes + 16, record->identity.bytes, 8);
    fm_wire_put(bytes + 24, (uint64_t)record->identity.modified_ns, 8);
    fm_wire_put(bytes + 32, (uint64_t)record->identity.changed_ns, 8);
    memcpy(bytes + 40, record->sha256, FM_PROGRAM_SHA256);
}

static void get_record(const uint8_t *bytes, struct fm_program_record *record)
{
    record->identity = (struct fm_program_identity){
        .device = fm_wire_get(bytes, 8),
        .inode = fm_wire_get(bytes + 8, 8),
        .bytes = fm_wire_get(bytes + 16, 8),
        .modified_ns = (int64_t)fm_wire_get(bytes + 24, 8),
        .changed_ns = (int64_t)fm_wire_get(bytes + 32, 8),
    };
    memcpy(record->sha256, bytes + 40, FM_PROGRAM_SHA256);
}

bool fm_program_cache_decode(const uint8_t *bytes, size_t size, struct fm_program_record **found,
                             size_t *count)
{
    uint8_t sha256[FM_PROGRAM_SHA256];
    if (size < HEAD_BYTES + FM_PROGRAM_SHA256 || memcmp(bytes, magic, sizeof magic) != 0 ||
        fm_wire_get(bytes + 8, 4) != VERSION)
        return false;
    const size_t n = (size_t)fm_wire_get(bytes + 12, 4);
    const size_t body = HEAD_BYTES + n * RECORD_BYTES;
    if (n > FM_PROGRAM_CACHE_MOST || size != body + FM_PROGRAM_SHA256 ||
        !digest_of(bytes, body, sha256) || memcmp(sha256, bytes + body, sizeof sha256) != 0)
        return false;
    struct fm_program_record *decoded = calloc(n + 1, sizeof *decoded);
    if (decoded == NULL)
        return false;
    for (size_t i = 0; i < n; i++)
        get_record(bytes + HEAD_BYTES + i * RECORD_BYTES, &decoded[i]);
    *found = decoded;
    *count = n;
    return true;
}

/* NULL: no memory. */
static uint8_t *encode(size_t *size)
{
    const size_t body = HEAD_BYTES + record_count * RECORD_BYTES;
    uint8_t *bytes = malloc(body + FM_PROGRAM_SHA256);
    if (bytes == NULL)
        return NULL;
    memcpy(bytes, magic, sizeof magic);
    fm_wire_put(bytes + 8, VERSION, 4);
    fm_wire_put(bytes + 12, record_count, 4);
    for (size_t i = 0; i < record_count; i++)
        put_record(bytes + HEAD_BYTES + i * RECORD_BYTES, &records[i]);
    if (!digest_of(bytes, body, bytes + body)) {
        free(bytes);
        return NULL;
    }
    *size = body + FM_PROGRAM_SHA256;
    return bytes;
}

/* ---- The file ---- */

/* A folder that is not absolute is to be ignored, says the XDG specification. */
static bool folder_path(char *path, size_t bytes)
{
    const char *cache = secure_getenv("XDG_CACHE_HOME");
    const char *home = secure_getenv("HOME");
    int length = -1;
    if (cache != NULL && cache[0] == '/')
        length = snprintf(path, bytes, "%s/fastmap", cache);
    else if (home != NULL && home[0] == '/')
        length = snprintf(path, bytes, "%s/.cache/fastmap", home);
    return length > 0 && (size_t)length < bytes;
}

static void make_folders(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    (void)mkdir(path, 0700);
}

static bool is_ours(const struct stat *status)
{
    return S_ISREG(status->st_mode) && status->st_uid == geteuid() &&
           (status->st_mode & (S_IWGRP | S_IWOTH)) == 0 &&
           status->st_size <= HEAD_BYTES + FM_PROGRAM_CACHE_MOST * RECORD_BYTES + FM_PROGRAM_SHA256;
}

static uint8_t *read_file(const char *path, size_t *size)
{
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return NULL;
    uint8_t *bytes = NULL;
    if (fstat(fd, &status) == 0 && is_ours(&status) && status.st_size > 0) {
        bytes = malloc((size_t)status.st_size);
        const ssize_t got = bytes != NULL ? read(fd, bytes, (size_t)status.st_size) : 0;
        *size = got > 0 ? (size_t)got : 0;
    }
    close(fd);
    return bytes;
}

/* Adds what the file has and memory has not. */
static void load(void)
{
    char folder[PATH_BYTES];
    char path[PATH_BYTES + 16];
    size_t size = 0;
    struct fm_program_record *found;
    size_t count;
    if (!folder_path(folder, sizeof folder))
        return;
    (void)snprintf(path, sizeof path, "%s/digests", folder);
    uint8_t *bytes = read_file(path, &size);
    if (bytes != NULL && fm_program_cache_decode(bytes, size, &found, &count)) {
        for (size_t i = 0; i < count; i++)
            add(&found[i]);
        free(found);
    }
    free(bytes);
}

static void replace_file(const char *folder, const uint8_t *bytes, size_t size)
{
    char path[PATH_BYTES + 16];
    char young[PATH_BYTES + 16];
    (void)snprintf(path, sizeof path, "%s/digests", folder);
    (void)snprintf(young, sizeof young, "%s/digests.XXXXXX", folder);
    const int fd = mkostemp(young, O_CLOEXEC); /* mode 0600 */
    if (fd < 0)
        return;
    const bool is_written = fm_base_io_write_all(fd, bytes, size);
    if (close(fd) != 0 || !is_written || rename(young, path) != 0)
        (void)unlink(young);
}

static void save(void)
{
    char folder[PATH_BYTES];
    size_t size = 0;
    if (!folder_path(folder, sizeof folder))
        return;
    load();
    uint8_t *bytes = encode(&size);
    if (bytes == NULL)
        return;
    make_folders(folder);
    replace_file(folder, bytes, size);
    free(bytes);
}

/* ---- What others call ---- */

bool fm_program_cache_find(const struct fm_program_identity *identity,
                           uint8_t sha256[FM_PROGRAM_SHA256])
{
    pthread_mutex_lock(&mutex);
    if (!is_loaded)
        load();
    is_loaded = true;
    const struct fm_program_record *record = find(identity);
    if (record != NULL)
        memcpy(sha256, record->sha256, FM_PROGRAM_SHA256);
    pthread_mutex_unlock(&mutex);
    return record != NULL;
}

void fm_program_cache_add(const struct fm_program_identity *identity,
                          const uint8_t sha256[FM_PROGRAM_SHA256])
{
    struct fm_program_record record = {.identity = *identity};
    if (!is_settled(identity))
        return;
    memcpy(record.sha256, sha256, FM_PROGRAM_SHA256);
    pthread_mutex_lock(&mutex);
    add(&record);
    is_changed = true;
    pthread_mutex_unlock(&mutex);
}

void fm_program_cache_save(void)
{
    pthread_mutex_lock(&mutex);
    if (is_changed)
        save();
    is_changed = false;
    pthread_mutex_unlock(&mutex);
}

void fm_program_cache_forget(void)
{
    pthread_mutex_lock(&mutex);
    free(records);
    records = NULL;
    record_count = 0;
    is_loaded = false;
    is_changed = false;
    pthread_mutex_unlock(&mutex);
}
