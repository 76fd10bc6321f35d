/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds what is installed beside the library. See companion.h. */
#include "program/companion.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_at(char path[PATH_MAX], const char *folder, int length, const char *between,
                  const char *name)
{
    const int written = snprintf(path, PATH_MAX, "%.*s%s/%s", length, folder, between, name);
    return written > 0 && written < PATH_MAX && access(path, R_OK) == 0;
}

bool fm_program_companion(const char *name, char path[PATH_MAX])
{
    static const char anchor = 0;
    Dl_info here;
    if (dladdr(&anchor, &here) != 0 && here.dli_fname != NULL) {
        const char *slash = strrchr(here.dli_fname, '/');
        const int length = slash != NULL ? (int)(slash - here.dli_fname) : 0;
        if (length > 0 && (is_at(path, here.dli_fname, length, "/fastmap", name) ||
                           is_at(path, here.dli_fname, length, "", name)))
            return true;
    }
    return is_at(path, FM_PLUGIN_DIR, (int)strlen(FM_PLUGIN_DIR), "", name);
}

const void *fm_program_companion_plugin(const char *name, const char *table, int version,
                                        const char **why)
{
    char path[PATH_MAX];
    int found;
    (void)fm_program_companion(name, path);
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const void *address = plugin != NULL ? dlsym(plugin, table) : NULL;
    *why = plugin == NULL ? dlerror() : "another version";
    if (address == NULL)
        return NULL;
    memcpy(&found, address, sizeof found);
    return found == version ? address : NULL;
}
