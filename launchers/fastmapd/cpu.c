/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Read once. Which features a program needs is checked by name against this list, which is made by the table
 * that made the program's: /proc/cpuinfo leaves some out, and has other names on other machines than x86.
 */
#include "cpu.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "program/cpu.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct utsname system_name;
static char model[256], features[FM_PROGRAM_CPU_BYTES];

/* The value of a line "name<blanks>: value". */
static void take(const char *line, const char *name, char *value, size_t bytes)
{
    const char *colon = strchr(line, ':');
    const size_t length = strlen(name);
    if (value[0] != '\0' || colon == NULL || strncmp(line, name, length) != 0 ||
        strchr("\t :", line[length]) == NULL)
        return;
    snprintf(value, bytes, "%s", colon[1] == ' ' ? colon + 2 : colon + 1);
    value[strcspn(value, "\n")] = '\0';
}

static void read_once(void)
{
    char line[8192];
    uname(&system_name);
    fm_program_cpu(features, sizeof features);
    FILE *from = fopen("/proc/cpuinfo", "re");
    if (from == NULL)
        return;
    while (fgets(line, sizeof line, from) != NULL)
        take(line, "model name", model, sizeof model);
    fclose(from);
}

const char *fmd_cpu_architecture(void)
{
    pthread_once(&once, read_once);
    return system_name.machine;
}

const char *fmd_cpu_model(void)
{
    pthread_once(&once, read_once);
    return model;
}

const char *fmd_cpu_features(void)
{
    pthread_once(&once, read_once);
    return features;
}

bool fmd_cpu_has(const char *feature)
{
    const size_t length = strlen(feature);
    if (length == 0)
        return false;
    for (const char *at = fmd_cpu_features(); (at = strstr(at, feature)) != NULL; at += length)
        if ((at == features || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0'))
            return true;
    return false;
}
