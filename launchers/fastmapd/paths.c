/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Trust in paths. A folder is entered one step at a time without following links, so that what was
 * checked is what is used.
 */
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/io.h"

static bool is_ours(const struct stat *status)
{
    return status->st_uid == geteuid() || status->st_uid == 0;
}

/* ---- Folders ---------------------------------------------------------------------------------------- */

static int check_above(const char *path, const struct stat *status)
{
    const bool open_to_others = (status->st_mode & (S_IWGRP | S_IWOTH)) != 0;
    if (!is_ours(status))
        return fm_base_fail(FASTMAP_ERR_CONFIG,
                            "%s belongs to user %lu, who could exchange what lies in it; choose "
                            "another state folder",
                            path, (unsigned long)status->st_uid);
    if (open_to_others && (status->st_mode & S_ISVTX) == 0)
        return fm_base_fail(FASTMAP_ERR_CONFIG,
                            "others can write to %s (mode %03o); run: chmod go-w %s", path,
                            (unsigned)status->st_mode & 07777u, path);
    return 0;
}

static int check_own(const char *path, const struct stat *status)
{
    if (status->st_uid != geteuid())
        return fm_base_fail(
            FASTMAP_ERR_CONFIG,
            "%s belongs to user %lu, not to the one fastmapd runs as; give it your own folder",
            path, (unsigned long)status->st_uid);
    if ((status->st_mode & 077) != 0)
        return fm_base_fail(FASTMAP_ERR_CONFIG,
                            "others can enter %s (mode %03o); run: chmod 700 %s", path,
                            (unsigned)status->st_mode & 07777u, path);
    return 0;
}

/* One step: the folder `name` in `parent`, made if it is missing. `path` is its whole name so far. */
static int enter(int parent, const char *name, const char *path, bool is_last, int *fd)
{
    if (mkdirat(parent, name, 0700) != 0 && errno != EEXIST)
        return fm_base_fail(
            FASTMAP_ERR_CONFIG,
            "cannot make the folder %s: %s; make it, or choose another state folder", path,
            strerror(errno));
    *fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*fd < 0 && (errno == ELOOP || errno == ENOTDIR))
        return fm_base_fail(FASTMAP_ERR_CONFIG,
                            "%s is a symbolic link or no folder; give the path that it stands for",
                            path);
    struct stat status;
    if (*fd < 0 || fstat(*fd, &status) != 0)
        return fm_base_fail(FASTMAP_ERR_CONFIG, "cannot open the folder %s: %s; check it", path,
                            strerror(errno));
    const int rc = is_last ? check_own(path, &status) : check_above(path, &status);
    if (rc != 0)
        close(*fd);
    return rc;
}

int fmd_paths_folder(const char *path, int *fd)
{
    char whole[PATH_MAX];
    if (path[0] != '/' || strlen(path) >= sizeof whole)
        return fm_base_fail(FASTMAP_ERR_CONFIG,
                            "the state folder %.100s must be a path that begins with /", path);
    strcpy(whole, path);
    for (size_t end = strlen(whole); end > 1 && whole[end - 1] == '/'; end--)
        whole[end - 1] = '\0';
    int at = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (char *name = whole + 1, *end; at >= 0; name = end + 1) {
        int next = -1;
        end = strchrnul(name, '/');
        const bool is_last = *end == '\0';
        *end = '\0';
        const int rc = *name == '\0'
                           ? fm_base_fail(FASTMAP_ERR_CONFIG, "%s has an empty part", path)
                           : enter(at, name, whole, is_last, &next);
        close(at);
        if (rc != 0)
            return rc;
        at = next;
        if (is_last)
            break;
        *end = '/';
    }
    *fd = at;
    return 0;
}

/* ---- Files ------------------------------------------------------------------------------------------ */

static int check_file(const char *path, enum fmd_paths_trust trust, const struct stat *status)
{
    const unsigned others = trust == FMD_PATHS_SECRET ? 077 : 022;
    if (!S_ISREG(status->st_mode))
        return fm_base_fail(FASTMAP_ERR_CONFIG, "%s is not a regular file", path);
    if (!is_ours(status))
        return fm_base_fail(FASTMAP_ERR_CONFIG,
                            "%s belongs to user %lu; make a copy that is your own", path,
                            (unsigned long)status->st_uid);
    if ((status->st_mode & others) != 0)
        return fm_base_fail(FASTMAP_ERR_CONFIG, "others can %s %s (mode %03o); run: chmod %s %s",
                            trust == FMD_PATHS_SECRET ? "use" : "write to", path,
                            (unsigned)status->st_mode & 07777u,
                            trust == FMD_PATHS_SECRET ? "600" : "go-w", path);
    return 0;
}

static int read_open(int fd, const char *path, size_t most, char **text, size_t *length)
{
    char *buffer = malloc(most + 1);
    size_t have = 0;
    ssize_t got = 1;
    if (buffer == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory to read %s", path);
    while (have <= most && (got = read(fd, buffer + have, most + 1 - have)) > 0)
        have += (size_t)got;
    if (got < 0 || have > most) {
        const int reason = errno;
        free(buffer);
        return got < 0
                   ? fm_base_fail(FASTMAP_ERR_CONFIG, "cannot read %s: %s", path, strerror(reason))
                   : fm_base_fail(FASTMAP_ERR_CONFIG, "%s is larger than %zu bytes", path, most);
    }
    buffer[have] = '\0';
    *text = buffer;
    *length = have;
    return 0;
}

int fmd_paths_read(const char *path, enum fmd_paths_trust trust, size_t most, char **text,
                   size_t *length)
{
    struct stat status;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return errno == ELOOP
                   ? fm_base_fail(FASTMAP_ERR_CONFIG,
                                  "%s is a symbolic link; give the path that it stands for", path)
                   : fm_base_fail(FASTMAP_ERR_CONFIG, "cannot open %s: %s", path, strerror(errno));
    int rc = fstat(fd, &status) != 0
                 ? fm_base_fail(FASTMAP_ERR_CONFIG, "cannot look at %s: %s", path, strerror(errno))
                 : check_file(path, trust, &status);
    if (rc == 0)
        rc = read_open(fd, path, most, text, length);
    close(fd);
    return rc;
}

int fmd_paths_write(int folder, const char *name, const void *text, size_t length)
{
    char fresh[NAME_MAX];
    snprintf(fresh, sizeof fresh, ".%.200s.new", name);
    unlinkat(folder, fresh, 0);
    const int fd = openat(folder, fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    const bool written = fd >= 0 && fm_base_io_write_all(fd, text, length) && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    if (!written || renameat(folder, fresh, folder, name) != 0)
        return fm_base_fail(FASTMAP_ERR_CONFIG,
                            "cannot write %s in the state folder: %s; free some room", name,
                            strerror(errno));
    return 0;
}
