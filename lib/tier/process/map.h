/* SPDX-License-Identifier: BSD-3-Clause */
/* A map in processes as the files of this tier share it. */
#ifndef FM_PROCESS_MAP_H
#define FM_PROCESS_MAP_H

#include <pthread.h>

#include "base/error.h"
#include "program/module.h"
#include "tier/process/memory.h"
#include "tier/process/process.h"
#include "wire/worker.h"

struct fm_process_map {
    uint64_t serial; /* tells it from every other */
    int rank;        /* shown with what elements print; -1: there are no ranks */
    int retries;
    double timeout_ns; /* of an element; 0: none */
    size_t in_size;
    size_t out_size;
    struct fm_program_function function;
    struct fm_process_memory shared;
    struct fm_wire_worker_load load; /* its path is function.module */
    pthread_mutex_t mutex;           /* around the sentence, which is written once */
    char sentence[FM_BASE_SENTENCE_BYTES];
};

#endif
