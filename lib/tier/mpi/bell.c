/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A futex in shared memory. The ringer counts up and then looks for sleepers, a sleeper notes itself and then
 * looks at the count; both in the one order of all such operations, so one of them sees the other. The kernel
 * compares the count once more before it lets anybody sleep.
 */
#include "tier/mpi/bell.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct fm_mpi_bell *map_bells(int file, int count)
{
    void *memory = mmap(NULL, (size_t)count * sizeof(struct fm_mpi_bell), PROT_READ | PROT_WRITE,
                        MAP_SHARED, file, 0);
    (void)close(file);
    return memory != MAP_FAILED ? memory : NULL;
}

/* Names cannot be guessed wrongly: O_EXCL makes sure that the memory is new, and only this user may open
   it. */
struct fm_mpi_bell *fm_mpi_bells_make(int count, char name[FM_MPI_BELL_NAME])
{
    static unsigned made;
    (void)snprintf(name, FM_MPI_BELL_NAME, "/fastmap-bells-%ld-%u", (long)getpid(), made++);
    const int file = shm_open(name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (file >= 0 && ftruncate(file, (off_t)count * (off_t)sizeof(struct fm_mpi_bell)) == 0)
        return map_bells(file, count);
    if (file >= 0) {
        (void)close(file);
        fm_mpi_bells_forget(name);
    }
    name[0] = '\0';
    return NULL;
}

struct fm_mpi_bell *fm_mpi_bells_open(int count, const char *name)
{
    const int file = name[0] != '\0' ? shm_open(name, O_RDWR | O_CLOEXEC, 0) : -1;
    return file >= 0 ? map_bells(file, count) : NULL;
}

void fm_mpi_bells_forget(const char *name)
{
    if (name[0] != '\0')
        (void)shm_unlink(name);
}

void fm_mpi_bells_close(struct fm_mpi_bell *bells, int count)
{
    if (bells != NULL)
        (void)munmap(bells, (size_t)count * sizeof *bells);
}

void fm_mpi_bell_ring(struct fm_mpi_bell *bell)
{
    atomic_fetch_add(&bell->rings, 1);
    if (atomic_load(&bell->sleepers) > 0)
        (void)syscall(SYS_futex, &bell->rings, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

void fm_mpi_bell_wait(struct fm_mpi_bell *bell, uint32_t heard, uint64_t ns)
{
    const struct timespec most = {.tv_sec = (time_t)(ns / 1000000000u),
                                  .tv_nsec = (long)(ns % 1000000000u)};
    atomic_fetch_add(&bell->sleepers, 1);
    if (atomic_load(&bell->rings) == heard)
        (void)syscall(SYS_futex, &bell->rings, FUTEX_WAIT, heard, &most, NULL, 0);
    atomic_fetch_sub(&bell->sleepers, 1);
}
