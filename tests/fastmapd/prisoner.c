/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A stand-in for a worker: the smallest serve loop that speaks docs/WORKER.md, or breaks it in every way.
 * It is built without sanitizers and without libfastmap, so that the host side can be tested under either.
 * Its main(), which never runs in a worker, lists the elements and their offsets.
 */
#include "prisoner.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "program/channel.h"
#include "wire/worker.h"

/* The arena's descriptor is kept open, for elements to misuse it. */
#define KEPT 4

enum prisoner_answer prisoner_answer;

static struct fm_program_channel channel;
static prisoner_element *element;
static struct fm_wire_worker_load load;
static char *arena;
static size_t arena_bytes;

/* ---- Answers ---- */

static void send_bytes(const void *bytes, size_t count)
{
    struct iovec packet = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = count};
    const struct msghdr message = {.msg_iov = &packet, .msg_iovlen = 1};
    (void)sendmsg(channel.fd, &message, MSG_NOSIGNAL);
}

static void say(struct fm_wire_worker_frame *frame)
{
    (void)fm_program_channel_send(&channel, frame, -1);
}

static void say_cut(struct fm_wire_worker_frame *frame)
{
    uint8_t bytes[FM_WIRE_WORKER_MOST];
    frame->sequence = channel.sent;
    send_bytes(bytes, fm_wire_worker_encode(frame, bytes, sizeof bytes) - 1);
}

static void say_descriptors(struct fm_wire_worker_frame *frame)
{
    (void)fm_program_channel_send(&channel, frame, 1);
}

static void say_other(enum fm_wire_worker_type type)
{
    struct fm_wire_worker_frame frame = {.type = type, .is.hello = {.pid = 1, .page_bytes = 4096}};
    say(&frame);
}

static void answer(const struct fm_wire_worker_span *span, uint64_t failed)
{
    static char many[65536];
    struct fm_wire_worker_frame frame = {
        .type = FM_WIRE_WORKER_RESULT,
        .is.result = {.span = span->span, .computed = span->count, .failed = failed, .busy_ns = 1}};
    struct fm_wire_worker_result *result = &frame.is.result;
    for (uint64_t i = 0; i < failed && i < FM_WIRE_WORKER_FAILURES; i++, result->listed++)
        result->failures[i] = (struct fm_wire_worker_failure){span->first + i, 1, -7};
    switch (prisoner_answer) {
    case PRISONER_PROPER:
    case PRISONER_FORGED: break;
    case PRISONER_GARBAGE: send_bytes("FAMWnonsense", 12); return;
    case PRISONER_LONG: send_bytes(many, sizeof many); return;
    case PRISONER_CUT: say_cut(&frame); return;
    case PRISONER_SEQUENCE: channel.sent = 0; break;
    case PRISONER_OTHER_SPAN: result->span += 1; break;
    case PRISONER_TOO_MANY: result->computed += 1; break;
    case PRISONER_FAILURES:
        result->failed = result->listed = 1;
        result->failures[0] = (struct fm_wire_worker_failure){span->first + span->count, 1, 1};
        break;
    case PRISONER_TWICE: say(&frame); break;
    case PRISONER_HELLO: say_other(FM_WIRE_WORKER_HELLO); return;
    case PRISONER_HOST_FRAME: say_other(FM_WIRE_WORKER_BYE); return;
    case PRISONER_DESCRIPTORS: say_descriptors(&frame); return;
    case PRISONER_FLOOD:
        for (;;)
            say(&frame);
    case PRISONER_SILENT: return;
    case PRISONER_CLOSED:
        close(channel.fd);
        pause();
        return;
    }
    say(&frame);
}

/* ---- The loop ---- */

static void take_load(const struct fm_wire_worker_load *told)
{
    Dl_info own;
    load = *told;
    if (dladdr((const void *)&prisoner_answer, &own) == 0)
        _exit(9);
    const void *function = (const char *)own.dli_fbase + load.offset;
    memcpy(&element, &function, sizeof element);
}

static void take_arena(const struct fm_wire_worker_arena *told, int descriptor)
{
    if (arena != NULL)
        munmap(arena, arena_bytes);
    if (descriptor != KEPT) { /* the last one has that number */
        dup2(descriptor, KEPT);
        close(descriptor);
    }
    arena_bytes = told->bytes;
    arena = mmap(NULL, arena_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, KEPT, 0);
}

static void take_span(const struct fm_wire_worker_span *span)
{
    struct fm_wire_worker_control *page = (void *)arena;
    uint64_t failed = 0;
    prisoner_answer = PRISONER_PROPER;
    atomic_store(&page->span, span->span);
    for (uint64_t i = 0; i < span->count; i++) {
        atomic_store(&page->index, span->first + i);
        failed += element(arena + span->in_offset + i * load.in_size,
                          arena + span->out_offset + i * load.out_size) != 0;
    }
    answer(span, failed);
}

/* Before anything of ours could run: what a program's own constructors may do. */
__attribute__((constructor)) static void start(void)
{
    const char *how = getenv("PRISONER_START");
    const char *word = how != NULL ? how : "";
    volatile unsigned long turns = 0;
    while (strcmp(word, "spin") == 0)
        turns++;
    if (strcmp(word, "sleep") == 0)
        pause();
    if (strcmp(word, "exit") == 0) {
        puts("I will not");
        exit(6);
    }
}

int fastmap_serve(void);

__attribute__((visibility("default"))) int fastmap_serve(void)
{
    struct fm_wire_worker_frame frame;
    const char *wrong;
    int descriptor;
    fm_program_channel_open(&channel, atoi(getenv("FASTMAP_WORKER_FD")));
    say_other(FM_WIRE_WORKER_HELLO);
    while (fm_program_channel_receive(&channel, true, &frame, &descriptor, &wrong) ==
           FM_PROGRAM_CHANNEL_FRAME) {
        switch (frame.type) {
        case FM_WIRE_WORKER_LOAD: take_load(&frame.is.load); break;
        case FM_WIRE_WORKER_ARENA: take_arena(&frame.is.arena, descriptor); break;
        case FM_WIRE_WORKER_SPAN: take_span(&frame.is.span); break;
        default: return 0;
        }
    }
    return 0;
}

int main(void)
{
    Dl_info own;
    if (dladdr((const void *)&prisoner_answer, &own) == 0)
        return 1;
    for (size_t i = 0; i < prisoner_count; i++) {
        const void *function;
        memcpy(&function, &prisoner_entries[i].element, sizeof function);
        printf("%s %zu\n", prisoner_entries[i].name,
               (size_t)((const char *)function - (const char *)own.dli_fbase));
    }
    return 0;
}
