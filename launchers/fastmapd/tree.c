/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Programs: a manifest is taken, its files are looked for among the account's blobs, and once they are all
 * there a tree is made in which each lies under its original path, by a hard link. A tree is made under
 * another name and renamed, so there is none that is half made.
 *
 * Folders on the way to the files are bounded too: 4,096 files with paths of 2,000 folders each would be
 * 8 million of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/error.h"
#include "store_inside.h"
#include "wire/manifest.h"

#define FOLDERS_MOST 4096

/* ---- Which files are missing ---- */

static bool is_listed(const struct fmd_store_missing *missing, size_t count, const uint8_t *sha256)
{
    for (size_t i = 0; i < count; i++)
        if (memcmp(missing[i].sha256, sha256, FMD_STORE_SHA256) == 0)
            return true;
    return false;
}

static enum fmd_store_answer find_missing(struct fmd_store *store, const char *account,
                                          const struct fm_wire_manifest *manifest,
                                          struct fmd_store_missing **missing, size_t *count)
{
    *count = 0;
    *missing = calloc(manifest->count + 1, sizeof **missing);
    if (*missing == NULL)
        return FMD_STORE_INTERNAL;
    pthread_mutex_lock(&store->mutex);
    for (size_t i = 0; i < manifest->count; i++) {
        const struct fm_wire_file *file = &manifest->files[i];
        struct fmd_store_blob blob = {0};
        fmd_store_look(store, account, file->sha256, &blob);
        if (blob.complete || is_listed(*missing, *count, file->sha256))
            continue;
        struct fmd_store_missing *entry = &(*missing)[(*count)++];
        *entry = (struct fmd_store_missing){.bytes = file->bytes, .have = blob.have};
        memcpy(entry->sha256, file->sha256, FMD_STORE_SHA256);
    }
    pthread_mutex_unlock(&store->mutex);
    return *count == 0 ? FMD_STORE_OK : FMD_STORE_MISSING;
}

/* ---- Taking a manifest ---- */

static bool is_for_this_machine(const struct fm_wire_manifest *manifest)
{
    struct utsname here;
    if (uname(&here) == 0 && strcmp(here.machine, manifest->machine) == 0)
        return true;
    (void)fm_base_fail(FASTMAP_ERR_PROGRAM, "the program is for %s, this machine is %s",
                       manifest->machine, here.machine);
    return false;
}

static enum fmd_store_answer write_manifest(struct fmd_store *store, const char *name,
                                            const char *text, size_t length)
{
    char half[FMD_STORE_NAME];
    snprintf(half, sizeof half, "%.240s.half", name);
    const int fd = openat(store->folder, half, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0400);
    if (fd < 0)
        return fmd_store_errno("a manifest cannot be written");
    const ssize_t written = write(fd, text, length);
    const bool done =
        written == (ssize_t)length && renameat(store->folder, half, store->folder, name) == 0;
    const enum fmd_store_answer answer =
        done ? FMD_STORE_OK : fmd_store_errno("a manifest cannot be written");
    close(fd);
    if (!done)
        (void)unlinkat(store->folder, half, 0);
    return answer;
}

static enum fmd_store_answer keep_manifest(struct fmd_store *store, const char *account,
                                           const char *text, size_t length,
                                           const uint8_t program[FMD_STORE_SHA256])
{
    char name[FMD_STORE_NAME];
    pthread_mutex_lock(&store->mutex);
    struct fmd_store_account *owner = fmd_store_account_of(store, account);
    enum fmd_store_answer answer = FMD_STORE_INTERNAL;
    if (owner != NULL && fmd_store_name(name, account, "programs", program)) {
        if (faccessat(store->folder, name, F_OK, 0) == 0)
            answer = FMD_STORE_OK;
        else if (!fmd_store_take(store, owner, length))
            answer = FMD_STORE_STORAGE;
        else if ((answer = write_manifest(store, name, text, length)) != FMD_STORE_OK)
            fmd_store_give(store, owner, length);
    }
    pthread_mutex_unlock(&store->mutex);
    return answer;
}

enum fmd_store_answer fmd_store_program(struct fmd_store *store, const char *account,
                                        const char *text, size_t length,
                                        uint8_t program[FMD_STORE_SHA256],
                                        struct fmd_store_missing **missing, size_t *count)
{
    struct fm_wire_manifest manifest;
    if (length > FM_WIRE_MANIFEST_MOST || fm_wire_manifest_decode(text, length, &manifest) != 0)
        return FMD_STORE_MANIFEST;
    enum fmd_store_answer answer = FMD_STORE_MANIFEST;
    if (is_for_this_machine(&manifest)) {
        answer = EVP_Digest(text, length, program, NULL, EVP_sha256(), NULL) == 1
                     ? keep_manifest(store, account, text, length, program)
                     : FMD_STORE_INTERNAL;
        if (answer == FMD_STORE_OK)
            answer = find_missing(store, account, &manifest, missing, count);
    }
    fm_wire_manifest_free(&manifest);
    return answer;
}

