/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides what belongs to a program and what makes it unfit to travel. A file is known by its path in the
 * shortest form: on the other side there are no symbolic links, so that "/a/b/../c" is "/a/c" there.
 */
#include "program/files.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "program/cpu.h"
#include "program/digest.h"
#include "program/maps.h"
#include "program/started.h"

static int no_memory(void)
{
    return fm_base_fail(FASTMAP_ERR_MEMORY,
                        "no memory for the list of a program's files; free some");
}

/* ---- Paths ---- */

/* Drops "", "." and "..", each with what it undoes. NULL: no memory. */
static char *shortest(const char *path)
{
    char *result = malloc(strlen(path) + 2);
    size_t length = 0;
    if (result == NULL)
        return NULL;
    while (*path != '\0') {
        const size_t part = strcspn(path, "/");
        if (part == 2 && path[0] == '.' && path[1] == '.') {
            while (length > 0 && result[--length] != '/')
                ;
        } else if (part > 0 && !(part == 1 && path[0] == '.')) {
            result[length++] = '/';
            memcpy(result + length, path, part);
            length += part;
        }
        path += part + (path[part] == '/');
    }
    result[length] = '\0';
    return result;
}

/* A library keeps the name by which it is found: a symbolic link is not followed. NULL: no memory. */
char *fm_program_files_absolute(const char *path)
{
    char *whole = NULL;
    char *here = path[0] != '/' ? getcwd(NULL, 0) : strdup("");
    if (here == NULL || asprintf(&whole, path[0] != '/' ? "%s/%s" : "%s%s", here, path) < 0)
        whole = NULL;
    free(here);
    return whole;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

static const struct fm_program_file *find_path(const struct fm_program *program, const char *path)
{
    for (size_t i = 0; i < program->count; i++)
        if (strcmp(program->files[i].path, path) == 0)
            return &program->files[i];
    return NULL;
}

/* ---- One file ---- */

static int refuse_changed(const char *path)
{
    return fm_base_fail(FASTMAP_ERR_PROGRAM,
                        "%s%s was changed since this process loaded it; start the program again",
                        FM_BASE_PATH(path));
}

/* Another file under the path shows by its identity. A file that was written over in place is the same
   file; its time of writing tells then, where it was loaded when the process started. */
static int check_unchanged(const struct fm_program_place *place, int fd, bool since_start)
{
    struct stat status;
    if (place->loaded_at == NULL)
        return 0;
    if (!fm_program_maps_file(place->loaded_at, fd))
        return refuse_changed(place->path);
    if (since_start && fstat(fd, &status) == 0 && fm_program_started_before(&status.st_mtim))
        return refuse_changed(place->path);
    return 0;
}

static int read_file(struct fm_program_file *file, const struct fm_program_place *place)
{
    const int fd = open(file->source, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && place->loaded_at != NULL && errno == ENOENT)
        return refuse_changed(place->path);
    if (fd < 0)
        return fm_base_fail(FASTMAP_ERR_PROGRAM, "%s%s cannot be opened: %s; check the path",
                            FM_BASE_PATH(place->path), strerror(errno));
    const struct fm_program_input input = fm_program_input_fd(fd);
    int rc = check_unchanged(place, fd, file->since_start);
    if (rc == 0)
        rc = fm_program_digest_file(fd, place->path, file->sha256, &file->bytes);
    if (rc == 0)
        rc = fm_program_elf_read(&input, place->path, &file->elf);
    close(fd);
    return rc;
}

static void free_file(struct fm_program_file *file)
{
    fm_program_elf_free(&file->elf);
    free(file->path);
    free(file->source);
}

/* Room for one file more, which counts when it is complete. NULL: no memory. */
static struct fm_program_file *next_slot(struct fm_program *program)
{
    const size_t bytes = (program->count + 1) * sizeof *program->files;
    struct fm_program_file *files = realloc(program->files, bytes);
    if (files == NULL)
        return NULL;
    program->files = files;
    files[program->count] = (struct fm_program_file){0};
    return &files[program->count];
}

static enum fm_wire_role role_of(const struct fm_program_file *file)
{
    const char *soname = file->elf.soname;
    const bool is_fastmap = soname != NULL && strncmp(soname, "libfastmap.so", 13) == 0;
    return file->role == FM_WIRE_ROLE_LIBRARY && is_fastmap ? FM_WIRE_ROLE_FASTMAP : file->role;
}

static int fill(struct fm_program_file *file, const struct fm_program_place *place)
{
    file->source = strdup(place->source != NULL ? place->source : place->path);
    if (file->source == NULL)
        return no_memory();
    const int rc = read_file(file, place);
    file->role = role_of(file);
    return rc;
}

int fm_program_files_add(struct fm_program *program, const struct fm_program_place *place,
                         enum fm_wire_role role, bool since_start)
{
    struct fm_program_file *file = next_slot(program);
    if (file == NULL)
        return no_memory();
    file->role = role;
    file->since_start = since_start;
    file->path = shortest(place->path);
    const bool is_known = file->path != NULL && find_path(program, file->path) != NULL;
    const int rc = file->path == NULL ? no_memory() : is_known ? 0 : fill(file, place);
    if (rc != 0 || is_known) {
        free_file(file);
        return rc;
    }
    program->count++;
    program->bytes += file->bytes;
    return 0;
}

/* ---- The executable ---- */

/* C libraries whose loader takes no preloaded main, or has not been tried with one. */
static const struct {
    const char *loader; /* how the name of its file begins */
    const char *name;
} foreign[] = {
    {"ld-musl", "musl"},
    {"ld-uClibc", "uClibc"},
    {"linker", "Android's C library"},
};

static int check_loader(const struct fm_program_file *executable)
{
    const char *interpreter = executable->elf.interpreter;
    if (interpreter == NULL)
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "%s%s has no loader: it is a static executable, of which no worker can "
                            "be made, or a library; link the program without -static",
                            FM_BASE_PATH(executable->path));
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        if (strncmp(base_name(interpreter), foreign[i].loader, strlen(foreign[i].loader)) == 0)
            return fm_base_fail(FASTMAP_ERR_PROGRAM,
                                "%s%s is linked with %s, of whose programs no worker can be made; "
                                "build it with the GNU C library",
                                FM_BASE_PATH(executable->path), foreign[i].name);
    return 0;
}

