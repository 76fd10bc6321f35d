/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The program of this process. What is loaded is taken from the loader, once, so that each library is the
 * one that is used here, however it was found; but only what is needed is taken of that: after MPI_Init a
 * process has four times as many libraries as its executable needs.
 */
#include "program/program.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"
#include "program/files.h"
#include "program/maps.h"
#include "program/module.h"

static const char own_executable[] = "/proc/self/exe";

/* A thread that is cancelled has the C library open it, in whatever program. */
static const char libgcc[] = "libgcc_s.so.1";

struct loaded {
    char *path; /* "" for the executable */
    char *soname;
    const void *address;
};

struct loaded_list {
    struct fm_program_finder finder; /* first, so that one leads to the other */
    struct loaded *entries;
    size_t count;
    bool is_short; /* of memory */
};

/* ---- What is loaded ---- */

/* The loader has turned the addresses in the dynamic section into real ones, or (where that section is
   read-only) has not. */
static const char *soname_of(const struct dl_phdr_info *object)
{
    const ElfW(Dyn) *entry = NULL;
    const char *strings = NULL;
    size_t name = 0;
    for (size_t i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
            entry = (const ElfW(Dyn) *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr); // NOLINT
    for (; entry != NULL && entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_SONAME)
            name = entry->d_un.d_val;
        else if (entry->d_tag == DT_STRTAB)
            strings = (const char *)(entry->d_un.d_ptr < object->dlpi_addr // NOLINT
                                         ? entry->d_un.d_ptr + object->dlpi_addr
                                         : entry->d_un.d_ptr);
    }
    return strings != NULL && name != 0 ? strings + name : "";
}

static const void *first_byte(const struct dl_phdr_info *object)
{
    for (size_t i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == PT_LOAD)
            return (const void *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr); // NOLINT
    return NULL;
}

/* A relative path is one from where the process was when the file was opened. The kernel knows the folder,
   but also follows the link by which a library is found: its name stays the loader's. */
static char *copy_path(const char *name, const void *address)
{
    struct fm_program_mapping mapping;
    char *path = NULL;
    const char *slash = strrchr(name, '/');
    if (name[0] == '/' || slash == NULL || !fm_program_mapped(address, &mapping))
        return strdup(name);
    const char *folder_end = strrchr(mapping.path, '/');
    const int length = folder_end != NULL ? (int)(folder_end - mapping.path) : 0;
    if (asprintf(&path, "%.*s%s", length, mapping.path, slash) < 0)
        return NULL;
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return strdup(mapping.path);
}

static int note_loaded(struct dl_phdr_info *object, size_t bytes, void *argument)
{
    struct loaded_list *list = argument;
    (void)bytes;
    struct loaded *entries = realloc(list->entries, (list->count + 1) * sizeof *entries);
    list->is_short = entries == NULL;
    if (entries == NULL)
        return 1;
    list->entries = entries;
    struct loaded *entry = &entries[list->count++];
    entry->address = first_byte(object);
    entry->path = copy_path(object->dlpi_name, entry->address);
    entry->soname = strdup(soname_of(object));
    list->is_short = entry->path == NULL || entry->soname == NULL;
    return list->is_short;
}

static void free_loaded(struct loaded_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        free(list->entries[i].path);
        free(list->entries[i].soname);
    }
    free(list->entries);
}

static bool is_called(const struct loaded *entry, const char *name)
{
    const char *slash = strrchr(entry->path, '/');
    if (slash == NULL)
        return false; /* the executable and what the kernel brings along */
    return strcmp(entry->path, name) == 0 || strcmp(entry->soname, name) == 0 ||
           strcmp(slash + 1, name) == 0;
}

static const struct loaded *find_loaded(const struct loaded_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (is_called(&list->entries[i], name))
            return &list->entries[i];
    return NULL;
}

static int find_needed(const struct fm_program_finder *finder, const char *name,
                       const char *needed_by, struct fm_program_place *place)
{
    const struct loaded *entry = find_loaded((const struct loaded_list *)finder, name);
    if (entry == NULL)
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "%s%s needs %s, which this process has not loaded; open the library "
                            "before the map, or link the program with it",
                            FM_BASE_PATH(needed_by), name);
    *place = (struct fm_program_place){.path = entry->path, .loaded_at = entry->address};
    return 0;
}

