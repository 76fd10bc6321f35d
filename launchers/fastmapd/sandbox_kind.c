/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which kind of sandbox this machine has to offer: the first in the table with which a trial child, that
 * goes all the way but for the program, comes through.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "landlock.h"
#include "sandbox.h"
#include "seccomp.h"

/* A child that goes all the way, with an empty folder for a program. */
static bool try_kind(struct fmd_sandbox *sandbox, const char *folder, char *why, size_t bytes)
{
    char root[PATH_MAX];
    snprintf(root, sizeof root, "%s", folder);
    const struct fmd_tree tree = {.root = root};
    const struct fmd_sandbox_terms terms = {.tree = &tree,
                                            .channel_fd = sandbox->null_fd,
                                            .output_fd = sandbox->null_fd,
                                            .memory_bytes = 64 << 20,
                                            .scratch_bytes = 1 << 20,
                                            .stack_bytes = 1 << 20,
                                            .cpu_s = 10};
    struct fmd_sandbox_process process;
    if (fmd_sandbox_start(sandbox, &terms, &process) != 0) {
        snprintf(why, bytes, "%s", fm_base_last_error());
        return false;
    }
    return fmd_sandbox_reap(&process, why, bytes) == 0;
}

static const struct kind {
    enum fmd_sandbox_kind kind;
    bool user_namespaces;
    bool as_root, as_user; /* for whom it is any good */
    const char *name;
} kinds[] = {
    {FMD_SANDBOX_NAMESPACES, true, true, true, "namespaces"},
    {FMD_SANDBOX_NAMESPACES, false, true, false, "namespaces but those of users"},
    {FMD_SANDBOX_LANDLOCK, false, false, true, "Landlock"},
    {FMD_SANDBOX_BARE, false, false, true, "no protection of this machine's files"},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static bool may_be(const struct kind *kind, bool unconfined)
{
    return (geteuid() == 0 ? kind->as_root : kind->as_user) &&
           (kind->kind != FMD_SANDBOX_BARE || unconfined) &&
           (kind->kind != FMD_SANDBOX_LANDLOCK || fmd_landlock_is_there());
}

static int choose(struct fmd_sandbox *sandbox, bool unconfined, const char *folder)
{
    char why[256] = "";
    for (int i = 0; i < KINDS; i++) {
        sandbox->kind = kinds[i].kind;
        sandbox->user_namespaces = kinds[i].user_namespaces;
        if (may_be(&kinds[i], unconfined) && try_kind(sandbox, folder, why, sizeof why))
            return 0;
    }
    return fm_base_fail(
        FASTMAP_ERR_STATE, "this machine offers no sandbox (%s): allow user namespaces%s", why,
        geteuid() == 0 ? ", or start fastmapd as another user than root"
                       : ", or set run_programs_without_a_sandbox = yes and trust every user");
}

int fmd_sandbox_open(struct fmd_sandbox *sandbox, uint32_t first_uid, bool unconfined)
{
    char folder[] = "/tmp/fastmapd-XXXXXX";
    char inner[sizeof folder + 4];
    memset(sandbox, 0, sizeof *sandbox);
    sandbox->own_users = geteuid() == 0;
    sandbox->first_uid = first_uid != 0 ? first_uid : 0x70000000;
    sandbox->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (sandbox->null_fd < 0 || mkdtemp(folder) == NULL)
        return fm_base_fail(FASTMAP_ERR_STATE, "/dev/null or a folder in /tmp cannot be opened: %s",
                            strerror(errno));
    snprintf(inner, sizeof inner, "%s/tmp", folder);
    int rc = chmod(folder, 0755) != 0 || mkdir(inner, 0755) != 0
                 ? fm_base_fail(FASTMAP_ERR_STATE, "%s cannot be made: %s", inner, strerror(errno))
                 : fmd_seccomp_make(&sandbox->filter);
    if (rc == 0)
        rc = choose(sandbox, unconfined, folder);
    rmdir(inner);
    rmdir(folder);
    if (rc != 0)
        fmd_sandbox_close(sandbox);
    return rc;
}

void fmd_sandbox_close(struct fmd_sandbox *sandbox)
{
    free(sandbox->filter.filter);
    sandbox->filter.filter = NULL;
    if (sandbox->null_fd >= 0)
        close(sandbox->null_fd);
    sandbox->null_fd = -1;
}

const char *fmd_sandbox_describe(const struct fmd_sandbox *sandbox)
{
    switch (sandbox->kind) {
    case FMD_SANDBOX_NAMESPACES:
        return !sandbox->user_namespaces
                   ? "namespaces (none of users), seccomp, a user of its own for each"
               : sandbox->own_users ? "namespaces, seccomp, a user of its own for each"
                                    : "namespaces, seccomp";
    case FMD_SANDBOX_LANDLOCK: return "Landlock, seccomp";
    case FMD_SANDBOX_BARE: break;
    }
    return "seccomp alone: programs can read what fastmapd can read";
}
