/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides whether this program can be its own worker, and with which environment. A worker is the file that
 * /proc/self/exe leads to, whatever its path leads to now, with fastmap-worker.so preloaded; AddressSanitizer
 * insists on being the first of all libraries, so where it is loaded it goes before.
 */
#include "tier/process/recipe.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fastmap.h>

#include "base/error.h"
#include "base/text.h"
#include "program/companion.h"
#include "program/maps.h"
#include "program/module.h"

#define SHIM "fastmap-worker.so"
#define PREFIX "FASTMAP_WORKER_"

static struct {
    char shim[PATH_MAX];
    char library[PATH_MAX];
    char runtime[FM_PROGRAM_PATH_BYTES]; /* AddressSanitizer's, "": none */
    char program[FM_PROGRAM_PATH_BYTES];
    int code; /* 0, or why there can be no worker, */
    char sentence[FM_BASE_SENTENCE_BYTES];
} recipe;

/* ---- Files ---- */

static int find_shim(void)
{
    char path[PATH_MAX];
    if (!fm_program_companion(SHIM, path) || realpath(path, recipe.shim) == NULL)
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            SHIM " is neither beside the library nor in %s; install fastmap whole",
                            FM_PLUGIN_DIR);
    if (strpbrk(recipe.shim, " :") != NULL)
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "%s%s cannot be preloaded, since its path has a space or a colon; "
                            "install fastmap in a folder without",
                            FM_BASE_PATH(recipe.shim));
    return 0;
}

/* Where fastmap_serve() is. Inside the program it must be among the symbols that others find. */
static int find_library(void)
{
    Dl_info here;
    const void *found = dlsym(RTLD_DEFAULT, "fastmap_serve");
    const char *module;
    uint64_t offset;
    if (fm_program_find(&recipe, &module, &offset) && module[0] == '\0' && found == NULL)
        return fm_base_fail(
            FASTMAP_ERR_PROGRAM,
            "the program has fastmap inside and keeps it to itself, so that a worker "
            "would not find it; link with -Wl,--export-dynamic-symbol=fastmap_serve, "
            "or with the shared library");
    if (dladdr(&recipe, &here) == 0 || here.dli_fname == NULL ||
        realpath(here.dli_fname, recipe.library) == NULL)
        recipe.library[0] = '\0';
    return 0;
}

static int is_runtime(struct dl_phdr_info *info, size_t bytes, void *unused)
{
    (void)bytes;
    (void)unused;
    const char *slash = strrchr(info->dlpi_name, '/');
    const char *name = slash != NULL ? slash + 1 : info->dlpi_name;
    if (strncmp(name, "libasan.so", 10) != 0 && strncmp(name, "libclang_rt.asan", 16) != 0)
        return 0;
    (void)snprintf(recipe.runtime, sizeof recipe.runtime, "%s", info->dlpi_name);
    return 1;
}

static int first_object(struct dl_phdr_info *info, size_t bytes, void *address)
{
    (void)bytes;
    for (size_t i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_LOAD) {
            const uintptr_t first = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            *(const void **)address = (const void *)first; // NOLINT(performance-no-int-to-ptr)
            break;
        }
    return 1;
}

/* The kernel's name for the executable; not where a loader or an emulator was executed to run it. */
static int find_program(void)
{
    const void *address = NULL;
    struct fm_program_mapping mapping;
    struct stat executed;
    (void)snprintf(recipe.program, sizeof recipe.program, "/proc/self/exe");
    dl_iterate_phdr(first_object, &address);
    if (!fm_program_mapped(address, &mapping) || stat(recipe.program, &executed) != 0)
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "the program cannot be started again without /proc: mount it");
    if (mapping.inode == executed.st_ino)
        return 0;
    (void)snprintf(recipe.program, sizeof recipe.program, "%s", mapping.path);
    if (mapping.path[0] == '/' && stat(mapping.path, &executed) == 0 &&
        mapping.inode == executed.st_ino)
        return 0;
    return fm_base_fail(FASTMAP_ERR_PROGRAM,
                        "the program's file %s%s has gone, so that it cannot be started again; "
                        "start the program by its path",
                        FM_BASE_PATH(mapping.path));
}

static int find_all(void)
{
    if (!fm_program_is_dynamic())
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "the program is a static executable, of which no worker can be made; "
                            "link it without -static");
    if (getauxval(AT_SECURE) != 0)
        return fm_base_fail(
            FASTMAP_ERR_PROGRAM,
            "the program runs with rights that its user does not have, and nothing is "
            "preloaded into such a one; use workers = THREADS");
    int error = find_library();
    if (error == 0)
        error = find_shim();
    if (error == 0)
        error = find_program();
    dl_iterate_phdr(is_runtime, NULL);
    return error;
}

static void find_once(void)
{
    recipe.code = find_all();
    if (recipe.code != 0)
        (void)snprintf(recipe.sentence, sizeof recipe.sentence, "%s", fm_base_last_error());
}

int fm_process_recipe_check(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_once);
    return recipe.code == 0 ? 0 : fm_base_fail(recipe.code, "%s", recipe.sentence);
}

const char *fm_process_recipe_program(void)
{
    return recipe.program;
}

const char *fm_process_recipe_name(void)
{
    return program_invocation_name;
}

/* ---- Environment ---- */

static bool begins(const char *entry, const char *with)
{
    return strncmp(entry, with, strlen(with)) == 0;
}

static bool is_inherited(const char *entry)
{
    return !begins(entry, PREFIX) && !begins(entry, "LD_PRELOAD=");
}

/* Texts, a NUL behind each; `to` NULL: only their bytes are counted. */
struct texts {
    char *to;
    size_t room;
    size_t bytes;
};

__attribute__((format(printf, 2, 3))) static void add(struct texts *texts, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *const to = texts->to != NULL ? texts->to + texts->bytes : NULL;
    const size_t room = texts->to != NULL ? texts->room - texts->bytes : 0;
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): it is, four lines above */
    const int length = vsnprintf(to, room, format, args);
    va_end(args);
    texts->bytes += length >= 0 ? (size_t)length + 1 : 0;
}

static void add_entries(struct texts *texts)
{
    const char *preload = getenv("LD_PRELOAD");
    add(texts, PREFIX "FD=%d", FM_PROCESS_CHANNEL_FD);
    add(texts, PREFIX "LIBRARY=%s", recipe.library);
    add(texts, "LD_PRELOAD=%s%s%s%s%s", recipe.runtime, recipe.runtime[0] != '\0' ? ":" : "",
        recipe.shim, preload != NULL ? ":" : "", preload != NULL ? preload : "");
    if (preload != NULL)
        add(texts, PREFIX "LD_PRELOAD=%s", preload);
    /* Else what an element prints would come when the worker ends. */
    if (getenv("GFORTRAN_UNBUFFERED_PRECONNECTED") == NULL)
        add(texts, "GFORTRAN_UNBUFFERED_PRECONNECTED=y");
}

enum { ADDED_MOST = 5 };

char **fm_process_recipe_environment(void)
{
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    struct texts counted = {0};
    add_entries(&counted);
    const size_t bytes = counted.bytes;
    char **vector = malloc((count + ADDED_MOST + 1) * sizeof *vector + bytes);
    if (vector == NULL)
        return NULL;
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        if (is_inherited(environ[i]))
            vector[used++] = environ[i];
    char *text = (char *)(vector + count + ADDED_MOST + 1);
    struct texts written = {.to = text, .room = bytes};
    add_entries(&written);
    for (size_t at = 0; at < bytes; at += strlen(text + at) + 1)
        vector[used++] = text + at;
    vector[used] = NULL;
    return vector;
}
