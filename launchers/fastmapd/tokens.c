/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The file that says how often tokens were changed.
 */
#include "tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"

int fmd_tokens_open(int folder, struct fmd_tokens **tokens)
{
    void *memory = MAP_FAILED;
    const int fd = openat(folder, "tokens", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd >= 0 && ftruncate(fd, sizeof **tokens) == 0)
        memory = mmap(NULL, sizeof **tokens, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    const int reason = errno;
    if (fd >= 0)
        close(fd);
    if (memory == MAP_FAILED)
        return fm_base_fail(FASTMAP_ERR_STATE,
                            "the file tokens in the state folder cannot be used: %s; check its "
                            "owner and the disk's room",
                            strerror(reason));
    *tokens = memory;
    return 0;
}

void fmd_tokens_close(struct fmd_tokens *tokens)
{
    munmap(tokens, sizeof *tokens);
}
