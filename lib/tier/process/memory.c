/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sealed, so that a worker which truncates what it was given cannot make the host's next access a SIGBUS.
 * Pages are made at once: a fault for each costs more than copying what goes into it.
 */
#include "tier/process/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/io.h"

static const struct fm_process_memory none = {.fd = -1};

static bool seal(int fd, int seals)
{
    return fcntl(fd, F_ADD_SEALS, seals | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
}

static int make_fd(const char *name)
{
    return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

bool fm_process_memory_make(struct fm_process_memory *memory, size_t size)
{
    *memory = none;
    const int fd = make_fd("fastmap-arena");
    if (fd < 0)
        return false;
    void *bytes = MAP_FAILED;
    /* Allocated, not only promised: the machine's lack of memory is an answer here, not a SIGBUS later. */
    if (ftruncate(fd, (off_t)size) == 0 && fallocate(fd, 0, 0, (off_t)size) == 0 && seal(fd, 0))
        bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
    if (bytes == MAP_FAILED) {
        close(fd);
        return false;
    }
    *memory = (struct fm_process_memory){.fd = fd, .bytes = bytes, .size = size};
    return true;
}

bool fm_process_memory_copy(struct fm_process_memory *memory, const void *block, size_t size)
{
    *memory = none;
    const int fd = make_fd("fastmap-shared");
    if (fd < 0)
        return false;
    if (!fm_base_io_write_all(fd, block, size) || !seal(fd, F_SEAL_WRITE)) {
        close(fd);
        return false;
    }
    *memory = (struct fm_process_memory){.fd = fd, .size = size};
    return true;
}

void fm_process_memory_drop(struct fm_process_memory *memory)
{
    if (memory->bytes != NULL)
        munmap(memory->bytes, memory->size);
    if (memory->fd >= 0)
        close(memory->fd);
    *memory = none;
}
