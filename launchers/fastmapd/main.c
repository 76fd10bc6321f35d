/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fastmapd: settings from flags and file, then the command that is asked for; without one it serves.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "state.h"

static const char usage_text[] =
    "usage: fastmapd [--config FILE] [--SETTING VALUE]...            serves\n"
    "       fastmapd [...] account add|token|credit|list|statement|limit|revoke ...\n"
    "       fastmapd [...] audit                                     proves that the ledger "
    "balances\n"
    "       fastmapd [...] status                                    shows what the daemon does\n"
    "\n"
    "Settings, each also a line `name = value` of the file:\n\n";

static int help(const struct fmd_config *config, int argc, char **argv)
{
    (void)config, (void)argc, (void)argv;
    fputs(usage_text, stdout);
    fmd_config_print(stdout);
    return 0;
}

static int version(const struct fmd_config *config, int argc, char **argv)
{
    (void)config, (void)argc, (void)argv;
    printf("fastmapd %s\n", FMD_VERSION);
    return 0;
}

static const struct {
    const char *name;
    int (*run)(const struct fmd_config *config, int argc, char **argv);
} commands[] = {
    {"account", fmd_command_account},
    {"audit", fmd_command_audit},
    {"status", fmd_command_status},
    {"--help", help},
    {"-h", help},
    {"--version", version},
};

int main(int argc, char **argv)
{
    struct fmd_config config;
    umask(077);
    fmd_config_default(&config);
    if (fmd_config_flags(&config, &argc, argv) != 0 || fmd_config_check(&config) != 0 ||
        fmd_state_choose(&config) != 0)
        return fmd_command_fail();
    if (argc == 1)
        return fmd_command_serve(&config, 0, NULL);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(commands[i].name, argv[1]) == 0)
            return commands[i].run(&config, argc - 2, argv + 2);
    fprintf(stderr, "fastmapd: there is no command or setting %.40s\n\n%s", argv[1], usage_text);
    return 2;
}
