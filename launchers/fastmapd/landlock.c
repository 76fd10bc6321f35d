/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's interface has grown: each version knows more actions, and refuses to hear of those that it
 * does not know. The table says what came when. Version 3 is the first that can deny truncating files.
 */
#include "landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OLDEST 3

/* As newer kernels have it than the headers that we may be compiled with. */
struct attributes {
    uint64_t files;
    uint64_t net;
    uint64_t scoped;
};

static const struct {
    int version;
    struct attributes adds;
    size_t bytes; /* of the attributes that it knows */
} versions[] = {
    {1, {.files = (1u << 13) - 1}, 8}, /* read, write, execute, make, remove */
    {2, {.files = 1u << 13}, 8},       /* refer */
    {3, {.files = 1u << 14}, 8},       /* truncate */
    {4, {.net = 3}, 16},               /* bind and connect by TCP */
    {5, {.files = 1u << 15}, 16},      /* ioctl of devices */
    {6, {.scoped = 3}, 24},            /* abstract sockets, signals */
};

static int version(void)
{
    return (int)syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

bool fmd_landlock_is_there(void)
{
    return version() >= OLDEST;
}

bool fmd_landlock_apply(const char *folder)
{
    struct attributes handled = {0};
    size_t bytes = 0;
    const int here = version();
    for (size_t i = 0; i < sizeof versions / sizeof *versions && versions[i].version <= here; i++) {
        handled.files |= versions[i].adds.files;
        handled.net |= versions[i].adds.net;
        handled.scoped |= versions[i].adds.scoped;
        bytes = versions[i].bytes;
    }
    struct landlock_path_beneath_attr rule = {
        .allowed_access =
            LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
        .parent_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW),
    };
    const int rules =
        here < OLDEST ? -1 : (int)syscall(SYS_landlock_create_ruleset, &handled, bytes, 0);
    return rules >= 0 && rule.parent_fd >= 0 &&
           syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0 &&
           syscall(SYS_landlock_restrict_self, rules, 0) == 0;
}
