/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fastmap-worker.so: preloaded into a program, it puts fastmap_serve() in the place of the program's main().
 * It is not a part of the library and needs nothing but the C library.
 *
 * Everything that happens before main() happens: constructors of C++ objects, of libraries, of the Fortran
 * runtime. What they start is no worker, so the variables that made this process one (docs/WORKER.md) are
 * taken out of the environment first of all, in a constructor that the linker puts before the C library's
 * own (-z initfirst); hence no call of the C library in it. A program that is preloaded without them runs as
 * it always does.
 *
 * A process is a worker if it has a descriptor of its host, or if it is a rank other than 0 of a job whose
 * ranks serve; rank 0 is the program itself. The mark of such a job stays in the environment, where the
 * library looks for it, but emptied: a mark that is full says that nobody has looked at it, so that this
 * library was not preloaded, though it should have been.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "FASTMAP_WORKER_"

typedef int main_function(int argc, char **argv, char **envp);
typedef int start_function(main_function *main, int argc, char **argv, void (*init)(void),
                           void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

__attribute__((visibility("default"))) int
__libc_start_main(main_function *main, int argc, char **argv, void (*init)(void),
                  void (*fini)(void), void (*rtld_fini)(void), void *stack_end);

static const char *descriptor; /* what FASTMAP_WORKER_FD was; NULL: this is no worker */
static const char *library;
static const char *rank_variable; /* what tells the rank; NULL: not in a job whose ranks serve */
static const char *rank;

/* What follows the prefix, or NULL. */
static const char *after(const char *entry, const char *prefix)
{
    while (*prefix != '\0')
        if (*entry++ != *prefix++)
            return NULL;
    return entry;
}

/* What the variable called `name` is, or NULL. */
static char *find(char **envp, const char *name)
{
    for (char **entry = envp; *entry != NULL; entry++) {
        const char *value = after(*entry, name);
        if (value != NULL && *value == '=')
            return *entry + (value - *entry) + 1;
    }
    return NULL;
}

/* Empties the mark; its text moves to a place of its own. */
static void take_mark(char *mark)
{
    static char name[64];
    for (size_t i = 0; i + 1 < sizeof name && mark[i] != '\0'; i++)
        name[i] = mark[i];
    *mark = '\0';
    rank_variable = name;
}

/* True: the entry stays, perhaps as another. */
static int keep(char **entry)
{
    const char *value;
    if ((value = after(*entry, PREFIX "FD=")) != NULL)
        descriptor = value;
    else if ((value = after(*entry, PREFIX "LIBRARY=")) != NULL)
        library = value;
    else if (after(*entry, PREFIX "LD_PRELOAD=") != NULL)
        *entry += sizeof PREFIX - 1; /* LD_PRELOAD as it was before */
    else
        return after(*entry, "LD_PRELOAD=") == NULL;
    return after(*entry, "LD_PRELOAD=") != NULL;
}

__attribute__((constructor)) static void clean_environment(int argc, char **argv, char **envp)
{
    (void)argc;
    (void)argv;
    char *mark = find(envp, PREFIX "RANKS");
    if (mark != NULL && *mark != '\0') {
        take_mark(mark);
        rank = find(envp, rank_variable);
    }
    if (rank_variable == NULL && find(envp, PREFIX "FD") == NULL)
        return;
    char **kept = envp;
    for (char **entry = envp; *entry != NULL; entry++)
        if (keep(entry))
            *kept++ = *entry;
    *kept = NULL;
}

static int complain(const char *what)
{
    (void)fprintf(stderr, "fastmap-worker: %s\n", what);
    return 127;
}

/* Whether main() is another one in this process. A process that cannot tell is neither. */
static int is_worker(void)
{
    if (descriptor != NULL)
        return 1;
    if (rank_variable != NULL && rank == NULL) {
        (void)fprintf(stderr,
                      "fastmap-worker: %s is not set, so this process does not know its rank: let "
                      "fastmap-run start the program\n",
                      rank_variable);
        _exit(127);
    }
    return rank != NULL && strcmp(rank, "0") != 0;
}

/* In the program, if that has it or is linked with the library; else in the library that the host has. */
static int (*find_serve(void))(void)
{
    int (*serve)(void) = NULL;
    void *symbol = dlsym(RTLD_DEFAULT, "fastmap_serve");
    if (symbol == NULL && library != NULL) {
        void *handle = dlopen(library, RTLD_NOW | RTLD_GLOBAL);
        symbol = handle != NULL ? dlsym(handle, "fastmap_serve") : NULL;
    }
    memcpy(&serve, &symbol, sizeof serve);
    return serve;
}

static int serve_main(int argc, char **argv, char **envp)
{
    (void)argc;
    (void)argv;
    (void)envp;
    int (*const serve)(void) = find_serve();
    if (serve == NULL)
        return complain(
            "the program has no fastmap_serve(), and FASTMAP_WORKER_LIBRARY leads to none");
    if (descriptor != NULL && setenv(PREFIX "FD", descriptor, 1) != 0)
        return complain("no memory");
    if (serve() == 0)
        return 0;
    const char *(*why)(void) = NULL;
    void *symbol = dlsym(RTLD_DEFAULT, "fastmap_last_error");
    memcpy(&why, &symbol, sizeof why);
    return complain(why != NULL ? why() : "fastmap_serve() failed");
}

static main_function *own_main;

/* Rank 0 has the library in any case: it sends the other ranks home when the program exits, even if that has
   not come to open the library itself. */
static int first_main(int argc, char **argv, char **envp)
{
    (void)find_serve();
    return own_main(argc, argv, envp);
}

int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    start_function *start = NULL;
    void *symbol = dlsym(RTLD_NEXT, "__libc_start_main");
    memcpy(&start, &symbol, sizeof start);
    if (start == NULL)
        _exit(complain("the C library has no __libc_start_main"));
    if (is_worker())
        return start(serve_main, argc, argv, init, fini, rtld_fini, stack_end);
    own_main = main;
    return start(rank != NULL ? first_main : main, argc, argv, init, fini, rtld_fini, stack_end);
}