int fm_program_files_begin(struct fm_program *program, const struct fm_program_place *executable)
{
    int rc = fm_program_files_add(program, executable, FM_WIRE_ROLE_EXECUTABLE, true);
    if (rc == 0)
        rc = check_loader(&program->files[0]);
    if (rc != 0)
        return rc;
    const struct fm_program_place loader = {.path = program->files[0].elf.interpreter};
    return fm_program_files_add(program, &loader, FM_WIRE_ROLE_LOADER, true);
}

/* ---- What the files need ---- */

static int add_needed(struct fm_program *program, size_t by, const char *name,
                      const struct fm_program_finder *finder)
{
    struct fm_program_place place = {0};
    const char *loader = base_name(program->files[0].elf.interpreter);
    if (strcmp(base_name(name), loader) == 0)
        return 0; /* there already, under the path by which it is started */
    if (strchr(name, '/') != NULL && name[0] != '/')
        return fm_base_fail(
            FASTMAP_ERR_PROGRAM,
            "%s%s needs the library %s by a path that depends on the current folder; "
            "link it with -l, or give the library a name with -Wl,-soname",
            FM_BASE_PATH(program->files[by].path), name);
    if (program->count >= FM_WIRE_MANIFEST_FILES)
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "the program needs over %d files; link it with fewer libraries",
                            FM_WIRE_MANIFEST_FILES);
    const int rc = finder->find(finder, name, program->files[by].path, &place);
    return rc != 0 ? rc
                   : fm_program_files_add(program, &place, FM_WIRE_ROLE_LIBRARY,
                                          program->files[by].since_start);
}

/* The list grows while it is walked: what a library needs is looked at when its turn comes. */
int fm_program_files_close(struct fm_program *program, const struct fm_program_finder *finder)
{
    for (size_t i = 0; i < program->count; i++)
        for (size_t j = 0; j < program->files[i].elf.needed_count; j++) {
            const int rc = add_needed(program, i, program->files[i].elf.needed[j], finder);
            if (rc != 0)
                return rc;
        }
    return 0;
}

/* ---- The manifest ---- */

static int check_served(const struct fm_program *program)
{
    for (size_t i = 0; i < program->count; i++)
        if (program->files[i].role == FM_WIRE_ROLE_FASTMAP)
            return 0;
    if (program->files[0].elf.exports_serve)
        return 0;
    return fm_base_fail(FASTMAP_ERR_PROGRAM,
                        "%s%s neither needs libfastmap.so nor exports fastmap_serve; link it with "
                        "libfastmap.so, or with libfastmap.a and -Wl,-u,fastmap_serve "
                        "-Wl,--export-dynamic-symbol=fastmap_serve",
                        FM_BASE_PATH(program->files[0].path));
}

/* A process stays on processors of one kind; to ask one is not free. */
static char cpu[FM_PROGRAM_CPU_BYTES];
static pthread_once_t cpu_asked = PTHREAD_ONCE_INIT;

static void ask_cpu(void)
{
    fm_program_cpu(cpu, sizeof cpu);
}

int fm_program_files_seal(struct fm_program *program)
{
    int rc = check_served(program);
    if (rc != 0)
        return rc;
    struct fm_wire_file *files = calloc(program->count, sizeof *files);
    if (files == NULL)
        return no_memory();
    for (size_t i = 0; i < program->count; i++) {
        const struct fm_program_file *file = &program->files[i];
        files[i] =
            (struct fm_wire_file){.role = file->role, .bytes = file->bytes, .path = file->path};
        memcpy(files[i].sha256, file->sha256, sizeof files[i].sha256);
    }
    pthread_once(&cpu_asked, ask_cpu);
    const struct fm_wire_manifest manifest = {.machine = program->files[0].elf.machine,
                                              .cpu = cpu,
                                              .files = files,
                                              .count = program->count};
    rc = fm_wire_manifest_encode(&manifest, &program->manifest, &program->manifest_bytes);
    free(files);
    if (rc == 0)
        rc = fm_program_digest_bytes(program->manifest, program->manifest_bytes, program->sha256);
    return rc;
}

void fm_program_free(struct fm_program *program)
{
    for (size_t i = 0; i < program->count; i++)
        free_file(&program->files[i]);
    free(program->files);
    free(program->manifest);
    *program = (struct fm_program){0};
}
