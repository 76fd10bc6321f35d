/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A host as a service would be one: starts the program that lies below ROOT, and sees nothing else, as a
 * worker, and has it compute 21 and 22 by the function at OFFSET of MODULE. tests/program.sh compares what
 * it prints.
 *
 *     program_host ROOT LOADER LIBRARY_PATH SHIM FASTMAP EXECUTABLE MODULE OFFSET
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "program/channel.h"

enum { ROOT = 1, LOADER, LIBRARY_PATH, SHIM, FASTMAP, EXECUTABLE, MODULE, OFFSET, ARGUMENTS };
enum { ARENA_BYTES = 3 * 4096, IN = 4096, OUT = 2 * 4096, SECONDS = 20 };

static void fail(const char *what)
{
    printf("%s: %s\n", what, strerror(errno));
    exit(1);
}

/* The descriptor is inherited; nothing of this process's environment is. */
static void become_worker(char **argv, int end)
{
    char fd[64];
    char library[4352];
    snprintf(fd, sizeof fd, "FASTMAP_WORKER_FD=%d", end);
    snprintf(library, sizeof library, "FASTMAP_WORKER_LIBRARY=%s", argv[FASTMAP]);
    const char *environment[] = {fd, library, NULL};
    const char *arguments[] = {
        argv[LOADER], "--inhibit-cache", "--library-path", argv[LIBRARY_PATH],
        "--preload",  argv[SHIM],        argv[EXECUTABLE], NULL};
    if (geteuid() != 0 && unshare(CLONE_NEWUSER) != 0)
        fail("unshare");
    if (chroot(argv[ROOT]) != 0 || chdir("/") != 0)
        fail("chroot");
    fcntl(end, F_SETFD, 0);
    execve(argv[LOADER], (char *const *)arguments, (char *const *)environment);
    fail("execve");
}

static int *make_arena(int *fd)
{
    *fd = memfd_create("arena", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0 || ftruncate(*fd, ARENA_BYTES) != 0 || fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK) != 0)
        fail("memfd");
    char *arena = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    if (arena == MAP_FAILED)
        fail("mmap");
    int *in = (int *)(void *)(arena + IN);
    in[0] = 21;
    in[1] = 22;
    return (int *)(void *)(arena + OUT);
}

static void send_frame(struct fm_program_channel *channel, struct fm_wire_worker_frame frame,
                       int fd)
{
    if (!fm_program_channel_send(channel, &frame, fd))
        fail("the worker does not listen");
}

/* True: a frame of that type came next. */
static bool expect(struct fm_program_channel *channel, enum fm_wire_worker_type type)
{
    struct fm_wire_worker_frame frame;
    const char *wrong = "closed";
    if (fm_program_channel_receive(channel, true, &frame, NULL, &wrong) != FM_PROGRAM_CHANNEL_FRAME)
        printf("no frame: %s\n", wrong);
    else if (frame.type != type)
        printf("frame %d: %s\n", (int)frame.type,
               frame.type == FM_WIRE_WORKER_ERROR ? frame.is.error.sentence : "");
    else
        return true;
    return false;
}

static bool converse(int end, char **argv)
{
    struct fm_program_channel channel;
    int arena_fd;
    const int *out = make_arena(&arena_fd);
    fm_program_channel_open(&channel, end);
    if (!expect(&channel, FM_WIRE_WORKER_HELLO))
        return false;
    send_frame(
        &channel,
        (struct fm_wire_worker_frame){.type = FM_WIRE_WORKER_ARENA, .is.arena.bytes = ARENA_BYTES},
        arena_fd);
    send_frame(&channel,
               (struct fm_wire_worker_frame){.type = FM_WIRE_WORKER_LOAD,
                                             .is.load = {.map = 1,
                                                         .offset = strtoull(argv[OFFSET], NULL, 0),
                                                         .in_size = sizeof(int),
                                                         .out_size = sizeof(int),
                                                         .path = argv[MODULE]}},
               -1);
    send_frame(
        &channel,
        (struct fm_wire_worker_frame){
            .type = FM_WIRE_WORKER_SPAN,
            .is.span = {.span = 1, .map = 1, .count = 2, .in_offset = IN, .out_offset = OUT}},
        -1);
    if (!expect(&channel, FM_WIRE_WORKER_RESULT))
        return false;
    send_frame(&channel, (struct fm_wire_worker_frame){.type = FM_WIRE_WORKER_BYE}, -1);
    printf("%d %d\n", out[0], out[1]);
    return true;
}

int main(int argc, char **argv)
{
    int ends[2];
    int status = -1;
    if (argc != ARGUMENTS || !fm_program_channel_pair(ends))
        fail("eight arguments and a pair of sockets");
    alarm(SECONDS);
    const pid_t worker = fork();
    if (worker == 0)
        become_worker(argv, ends[1]);
    close(ends[1]);
    const bool is_served = converse(ends[0], argv);
    close(ends[0]);
    if (waitpid(worker, &status, 0) != worker || status != 0)
        printf("the worker ended with status %#x\n", (unsigned)status);
    return is_served && status == 0 ? 0 : 1;
}
