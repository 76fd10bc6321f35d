/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fastmap-explain: what of a program would travel to a worker that does not have its files, or why it would
 * not. `fastmap-run --explain PROGRAM` starts it. It decides nothing: lib/program does.
 *
 * Status: 0: the program travels; 1: it does not, with a sentence on standard error; 2: wrong use.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/units.h"
#include "program/cpu.h"
#include "program/program.h"

static const char shim[] = "fastmap-worker.so";

static const char help[] =
    "usage: fastmap-explain [--manifest] [--worker FILE] PROGRAM [LIBRARY ...]\n"
    "Says which files a worker of PROGRAM needs on a machine that has none of them, or why no "
    "worker can\n"
    "be made of it. LIBRARY: a shared library that the program opens and that has functions for "
    "maps.\n"
    "\n"
    "  --manifest     print the manifest instead, whose SHA-256 names the program\n"
    "  --worker FILE  fastmap-worker.so, where it is not in its place\n"
    "  --help\n"
    "  --version\n";

struct wish {
    const char *worker;
    bool wants_manifest;
    char **names; /* the program and the libraries, NULL-terminated */
};

/* ---- The command line ---- */

static int misuse(const char *what, const char *word)
{
    (void)fprintf(stderr, "fastmap-explain: %s%s%s; see --help\n", what, word[0] != '\0' ? " " : "",
                  word);
    return 2;
}

/* -1: go on; else the status to leave with. */
static int read_option(char ***next, struct wish *wish)
{
    const char *option = **next;
    if (strcmp(option, "--help") == 0)
        return fputs(help, stdout) < 0;
    if (strcmp(option, "--version") == 0)
        return puts("fastmap-explain " FM_VERSION) < 0;
    if (strcmp(option, "--manifest") == 0) {
        wish->wants_manifest = true;
        return -1;
    }
    if (strcmp(option, "--worker") != 0)
        return misuse("there is no option", option);
    if (*++*next == NULL)
        return misuse("--worker needs a file", "");
    wish->worker = **next;
    return -1;
}

static int read_options(char **next, struct wish *wish)
{
    for (; *next != NULL && strncmp(*next, "--", 2) == 0; next++) {
        if ((*next)[2] == '\0') {
            next++;
            break;
        }
        const int status = read_option(&next, wish);
        if (status >= 0)
            return status;
    }
    wish->names = next;
    return *next != NULL ? -1 : misuse("name a program", "");
}

/* ---- Where things are ---- */

/* As the shell finds it; what is nowhere keeps its name. */
static const char *find_program(const char *name, char path[PATH_MAX])
{
    const char *folders = getenv("PATH");
    if (strchr(name, '/') != NULL || folders == NULL)
        return name;
    while (*folders != '\0') {
        const size_t length = strcspn(folders, ":");
        const int written = snprintf(path, PATH_MAX, "%.*s/%s", (int)length, folders, name);
        if (length > 0 && written < PATH_MAX && access(path, X_OK) == 0)
            return path;
        folders += length + (folders[length] == ':');
    }
    return name;
}

/* In the build folder, in an installation that was moved as a whole, or where it was to be installed. */
static const char *find_worker(char path[PATH_MAX])
{
    char here[PATH_MAX];
    const char *const places[] = {"../.libs", "../.." FM_LIBRARY_BELOW_PREFIX};
    const ssize_t length = readlink("/proc/self/exe", here, sizeof here - 1);
    here[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(here, '/');
    if (slash != NULL)
        *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const int written = snprintf(path, PATH_MAX, "%s/%s/%s", here, places[i], shim);
        if (written < PATH_MAX && access(path, R_OK) == 0)
            return path;
    }
    (void)snprintf(path, PATH_MAX, "%s/%s", FM_PLUGIN_DIR, shim);
    return path;
}

/* ---- What is said ---- */

static void print_files(const struct fm_program *program)
{
    char size[FM_BASE_UNITS_BYTES];
    for (size_t i = 0; i < program->count; i++) {
        const struct fm_program_file *file = &program->files[i];
        char hex[65];
        fm_wire_manifest_hex(file->sha256, hex);
        printf("%-10s %9s  %.12s  %s\n", fm_wire_manifest_role(file->role),
               fm_base_units_bytes(file->bytes, size), hex, file->path);
    }
}

static void print_program(const struct fm_program *program)
{
    char size[FM_BASE_UNITS_BYTES];
    char hex[65];
    char cpu[FM_PROGRAM_CPU_BYTES];
    fm_program_cpu(cpu, sizeof cpu);
    fm_wire_manifest_hex(program->sha256, hex);
    print_files(program);
    printf("total      %9s  %zu files\n", fm_base_units_bytes(program->bytes, size),
           program->count);
    printf("manifest   %9s  %s\n", fm_base_units_bytes(program->manifest_bytes, size), hex);
    printf("processor  %s %s\n", program->files[0].elf.machine, cpu);
}

static int explain(const struct wish *wish)
{
    char program_path[PATH_MAX];
    char worker_path[PATH_MAX];
    struct fm_program program;
    const char *name = find_program(wish->names[0], program_path);
    const char *worker = wish->worker != NULL ? wish->worker : find_worker(worker_path);
    if (fm_program_gather_path(name, (const char *const *)wish->names + 1, worker, &program) != 0) {
        (void)fprintf(stderr, "fastmap-explain: %s\n", fm_base_last_error());
        return 1;
    }
    if (wish->wants_manifest)
        (void)fwrite(program.manifest, 1, program.manifest_bytes, stdout);
    else
        print_program(&program);
    fm_program_free(&program);
    return 0;
}

int main(int argc, char **argv)
{
    struct wish wish = {0};
    int status = argc > 0 ? read_options(argv + 1, &wish) : misuse("name a program", "");
    if (status < 0)
        status = explain(&wish);
    if (fflush(stdout) != 0) {
        (void)fprintf(stderr, "fastmap-explain: cannot write: %s\n", strerror(errno));
        status = 1;
    }
    return status;
}