/* ---- The executable ---- */

static bool is_own_executable(const void *address)
{
    const int fd = open(own_executable, O_RDONLY | O_CLOEXEC);
    const bool is_it = fd >= 0 && fm_program_maps_file(address, fd);
    if (fd >= 0)
        close(fd);
    return is_it;
}

/* Its bytes are those that run, also where another build has taken its path since. Where the loader was
   started with the program as its argument, /proc/self/exe is the loader. */
static int begin(const struct loaded_list *list, struct fm_program *program)
{
    struct fm_program_mapping mapping;
    const void *address = list->entries[0].address;
    if (!fm_program_is_dynamic())
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "the program is a static executable, of which no worker can be made; "
                            "link it without -static");
    if (!fm_program_mapped(address, &mapping) || mapping.path[0] != '/')
        return fm_base_fail(
            FASTMAP_ERR_PROGRAM,
            "the executable's path cannot be read from /proc/self/maps; mount /proc");
    const struct fm_program_place place = {
        .path = mapping.path,
        .source = is_own_executable(address) ? own_executable : mapping.path,
        .loaded_at = address,
    };
    return fm_program_files_begin(program, &place);
}

/* ---- All of it ---- */

static int add_found(const struct loaded_list *list, const char *name, struct fm_program *program)
{
    const struct loaded *entry = find_loaded(list, name);
    if (entry == NULL)
        return 0;
    const struct fm_program_place place = {.path = entry->path, .loaded_at = entry->address};
    return fm_program_files_add(program, &place, FM_WIRE_ROLE_LIBRARY, false);
}

static int add_module(const struct loaded_list *list, const void *function,
                      struct fm_program *program)
{
    struct fm_program_function located;
    struct fm_program_place place;
    if (function == NULL)
        return 0;
    int rc = fm_program_locate(function, &located);
    if (rc != 0 || located.module[0] == '\0')
        return rc;
    rc = find_needed(&list->finder, located.module, "the map", &place);
    return rc != 0 ? rc : fm_program_files_add(program, &place, FM_WIRE_ROLE_LIBRARY, false);
}

/* A library that only the function's module needs, or that a script language opened, serves as well. */
static int add_fastmap(const struct loaded_list *list, struct fm_program *program)
{
    for (size_t i = 0; i < list->count; i++)
        if (strncmp(list->entries[i].soname, "libfastmap.so", 13) == 0)
            return add_found(list, list->entries[i].soname, program);
    return 0;
}

static int add_worker(const char *worker, struct fm_program *program)
{
    char *path = fm_program_files_absolute(worker);
    const struct fm_program_place place = {.path = path};
    if (path == NULL)
        return fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for the path of the shim; free some");
    const int rc = fm_program_files_add(program, &place, FM_WIRE_ROLE_WORKER, false);
    free(path);
    return rc;
}

static int gather(const struct loaded_list *list, const void *function, const char *worker,
                  struct fm_program *program)
{
    int rc = begin(list, program);
    if (rc == 0)
        rc = fm_program_files_close(program, &list->finder);
    if (rc == 0)
        rc = add_module(list, function, program);
    if (rc == 0)
        rc = add_fastmap(list, program);
    if (rc == 0)
        rc = add_found(list, libgcc, program);
    if (rc == 0)
        rc = add_worker(worker, program);
    if (rc == 0)
        rc = fm_program_files_close(program, &list->finder);
    return rc == 0 ? fm_program_files_seal(program) : rc;
}

int fm_program_gather(const void *function, const char *worker, struct fm_program *program)
{
    struct loaded_list list = {.finder.find = find_needed};
    struct fm_program found = {0};
    (void)dlopen(libgcc, RTLD_LAZY);
    dl_iterate_phdr(note_loaded, &list);
    int rc =
        list.is_short || list.count == 0
            ? fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for the list of libraries; free some")
            : gather(&list, function, worker, &found);
    free_loaded(&list);
    fm_program_cache_save();
    if (rc == 0)
        *program = found;
    else
        fm_program_free(&found);
    return rc;
}
