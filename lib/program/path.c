/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The program of an executable that does not run. Where its libraries are is asked of the loader itself, as
 * ldd does, since it alone knows all of the rules: its cache, folders for the hardware, $ORIGIN, the
 * environment. Told to list, it maps the files and runs none of their code; what would make it do more
 * (LD_AUDIT, LD_BIND_NOW, LD_WARN) is kept out of its environment.
 *
 * But it is the executable that names the loader, and could name anything. So that is started only where it
 * is a library called ld-... (the shell and its like are not), and is the one that this process runs under
 * or belongs to the superuser, with nobody else allowed to write to it.
 */
#include "program/program.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "program/files.h"

#define ANSWER_MOST ((size_t)1 << 20)

static const char libgcc[] = "libgcc_s.so.1";

/* What the loader said of all files, a line a library: "\tNAME => PATH (ADDRESS)" or "\tPATH (ADDRESS)". */
struct answer {
    struct fm_program_finder finder; /* first, so that one leads to the other */
    char *text;
    size_t length;
    struct line {
        const char *name;
        char *path; /* absolute, in memory of its own; NULL: not found */
    } * lines;
    size_t count;
};

/* ---- Whether to ask ---- */

static bool is_same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static bool is_own_loader(const struct stat *loader)
{
    struct fm_program_elf own = {0};
    struct stat status;
    const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    const struct fm_program_input input = fm_program_input_fd(fd);
    const bool is_it = fd >= 0 && fm_program_elf_read(&input, "/proc/self/exe", &own) == 0 &&
                       own.interpreter != NULL && stat(own.interpreter, &status) == 0 &&
                       is_same_file(&status, loader);
    fm_program_elf_free(&own);
    if (fd >= 0)
        close(fd);
    return is_it;
}

static bool is_loader(const struct fm_program_elf *elf)
{
    return elf->interpreter == NULL && elf->soname != NULL && strncmp(elf->soname, "ld", 2) == 0;
}

static bool is_trusted(const struct stat *status)
{
    return is_own_loader(status) ||
           (status->st_uid == 0 && (status->st_mode & (S_IWGRP | S_IWOTH)) == 0);
}

static int check_loader(const struct fm_program *program)
{
    struct stat status;
    const char *path = program->files[0].elf.interpreter;
    if (is_loader(&program->files[1].elf) && stat(path, &status) == 0 && is_trusted(&status))
        return 0;
    return fm_base_fail(
        FASTMAP_ERR_PROGRAM,
        "%s%s, which the program names as its loader, is none or does not belong to "
        "the superuser alone; link the program with the system's loader",
        FM_BASE_PATH(path));
}

/* ---- Asking ---- */

/* libgcc_s is preloaded, so that the answer says where that is. */
static int spawn(char *loader, char *path, int output, pid_t *child)
{
    static char trace[] = "LD_TRACE_LOADED_OBJECTS=1";
    static char preload[] = "LD_PRELOAD=libgcc_s.so.1";
    char *arguments[] = {loader, path, NULL};
    char *libraries = NULL;
    const char *value = getenv("LD_LIBRARY_PATH");
    if (value != NULL && asprintf(&libraries, "LD_LIBRARY_PATH=%s", value) < 0)
        return ENOMEM;
    char *environment[] = {trace, preload, libraries, NULL};
    posix_spawn_file_actions_t actions;
    int rc = posix_spawn_file_actions_init(&actions);
    if (rc == 0) {
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
        rc = posix_spawn(child, loader, &actions, NULL, arguments, environment);
        posix_spawn_file_actions_destroy(&actions);
    }
    free(libraries);
    return rc;
}

