/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Asks the dynamic loader where a function comes from, and where it is here. Decides which functions have
 * no name outside their process: those of a static executable, which no loader knows, and those whose code
 * was written at run time (a trampoline of a contained Fortran procedure or a nested C function, a
 * just-in-time compiler's output) or lies in a file without a path.
 *
 * A function pointer may also lead to a stub in the executable, where that is not position-independent and
 * the function is a library's: the stub has a name as good as the function's.
 */
#include "program/module.h"

#include <dlfcn.h>
#include <link.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "program/maps.h"

/* ---- From the pointer to the name ---- */

static int has_loader(struct dl_phdr_info *executable, size_t bytes, void *is_dynamic)
{
    (void)bytes;
    for (size_t i = 0; i < executable->dlpi_phnum; i++)
        if (executable->dlpi_phdr[i].p_type == PT_INTERP)
            *(bool *)is_dynamic = true;
    return 1; /* the executable comes first */
}

bool fm_program_is_dynamic(void)
{
    bool is_dynamic = false;
    dl_iterate_phdr(has_loader, &is_dynamic);
    return is_dynamic;
}

static const struct link_map *module_of(const void *address)
{
    Dl_info info;
    struct link_map *map = NULL;
    if (dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) == 0)
        return NULL;
    return map;
}

bool fm_program_find(const void *function, const char **module, uint64_t *offset)
{
    const struct link_map *map = module_of(function);
    if (map == NULL)
        return false;
    *module = map->l_name;
    *offset = (uintptr_t)function - map->l_addr;
    return true;
}

static int refuse_homeless(void)
{
    return fm_base_fail(FASTMAP_ERR_PROGRAM,
                        "the function belongs to no file: it was made at run time, as a contained "
                        "Fortran procedure, a nested C function or compiled just in time; pass a "
                        "module procedure or a function of the program or of a shared library");
}

/* A relative path is one from where the process was when it opened the file; the kernel knows the whole. */
static int absolute_path(const char *name, const void *function, char *path)
{
    struct fm_program_mapping mapping;
    const char *whole = name;
    if (name[0] != '/' && name[0] != '\0') {
        if (!fm_program_mapped(function, &mapping) || mapping.path[0] != '/')
            return refuse_homeless();
        whole = mapping.path;
    }
    if (strncmp(whole, "/proc/", 6) == 0 || strncmp(whole, "/memfd:", 7) == 0)
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "the function lies in a shared library without a path of its own "
                            "(%s%s); write the library to a file and open that",
                            FM_BASE_PATH(whole));
    if (strlen(whole) >= FM_PROGRAM_PATH_BYTES)
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "the path of the function's shared library is longer than %d bytes; "
                            "give it a shorter one",
                            FM_PROGRAM_PATH_BYTES - 1);
    memcpy(path, whole, strlen(whole) + 1);
    return 0;
}

int fm_program_locate(const void *function, struct fm_program_function *found)
{
    const char *name;
    uint64_t offset;
    if (!fm_program_is_dynamic())
        return fm_base_fail(FASTMAP_ERR_PROGRAM,
                            "the program is a static executable, of which no worker can be made; "
                            "link it without -static");
    if (!fm_program_find(function, &name, &offset))
        return refuse_homeless();
    const int rc = absolute_path(name, function, found->module);
    if (rc == 0)
        found->offset = offset;
    return rc;
}

/* ---- From the name to the pointer ---- */

static const char *shown(const char *module)
{
    return module[0] != '\0' ? module : "the executable";
}

/* Lazily bound, as most plugins are opened: one whose unused symbols are nowhere works here, too. */
static const struct link_map *loaded(const char *module)
{
    void *handle = dlopen(module[0] != '\0' ? module : NULL, RTLD_LAZY | RTLD_LOCAL);
    struct link_map *map = NULL;
    if (handle == NULL || dlinfo(handle, RTLD_DI_LINKMAP, (void *)&map) != 0) {
        const char *reason = dlerror();
        fm_base_fail(FASTMAP_ERR_PROGRAM,
                     "%s%s, which has the function, does not load in this process (%s); link the "
                     "program with it, or link it with all that it needs",
                     FM_BASE_PATH(shown(module)), reason != NULL ? reason : "no reason given");
        return NULL;
    }
    return map;
}

void *fm_program_resolve(const char *module, uint64_t offset)
{
    const struct link_map *map = loaded(module);
    if (map == NULL)
        return NULL;
    /* The offset comes from another process and may lead anywhere. */
    void *const address =
        (void *)(map->l_addr + (uintptr_t)offset); // NOLINT(performance-no-int-to-ptr)
    if (module_of(address) != map) {
        fm_base_fail(FASTMAP_ERR_PROGRAM,
                     "%s%s has no function at offset %#llx: it is not the file that the map was "
                     "called with; start the program again",
                     FM_BASE_PATH(shown(module)), (unsigned long long)offset);
        return NULL;
    }
    return address;
}
