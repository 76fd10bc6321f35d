/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sandbox where user namespaces are forbidden. This process makes such a place for itself: a namespace in
 * which it is an ordinary user, and no further one can be made.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../launchers/fastmapd/landlock.h"
#include "../test.h"
#include "cage.h"

#define CPU (5000 * MS)

static const char *no_cage;
static struct cage cage;

static bool write_to(const char *path, const char *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    const bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return done;
}

/* Before there are threads. */
__attribute__((constructor)) static void forbid_namespaces(void)
{
    char users[64], groups[64];
    snprintf(users, sizeof users, "1000 %d 1", (int)geteuid());
    snprintf(groups, sizeof groups, "1000 %d 1", (int)getegid());
    if (!fmd_landlock_is_there())
        no_cage = "this kernel has no Landlock";
    else if (unshare(CLONE_NEWUSER) != 0 || !write_to("/proc/self/setgroups", "deny") ||
             !write_to("/proc/self/gid_map", groups) || !write_to("/proc/self/uid_map", users) ||
             !write_to("/proc/sys/user/max_user_namespaces", "0"))
        no_cage = "this process may not make a user namespace";
}

__attribute__((destructor)) static void close_cage(void)
{
    if (cage.pool != NULL)
        cage_close(&cage);
}

static bool has_cage(void)
{
    const struct fmd_pool_config config = cage_config();
    if (no_cage == NULL && cage.pool == NULL &&
        !cage_open(&cage, &config, "tests/fastmapd/prisoner", &no_cage))
        no_cage = no_cage != NULL ? no_cage : "the program could not be made ready";
    return no_cage == NULL;
}

TEST(landlock_is_chosen_and_programs_run)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    CHECK_CONTAINS(fmd_pool_confinement(cage.pool), "Landlock");
    cage_try(&cage, "echo", 0, 1, "hello", CPU, &outcome);
    CHECK_EQ_STR(outcome.out, "hello");
}

static const char *own_pid(void)
{
    static char text[32];
    snprintf(text, sizeof text, "%d", (int)getpid());
    return text;
}

static const char *own_program(void)
{
    static char path[512];
    snprintf(path, sizeof path, "%.255s/secret", cage.folder);
    return path;
}

GETS_NOTHING(files_of_the_host_cannot_be_read, "read_files", own_program())
GETS_NOTHING(files_cannot_be_written, "write_files", own_program())
GETS_NOTHING(no_signal_goes_outside, "signal_others", own_pid())
GETS_NOTHING(nothing_can_be_connected_to, "connect_anywhere", "22")
GETS_NOTHING(it_cannot_fork, "fork_off", "")
GETS_NOTHING(it_executes_nothing_after_its_start, "execute", "/bin/true")

TEST(cpu_time_is_measured_and_cut)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "work_in_threads", 0, 1, "30", CPU, &outcome);
    CHECK_TRUE(outcome.result.cpu_ns >= 60 * MS, "%llu ns",
               (unsigned long long)outcome.result.cpu_ns);
    cage_try(&cage, "loop", 0, 1, "!", 50 * MS, &outcome);
    CHECK_EQ_STR(cage_status(outcome.result.status), "cut");
}

TEST(it_writes_nowhere)
{
    struct cage_outcome outcome;
    NEEDS_CAGE();
    cage_try(&cage, "fill_disk", 0, 1, "", CPU, &outcome);
    CHECK_EQ_STR(outcome.out, "0 bytes");
}
