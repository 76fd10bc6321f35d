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

/* What follows the prefix, or NULL. */
static const char *after(const char *entry, const char *prefix)
{
    while (*prefix != '\0')
        if (*entry++ != *prefix++)
            return NULL;
    return entry;
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

static int is_worker(char **envp)
{
    for (char **entry = envp; *entry != NULL; entry++)
        if (after(*entry, PREFIX "FD=") != NULL)
            return 1;
    return 0;
}

__attribute__((constructor)) static void clean_environment(int argc, char **argv, char **envp)
{
    (void)argc;
    (void)argv;
    if (!is_worker(envp))
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
    if (setenv(PREFIX "FD", descriptor, 1) != 0)
        return complain("no memory");
    return serve() == 0 ? 0 : 1;
}

int __libc_start_main(main_function *main, int argc, char **argv, void (*init)(void),
                      void (*fini)(void), void (*rtld_fini)(void), void *stack_end)
{
    start_function *start = NULL;
    void *symbol = dlsym(RTLD_NEXT, "__libc_start_main");
    memcpy(&start, &symbol, sizeof start);
    if (start == NULL)
        _exit(complain("the C library has no __libc_start_main"));
    return start(descriptor != NULL ? serve_main : main, argc, argv, init, fini, rtld_fini,
                 stack_end);
}
