/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One folder holds all that a daemon must not lose: ledger.db, ledger.key, certificate.*, blobs/.
 */
#include "state.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/error.h"
#include "paths.h"

int fmd_state_choose(struct fmd_config *config)
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_STATE_HOME");
    const int bytes = FMD_CONFIG_TEXT;
    int length = 0;
    if (config->state[0] != '\0')
        return 0;
    if (geteuid() == 0)
        length = snprintf(config->state, (size_t)bytes, "/var/lib/fastmapd");
    else if (xdg != NULL && xdg[0] == '/')
        length = snprintf(config->state, (size_t)bytes, "%s/fastmapd", xdg);
    else if (home != NULL && home[0] == '/')
        length = snprintf(config->state, (size_t)bytes, "%s/.local/state/fastmapd", home);
    if (length <= 0 || length >= bytes)
        return fm_base_fail(
            FASTMAP_ERR_CONFIG,
            "HOME is not set to a usable path; say where to keep the ledger by --state");
    return 0;
}

int fmd_state_open(const struct fmd_config *config, int *folder)
{
    return fmd_paths_folder(config->state, folder);
}

int fmd_state_lock(int folder, const char *path, int *lock)
{
    const int fd = openat(folder, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0) {
        *lock = fd;
        return 0;
    }
    if (fd >= 0)
        close(fd);
    return fm_base_fail(
        FASTMAP_ERR_STATE,
        "another fastmapd uses %s; stop it, or give this one another folder by --state", path);
}