/* ---- Making a tree ---- */

/* Makes the folders on the way to a file. */
static bool make_way(int root, const char *path, unsigned *folders)
{
    char way[FM_WIRE_MANIFEST_PATH];
    snprintf(way, sizeof way, "%s", path);
    for (char *slash = strchr(way, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdirat(root, way, 0755) == 0) {
            /* Whatever the umask is: the worker is another user. */
            if (++*folders > FOLDERS_MOST || fchmodat(root, way, 0755, 0) != 0)
                return false;
        } else if (errno != EEXIST)
            return false;
        *slash = '/';
    }
    return true;
}

static bool link_files(struct fmd_store *store, const char *account,
                       const struct fm_wire_manifest *manifest, int root)
{
    unsigned folders = 0;
    for (size_t i = 0; i < manifest->count; i++) {
        const char *path = manifest->files[i].path + 1; /* relative */
        char blob[FMD_STORE_NAME];
        if (!fmd_store_name(blob, account, "blobs", manifest->files[i].sha256) ||
            !make_way(root, path, &folders) || linkat(store->folder, blob, root, path, 0) != 0) {
            if (folders > FOLDERS_MOST)
                errno = EMLINK;
            return false;
        }
        (void)utimensat(store->folder, blob, NULL, 0); /* used */
    }
    return (mkdirat(root, "tmp", 0755) == 0 || errno == EEXIST) &&
           fchmodat(root, "tmp", 0755, 0) == 0;
}