/* Adds to the text, which always ends in a NUL. */
static void read_answer(int fd, struct answer *answer)
{
    while (answer->length < ANSWER_MOST - 1) {
        const ssize_t got =
            read(fd, answer->text + answer->length, ANSWER_MOST - 1 - answer->length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        answer->length += (size_t)got;
    }
    answer->text[answer->length] = '\0';
}

static int ask(const struct fm_program_file *loader, const struct fm_program_file *file,
               struct answer *answer)
{
    int ends[2];
    pid_t child;
    const size_t before = answer->length;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no pipe to the loader (%s); free some files",
                            strerror(errno));
    const bool is_started = spawn(loader->source, file->source, ends[1], &child) == 0;
    close(ends[1]);
    if (is_started)
        read_answer(ends[0], answer);
    close(ends[0]);
    while (is_started && waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    return answer->length > before
               ? 0
               : fm_base_fail(FASTMAP_ERR_PROGRAM,
                              "the loader does not say what %s%s needs; see what ldd says of it",
                              FM_BASE_PATH(file->path));
}

/* ---- The answer ---- */

/* Cuts a line into name and path: from the right, since a path may have anything in it. */
static struct line cut_line(char *text)
{
    char *address = NULL;
    for (char *at = strstr(text, " (0x"); at != NULL; at = strstr(at + 1, " (0x"))
        address = at;
    if (address != NULL)
        *address = '\0';
    char *name = text + strspn(text, "\t ");
    char *arrow = strstr(name, " => ");
    if (arrow != NULL)
        *arrow = '\0';
    const char *path = arrow != NULL ? arrow + 4 : name;
    const bool is_found =
        strchr(path, '/') != NULL; /* "not found" has none, nor has what is no file */
    return (struct line){.name = name, .path = is_found ? fm_program_files_absolute(path) : NULL};
}

static int cut(struct answer *answer)
{
    size_t lines = 1;
    for (size_t i = 0; i < answer->length; i++)
        lines += answer->text[i] == '\n';
    answer->lines = calloc(lines, sizeof *answer->lines);
    if (answer->lines == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for the loader's answer; free some");
    char *rest = answer->text;
    for (char *text = strsep(&rest, "\n"); text != NULL; text = strsep(&rest, "\n"))
        answer->lines[answer->count++] = cut_line(text);
    return 0;
}

static void free_answer(struct answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        free(answer->lines[i].path);
    free(answer->lines);
    free(answer->text);
}

static const char *find_line(const struct answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->count; i++)
        if (answer->lines[i].path != NULL && strcmp(answer->lines[i].name, name) == 0)
            return answer->lines[i].path;
    return NULL;
}

static int find_needed(const struct fm_program_finder *finder, const char *name,
                       const char *needed_by, struct fm_program_place *place)
{
    const char *path = find_line((const struct answer *)finder, name);
    if (path == NULL)
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "%s%s needs %s, which the loader does not find; set LD_LIBRARY_PATH as "
                            "for running the program",
                            FM_BASE_PATH(needed_by), name);
    *place = (struct fm_program_place){.path = path};
    return 0;
}

/* ---- All of it ---- */

static int add_path(struct fm_program *program, const char *path, enum fm_wire_role role)
{
    /* An executable knows itself, and $ORIGIN, by what symbolic links lead to. */
    char *whole =
        role == FM_WIRE_ROLE_EXECUTABLE ? realpath(path, NULL) : fm_program_files_absolute(path);
    if (whole == NULL)
        return fm_base_fail(FASTMAP_ERR_PROGRAM, "%s%s cannot be opened: %s; check the path",
                            FM_BASE_PATH(path), strerror(errno));
    const struct fm_program_place place = {.path = whole};
    const int rc = role == FM_WIRE_ROLE_EXECUTABLE
                       ? fm_program_files_begin(program, &place)
                       : fm_program_files_add(program, &place, role, false);
    free(whole);
    return rc;
}

/* The executable, the loader, the shim and the libraries are the files so far. */
static int ask_all(const struct fm_program *program, struct answer *answer)
{
    int rc = check_loader(program);
    if (rc != 0)
        return rc;
    answer->text = malloc(ANSWER_MOST);
    if (answer->text == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for the loader's answer; free some");
    for (size_t i = 0; rc == 0 && i < program->count; i++)
        if (program->files[i].role != FM_WIRE_ROLE_LOADER)
            rc = ask(&program->files[1], &program->files[i], answer);
    return rc == 0 ? cut(answer) : rc;
}

static int add_all(struct fm_program *program, struct answer *answer)
{
    int rc = ask_all(program, answer);
    const char *path = rc == 0 ? find_line(answer, libgcc) : NULL;
    const struct fm_program_place place = {.path = path};
    if (path != NULL)
        rc = fm_program_files_add(program, &place, FM_WIRE_ROLE_LIBRARY, false);
    if (rc == 0)
        rc = fm_program_files_close(program, &answer->finder);
    return rc == 0 ? fm_program_files_seal(program) : rc;
}

int fm_program_gather_path(const char *path, const char *const *libraries, const char *worker,
                           struct fm_program *program)
{
    struct answer answer = {.finder.find = find_needed};
    struct fm_program found = {0};
    int rc = add_path(&found, path, FM_WIRE_ROLE_EXECUTABLE);
    for (size_t i = 0; rc == 0 && libraries != NULL && libraries[i] != NULL; i++)
        rc = add_path(&found, libraries[i], FM_WIRE_ROLE_LIBRARY);
    if (rc == 0)
        rc = add_path(&found, worker, FM_WIRE_ROLE_WORKER);
    if (rc == 0 && found.count > 1) /* the executable and its loader at least */
        rc = add_all(&found, &answer);
    free_answer(&answer);
    fm_program_cache_save();
    if (rc == 0)
        *program = found;
    else
        fm_program_free(&found);
    return rc;
}
