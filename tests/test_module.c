/* SPDX-License-Identifier: BSD-3-Clause */
/* Functions as (module, offset) and back: in this process, and from one process to another. */
#include <dlfcn.h>
#include <fastmap.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/error.h"
#include "program/module.h"
#include "test.h"

static int file_local(const void *in, void *out, const void *shared)
{
    (void)shared;
    *(int *)out = 2 * *(const int *)in;
    return 0;
}

static const void *pointer(fastmap_func *function)
{
    const void *address;
    memcpy(&address, &function, sizeof address);
    return address;
}

static int call(const void *address, int x)
{
    fastmap_func *function;
    int y = 0;
    memcpy(&function, &address, sizeof function);
    return function(&x, &y, NULL) == 0 ? y : -1;
}

static char *plugin_path(char *path, size_t bytes)
{
    const char *builddir = getenv("builddir");
    snprintf(path, bytes, "%s/tests/.libs/plugin.so", builddir != NULL ? builddir : ".");
    return path;
}

/* A child opens the plugin in its own way and tells what it found; this process has not opened it. */
static bool located_elsewhere(const void *(*open_plugin)(void), struct fm_program_function *found)
{
    int ends[2];
    int status = -1;
    if (pipe(ends) != 0)
        return false;
    const pid_t child = fork();
    if (child == 0) {
        const void *function = open_plugin();
        const int rc = function != NULL ? fm_program_locate(function, found) : 1;
        if (rc != 0)
            fprintf(stderr, "# %s\n", function != NULL ? fm_base_last_error() : dlerror());
        _exit(rc == 0 && write(ends[1], found, sizeof *found) == sizeof *found ? 0 : 1);
    }
    close(ends[1]);
    const bool is_read = read(ends[0], found, sizeof *found) == sizeof *found;
    close(ends[0]);
    return waitpid(child, &status, 0) == child && status == 0 && is_read;
}

static const void *open_by_path(void)
{
    char path[FM_PROGRAM_PATH_BYTES];
    void *plugin = dlopen(plugin_path(path, sizeof path), RTLD_NOW);
    return plugin != NULL ? dlsym(plugin, "plugin_triple") : NULL;
}

static const void *open_from_its_folder(void)
{
    char path[FM_PROGRAM_PATH_BYTES];
    *strrchr(plugin_path(path, sizeof path), '/') = '\0';
    if (chdir(path) != 0)
        return NULL;
    void *plugin = dlopen("./plugin.so", RTLD_NOW);
    return plugin != NULL && chdir("/") == 0 ? dlsym(plugin, "plugin_triple") : NULL;
}

static const void *open_from_memory(void)
{
    char path[FM_PROGRAM_PATH_BYTES];
    struct stat status;
    const int file = open(plugin_path(path, sizeof path), O_RDONLY | O_CLOEXEC);
    const int memory = memfd_create("plugin", MFD_CLOEXEC);
    if (file < 0 || memory < 0 || fstat(file, &status) != 0 ||
        sendfile(memory, file, NULL, (size_t)status.st_size) != status.st_size)
        return NULL;
    snprintf(path, sizeof path, "/proc/self/fd/%d", memory);
    void *plugin = dlopen(path, RTLD_NOW);
    close(file);
    close(memory);
    return plugin != NULL ? dlsym(plugin, "plugin_triple") : NULL;
}

TEST(a_function_of_the_executable_has_no_path_and_is_found_again)
{
    struct fm_program_function found;
    if (!CHECK_EQ_INT(fm_program_locate(pointer(file_local), &found), 0))
        return;
    CHECK_EQ_STR(found.module, "");
    const void *again = fm_program_resolve(found.module, found.offset);
    CHECK_TRUE(again == pointer(file_local), "%p", again);
    CHECK_EQ_INT(call(again, 21), 42);
}

TEST(a_function_of_a_shared_library_has_its_path)
{
    struct fm_program_function found;
    const void *function = dlsym(RTLD_DEFAULT, "CU_initialize_registry");
    if (function == NULL)
        SKIP("CUnit is linked statically");
    if (!CHECK_EQ_INT(fm_program_locate(function, &found), 0))
        return;
    CHECK_TRUE(found.module[0] == '/', "%s", found.module);
    CHECK_CONTAINS(found.module, "libcunit");
    CHECK_TRUE(fm_program_resolve(found.module, found.offset) == function, "%s", found.module);
}

TEST(a_plugin_is_loaded_where_it_is_not)
{
    struct fm_program_function found;
    char path[FM_PROGRAM_PATH_BYTES];
    if (!CHECK_TRUE(located_elsewhere(open_by_path, &found), "no plugin"))
        return;
    CHECK_EQ_STR(found.module, plugin_path(path, sizeof path));
    CHECK_TRUE(dlopen(path, RTLD_NOLOAD | RTLD_LAZY) == NULL, "%s is loaded already", path);
    const void *function = fm_program_resolve(found.module, found.offset);
    if (CHECK_TRUE(function != NULL, "%s", fm_base_last_error()))
        CHECK_EQ_INT(call(function, 14), 42);
}

TEST(a_plugin_that_was_opened_by_a_relative_path_has_an_absolute_one)
{
    struct fm_program_function found;
    char path[FM_PROGRAM_PATH_BYTES];
    char whole[FM_PROGRAM_PATH_BYTES];
    if (!CHECK_TRUE(located_elsewhere(open_from_its_folder, &found), "no plugin"))
        return;
    if (CHECK_TRUE(realpath(plugin_path(path, sizeof path), whole) != NULL, "%s", path))
        CHECK_EQ_STR(found.module, whole);
}

TEST(code_that_was_made_at_run_time_is_refused)
{
    struct fm_program_function found = {.module = "untouched", .offset = 7};
    void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int on_the_stack = 0;
    CHECK_EQ_INT(fm_program_locate(page, &found), FASTMAP_ERR_PROGRAM);
    CHECK_CONTAINS(fm_base_last_error(), "belongs to no file");
    CHECK_EQ_INT(fm_program_locate(&on_the_stack, &found), FASTMAP_ERR_PROGRAM);
    CHECK_EQ_INT(fm_program_locate(NULL, &found), FASTMAP_ERR_PROGRAM);
    CHECK_EQ_STR(found.module, "untouched");
    CHECK_EQ_SIZE(found.offset, 7);
    munmap(page, 4096);
}

TEST(a_library_that_lies_in_memory_only_is_refused)
{
    struct fm_program_function found;
    const void *function = open_from_memory();
    if (!CHECK_TRUE(function != NULL, "%s", dlerror()))
        return;
    CHECK_EQ_INT(fm_program_locate(function, &found), FASTMAP_ERR_PROGRAM);
    CHECK_CONTAINS(fm_base_last_error(), "without a path");
}

TEST(an_offset_beyond_the_module_is_refused)
{
    CHECK_TRUE(fm_program_resolve("", UINT64_C(1) << 46) == NULL, "resolved");
    CHECK_CONTAINS(fm_base_last_error(), "the executable has no function at offset");
    CHECK_TRUE(fm_program_resolve("", UINT64_MAX) == NULL, "resolved");
}

TEST(a_module_that_does_not_load_is_named)
{
    CHECK_TRUE(fm_program_resolve("/nowhere/plugin.so", 0) == NULL, "resolved");
    CHECK_CONTAINS(fm_base_last_error(), "/nowhere/plugin.so");
}