static enum fmd_store_answer make_tree(struct fmd_store *store, const char *account,
                                       const char *name, const struct fm_wire_manifest *manifest)
{
    char half[FMD_STORE_NAME];
    snprintf(half, sizeof half, "%.240s.half", name);
    fmd_store_remove(store->folder, half);
    int root = -1;
    const bool done =
        mkdirat(store->folder, half, 0755) == 0 && fchmodat(store->folder, half, 0755, 0) == 0 &&
        (root = openat(store->folder, half, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0 &&
        link_files(store, account, manifest, root) &&
        renameat(store->folder, half, store->folder, name) == 0;
    const enum fmd_store_answer answer =
        done ? FMD_STORE_OK : fmd_store_errno("the program's files cannot be laid out");
    if (root >= 0)
        close(root);
    if (!done)
        fmd_store_remove(store->folder, half);
    return answer;
}

/* ---- What is told of it ---- */

/* The folders of all shared libraries, each once. */
static char *list_folders(const struct fm_wire_manifest *manifest)
{
    size_t bytes = 1;
    for (size_t i = 0; i < manifest->count; i++)
        bytes += strlen(manifest->files[i].path) + 1;
    char *all = malloc(bytes);
    size_t used = 0;
    const char *last = "";
    size_t last_length = 0;
    for (size_t i = 0; i < manifest->count && all != NULL; i++) {
        const struct fm_wire_file *file = &manifest->files[i];
        const size_t length = (size_t)(strrchr(file->path, '/') - file->path);
        const bool is_library =
            file->role == FM_WIRE_ROLE_LIBRARY || file->role == FM_WIRE_ROLE_FASTMAP;
        /* Sorted by path: the files of a folder follow each other, but for those of folders in it. */
        if (!is_library || (length == last_length && strncmp(last, file->path, length) == 0))
            continue;
        used += (size_t)sprintf(all + used, "%s%.*s", used > 0 ? ":" : "", (int)length, file->path);
        last = file->path;
        last_length = length;
    }
    if (all != NULL)
        all[used] = '\0';
    return all;
}

static bool name_files(const struct fm_wire_manifest *manifest, struct fmd_tree *tree)
{
    char **const places[FM_WIRE_ROLES] = {
        [FM_WIRE_ROLE_EXECUTABLE] = &tree->executable,
        [FM_WIRE_ROLE_LOADER] = &tree->loader,
        [FM_WIRE_ROLE_WORKER] = &tree->worker,
        [FM_WIRE_ROLE_FASTMAP] = &tree->fastmap,
    };
    for (size_t i = 0; i < manifest->count; i++) {
        const struct fm_wire_file *file = &manifest->files[i];
        tree->bytes += file->bytes;
        if (places[file->role] != NULL && (*places[file->role] = strdup(file->path)) == NULL)
            return false;
    }
    tree->folders = list_folders(manifest);
    tree->cpu = strdup(manifest->cpu);
    return tree->folders != NULL && tree->cpu != NULL;
}

/* With the mutex. A tree in use is not removed by fmd_store_expire(). */
static bool count_use(struct fmd_store *store, const char *root)
{
    struct fmd_store_use *use = store->uses;
    while (use != NULL && strcmp(use->root, root) != 0)
        use = use->next;
    if (use == NULL) {
        use = calloc(1, sizeof *use);
        if (use == NULL || (use->root = strdup(root)) == NULL) {
            free(use);
            return false;
        }
        use->next = store->uses;
        store->uses = use;
    }
    use->count++;
    return true;
}

static enum fmd_store_answer describe(struct fmd_store *store, const char *name,
                                      const struct fm_wire_manifest *manifest,
                                      struct fmd_tree **out)
{
    struct fmd_tree *tree = calloc(1, sizeof *tree);
    if (tree == NULL)
        return FMD_STORE_INTERNAL;
    if (asprintf(&tree->root, "%s/%s", store->path, name) < 0)
        tree->root = NULL;
    pthread_mutex_lock(&store->mutex);
    const bool done =
        tree->root != NULL && name_files(manifest, tree) && count_use(store, tree->root);
    pthread_mutex_unlock(&store->mutex);
    tree->store = done ? store : NULL;
    if (done)
        *out = tree;
    else
        fmd_store_drop(tree);
    return done ? FMD_STORE_OK : FMD_STORE_INTERNAL;
}

static enum fmd_store_answer read_manifest(struct fmd_store *store, const char *name,
                                           struct fm_wire_manifest *manifest)
{
    const int fd = openat(store->folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char *text = fd < 0 ? NULL : malloc(FM_WIRE_MANIFEST_MOST);
    const ssize_t length = text == NULL ? -1 : read(fd, text, FM_WIRE_MANIFEST_MOST);
    const enum fmd_store_answer answer =
        fd < 0 && errno == ENOENT ? FMD_STORE_NONE
        : length < 0              ? fmd_store_errno("a manifest cannot be read")
        : fm_wire_manifest_decode(text, (size_t)length, manifest) == 0 ? FMD_STORE_OK
                                                                       : FMD_STORE_MANIFEST;
    free(text);
    if (fd >= 0)
        close(fd);
    return answer;
}

static enum fmd_store_answer stage(struct fmd_store *store, const char *account,
                                   const uint8_t program[FMD_STORE_SHA256],
                                   const struct fm_wire_manifest *manifest, struct fmd_tree **tree)
{
    char name[FMD_STORE_NAME];
    (void)fmd_store_name(name, account, "trees", program);
    pthread_mutex_lock(&store->staging);
    enum fmd_store_answer answer = faccessat(store->folder, name, F_OK, 0) == 0
                                       ? FMD_STORE_OK
                                       : make_tree(store, account, name, manifest);
    (void)utimensat(store->folder, name, NULL, 0);
    if (answer == FMD_STORE_OK)
        answer = describe(store, name, manifest, tree);
    pthread_mutex_unlock(&store->staging);
    return answer;
}

enum fmd_store_answer fmd_store_stage(struct fmd_store *store, const char *account,
                                      const uint8_t program[FMD_STORE_SHA256],
                                      struct fmd_tree **tree, struct fmd_store_missing **missing,
                                      size_t *count)
{
    char name[FMD_STORE_NAME];
    struct fm_wire_manifest manifest;
    if (!fmd_store_name(name, account, "programs", program))
        return FMD_STORE_NONE;
    enum fmd_store_answer answer = read_manifest(store, name, &manifest);
    if (answer != FMD_STORE_OK)
        return answer;
    (void)utimensat(store->folder, name, NULL, 0);
    answer = find_missing(store, account, &manifest, missing, count);
    if (answer == FMD_STORE_OK) {
        free(*missing);
        *missing = NULL;
        answer = stage(store, account, program, &manifest, tree);
    }
    fm_wire_manifest_free(&manifest);
    return answer;
}

void fmd_store_drop(struct fmd_tree *tree)
{
    if (tree == NULL)
        return;
    if (tree->store != NULL) {
        pthread_mutex_lock(&tree->store->mutex);
        for (struct fmd_store_use *use = tree->store->uses; use != NULL; use = use->next)
            if (strcmp(use->root, tree->root) == 0)
                use->count--;
        pthread_mutex_unlock(&tree->store->mutex);
    }
    char *const texts[] = {tree->root,    tree->loader,  tree->worker, tree->executable,
                           tree->fastmap, tree->folders, tree->cpu};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    free(tree);
}
