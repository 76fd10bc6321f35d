/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides on which core a span changes hands. Of a thread and its worker one computes while the other waits,
 * so one core is enough for both; but the kernel, asked to wake somebody, looks for an idle core, and to wake
 * that takes 40 microseconds on a virtual machine, there and back 80, where a span on one core takes 5. So
 * each is woken where the other is:
 *
 *   the worker   is bound to the thread's core for the moment in which it wakes. It frees itself before it
 *                computes anything: the kernel may move it like any process, off a core that others want.
 *   the thread   is bound to that core while it waits. Where the worker was moved, the thread follows it.
 *
 * A thread that is bound to one processor already, as those of the pool are, has nothing of this to pay: its
 * worker is bound to the same. Who binds the thread from outside while it waits has the last word.
 */
#include <string.h>

#include "tier/process/worker.h"

_Static_assert(sizeof(cpu_set_t) == FM_WIRE_WORKER_CPUS, "it is the control page's");

static struct fm_wire_worker_control *page_of(const struct fm_process_worker *worker)
{
    return (struct fm_wire_worker_control *)worker->arena.bytes;
}

/* 0: the calling thread. */
static void bind_to(pid_t pid, int core)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    (void)sched_setaffinity(pid, sizeof one, &one);
}

static void draw(struct fm_process_worker *worker)
{
    const cpu_set_t none = {0};
    const pid_t pid = atomic_load(&worker->pid);
    cpu_set_t cpus;
    worker->core = -1;
    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) /* more than fit */
        return;
    if (CPU_COUNT(&cpus) > 1)
        worker->core = sched_getcpu();
    memcpy(page_of(worker)->cpus, worker->core >= 0 ? &cpus : &none, sizeof cpus);
    if (worker->core >= 0)
        bind_to(pid, worker->core);
    else if (!CPU_EQUAL(&cpus, &worker->cpus))
        (void)sched_setaffinity(pid, sizeof cpus, &cpus);
    worker->cpus = cpus;
}

bool fm_process_worker_tell(struct fm_process_worker *worker, struct fm_wire_worker_frame *frame,
                            int descriptor)
{
    draw(worker);
    return fm_program_channel_send(&worker->channel, frame, descriptor);
}

bool fm_process_worker_meet(struct fm_process_worker *worker, struct fm_wire_worker_frame *frame)
{
    draw(worker);
    if (worker->core >= 0)
        bind_to(0, worker->core);
    return fm_program_channel_send(&worker->channel, frame, -1);
}

static bool is_still_there(int core)
{
    cpu_set_t cpus;
    return sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) == 1 &&
           CPU_ISSET(core, &cpus);
}

void fm_process_worker_leave(const struct fm_process_worker *worker)
{
    const uint64_t ended_on =
        atomic_load_explicit(&page_of(worker)->ended_on, memory_order_relaxed);
    if (worker->core < 0 || !is_still_there(worker->core))
        return;
    if (ended_on != (uint64_t)worker->core && ended_on < CPU_SETSIZE &&
        CPU_ISSET(ended_on, &worker->cpus))
        bind_to(0, (int)ended_on);
    (void)sched_setaffinity(0, sizeof worker->cpus, &worker->cpus);
}
