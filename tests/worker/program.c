/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A program that computes a map in worker processes, built by worker.sh in many ways: position-independent or
 * not, with OpenMP, with MPI, under AddressSanitizer, static. With an argument, does what that says.
 *   plugin FILE   the function is in a shared library that is opened
 *   loop FILE     elements never end; FILE gets a line when one has begun
 *   print, flood  elements print
 *   overflow      an element writes behind its memory
 *   ranks         one element in a hundred crashes, the others take some milliseconds; rank 0 owns them all
 */
#include <dlfcn.h>
#include <fastmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef WITH_MPI
#include <mpi.h>
#endif

enum { N = 200 };

struct input {
    double x;
    int pid; /* of the program */
};

struct order {
    char what[16];
    char file[200];
};

static int constructed;

__attribute__((constructor)) static void construct(void)
{
    constructed = 7;
}

static int work(void)
{
    int sum = 0;
#ifdef _OPENMP
#pragma omp parallel for reduction(+ : sum) num_threads(2)
#endif
    for (int i = 0; i < 100; i++)
        sum += i;
    return sum == 4950 ? 0 : 1;
}

static void tell(const char *file)
{
    FILE *to = fopen(file, "a");
    if (to == NULL)
        return;
    fprintf(to, "%d\n", (int)getpid());
    fclose(to);
}

static int disobey(const struct order *order)
{
    volatile char *few = malloc(8);
    if (strcmp(order->what, "loop") == 0) {
        tell(order->file);
        for (;;)
            pause();
    }
    if (strcmp(order->what, "print") == 0 && fastmap_index() == 3)
        printf("element %zu\n", fastmap_index());
    if (strcmp(order->what, "flood") == 0 && fastmap_index() == 3)
        for (int i = 0; i < 1000000; i++)
            printf("%d\n", i);
    if (strcmp(order->what, "ranks") == 0) {
        usleep(3000);
        if (fastmap_index() % 100 == 99)
            abort();
    }
    if (strcmp(order->what, "overflow") == 0 && fastmap_index() == 3)
        few[8 + constructed % 2] = 1;
    free((void *)few);
    return 0;
}

/* Nobody outside this file knows its name. */
static int element(const void *in, void *out, const void *shared)
{
    const struct order *order = shared;
    const struct input *input = in;
    *(double *)out = input->x * input->x + (double)fastmap_index();
    return input->pid == getpid() || constructed != 7 || work() != 0 ? 1 : disobey(order);
}

static fastmap_func *function(int argc, char **argv)
{
    fastmap_func *found = element;
    if (argc < 3 || strcmp(argv[1], "plugin") != 0)
        return found;
    void *plugin = dlopen(argv[2], RTLD_NOW);
    void *symbol = plugin != NULL ? dlsym(plugin, "plugin_element") : NULL;
    memcpy(&found, &symbol, sizeof found);
    return found;
}

static int wrong_ones(const double *out)
{
    int wrong = 0;
    for (int i = 0; i < N; i++)
        wrong += out[i] != (double)i * i + i;
    return wrong;
}

int main(int argc, char **argv)
{
    static struct input in[N];
    static double out[N];
    struct order order = {0};
#ifdef WITH_MPI
    MPI_Init(&argc, &argv);
#endif
    if (argc > 1)
        snprintf(order.what, sizeof order.what, "%s", argv[1]);
    if (argc > 2)
        snprintf(order.file, sizeof order.file, "%s", argv[2]);
    int n = N;
#ifdef WITH_MPI
    int rank;
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (strcmp(order.what, "ranks") == 0 && rank > 0)
        n = 0;
#endif
    for (int i = 0; i < N; i++)
        in[i] = (struct input){.x = i, .pid = getpid()};
    const struct fastmap_map map =
        FASTMAP_MAP(.func = function(argc, argv), .in = in, .in_size = sizeof *in, .out = out,
                    .out_size = sizeof *out, .n = (size_t)n, .shared = &order,
                    .shared_size = sizeof order, .workers = FASTMAP_WORKERS_PROCESSES);
    struct fastmap_report report = FASTMAP_REPORT();
    const int code = fastmap_run(&map, &report);
    if (strcmp(order.what, "ranks") != 0)
        printf("%d %s; %zu failed, %s\n", code, code != 0 ? fastmap_last_error() : "fine",
               report.failed, wrong_ones(out) == 0 ? "right" : "wrong");
    else if (n > 0)
        printf("%d, %zu failed, first %zu by %d, %d wrong, some away %d\n", code, report.failed,
               report.failures[0].index, report.failures[0].signal, wrong_ones(out),
               report.away > 0);
#ifdef WITH_MPI
    MPI_Finalize();
#endif
    return 0;
}
