/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The travelling program of this process and its parts: manifests, ELF files, digests and their cache.
 * tests/program.sh has programs of other kinds, and fastmap-explain.
 */
#include <dlfcn.h>
#include <fastmap.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "program/cpu.h"
#include "program/digest.h"
#include "program/maps.h"
#include "program/program.h"
#include "program/started.h"
#include "test.h"

/* ---- Help ---- */

static char scratch[64];

/* A folder of this run's own, in which caches are from now on. */
static const char *folder(void)
{
    if (scratch[0] == '\0') {
        strcpy(scratch, "/tmp/fastmap-program.XXXXXX");
        if (mkdtemp(scratch) == NULL)
            abort();
        setenv("XDG_CACHE_HOME", scratch, 1);
    }
    return scratch;
}

__attribute__((destructor)) static void remove_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", scratch);
    if (scratch[0] != '\0' && system(command) != 0)
        fprintf(stderr, "# %s stays\n", scratch);
}

static const char *in_folder(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder(), name);
    return path;
}

static const char *built(const char *name)
{
    static char paths[4][512];
    static unsigned next;
    char *path = paths[next++ % 4];
    const char *builddir = getenv("builddir");
    snprintf(path, sizeof paths[0], "%s/%s", builddir != NULL ? builddir : ".", name);
    return path;
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
        abort();
}

static size_t read_file(const char *path, uint8_t *bytes, size_t most)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return 0;
    const size_t size = fread(bytes, 1, most, file);
    fclose(file);
    return size;
}

/* As on btrfs and some overlays: stat() tells another device and inode than the kernel's list of mappings. */
static bool stat_differs;
int __real_fstat(int fd, struct stat *status);
int __wrap_fstat(int fd, struct stat *status);
int __wrap_fstat(int fd, struct stat *status)
{
    const int rc = __real_fstat(fd, status);
    if (stat_differs) {
        status->st_dev += 7;
        status->st_ino += 100000;
    }
    return rc;
}

static int file_local(const void *in, void *out, const void *shared)
{
    (void)shared;
    *(int *)out = 2 * *(const int *)in;
    return 0;
}

static const void *own_function(void)
{
    fastmap_func *function = file_local;
    const void *address;
    memcpy(&address, &function, sizeof address);
    return address;
}

static int gather(const void *function, struct fm_program *program)
{
    folder();
    return fm_program_gather(function, built(".libs/fastmap-worker.so"), program);
}

static const struct fm_program_file *find(const struct fm_program *program, const char *part)
{
    for (size_t i = 0; i < program->count; i++)
        if (strstr(program->files[i].path, part) != NULL)
            return &program->files[i];
    return NULL;
}

/* ---- Manifests ---- */

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEAD "fastmap-program 1\nmachine x86_64\ncpu adx aes\n"
#define EXE "executable " HEX " 1 /a/exe\n"
#define LOADER "loader " HEX " 20 /b\n"
#define SHIM "worker " HEX " 0 /c/w.so\n"

static int decode(const char *text)
{
    struct fm_wire_manifest manifest;
    const int rc = fm_wire_manifest_decode(text, strlen(text), &manifest);
    if (rc == 0)
        fm_wire_manifest_free(&manifest);
    return rc;
}

TEST(a_manifest_is_read_as_it_was_written)
{
    struct fm_wire_file files[] = {
        {.role = FM_WIRE_ROLE_WORKER, .bytes = 3, .path = "/c/w.so"},
        {.role = FM_WIRE_ROLE_EXECUTABLE, .bytes = 1, .path = "/a/exe with spaces => (0x1)"},
        {.role = FM_WIRE_ROLE_LOADER, .bytes = INT64_MAX, .path = "/a-b"},
    };
    const struct fm_wire_manifest manifest = {
        .machine = "x86_64", .cpu = "adx aes", .files = files, .count = 3};
    struct fm_wire_manifest again;
    char *text;
    size_t length;
    memset(files[0].sha256, 0xa5, sizeof files[0].sha256);
    if (!CHECK_EQ_INT(fm_wire_manifest_encode(&manifest, &text, &length), 0))
        return;
    CHECK_EQ_SIZE(length, strlen(text));
    if (CHECK_EQ_INT(fm_wire_manifest_decode(text, length, &again), 0)) {
        CHECK_EQ_SIZE(again.count, 3);
        CHECK_EQ_STR(again.cpu, "adx aes");
        CHECK_EQ_STR(again.files[0].path, "/a/exe with spaces => (0x1)");
        CHECK_EQ_STR(again.files[1].path, "/a-b");
        CHECK_TRUE(again.files[1].bytes == INT64_MAX, "%s", text);
        CHECK_EQ_INT(again.files[2].role, FM_WIRE_ROLE_WORKER);
        CHECK_EQ_INT(again.files[2].sha256[31], 0xa5);
        fm_wire_manifest_free(&again);
    }
    free(text);
}

TEST(there_is_one_spelling_of_a_manifest)
{
    static const char *const valid[] = {
        HEAD EXE LOADER SHIM,
        "fastmap-program 1\nmachine aarch64\ncpu\n" EXE LOADER SHIM,
        HEAD EXE "library " HEX " 5 /a/exf\nfastmap " HEX " 5 /a0\n" LOADER SHIM,
    };
    static const char *const invalid[] = {
        "",
        "\n",
        HEAD,
        HEAD EXE LOADER,                              /* no worker */
        HEAD EXE LOADER SHIM "worker " HEX " 0 /d\n", /* two */
        HEAD EXE LOADER SHIM "fastmap " HEX " 0 /d\nfastmap " HEX " 0 /e\n",
        HEAD LOADER EXE SHIM,     /* order */
        HEAD EXE EXE LOADER SHIM, /* twice */
        HEAD EXE LOADER "library " HEX " 5 /b/under-a-file\n" SHIM,
        HEAD EXE LOADER SHIM "library " HEX " 0 /d", /* no newline */
        HEAD EXE LOADER SHIM "\n",
        HEAD EXE LOADER SHIM "library " HEX " 01 /d\n",
        HEAD EXE LOADER SHIM "library " HEX " -1 /d\n",
        HEAD EXE LOADER SHIM "library " HEX " 9223372036854775808 /d\n",
        HEAD EXE LOADER SHIM "library " HEX " 99999999999999999999 /d\n",
        HEAD EXE LOADER SHIM "library " HEX "  1 /d\n",
        HEAD EXE LOADER SHIM "library " HEX " 1 d\n",
        HEAD EXE LOADER SHIM "library " HEX " 1 \n",
        HEAD EXE LOADER SHIM "library " HEX " 1\n",
        HEAD EXE LOADER SHIM "library " HEX " 1 /\n",
        HEAD EXE LOADER SHIM "library " HEX " 1 /d/\n",
        HEAD EXE LOADER SHIM "library " HEX " 1 //d\n",
        HEAD EXE LOADER SHIM "library " HEX " 1 /d/./e\n",
        HEAD EXE LOADER SHIM "library " HEX " 1 /d/../../etc/passwd\n",
        HEAD EXE LOADER SHIM "library " HEX " 1 /d/..\n",
        HEAD EXE LOADER SHIM "library " HEX " 1 /d\te\n",
        HEAD EXE LOADER SHIM "library " HEX " 1 /d\r\n",
        HEAD EXE LOADER SHIM
        "library ABCDEF6789abcdef0123456789abcdef0123456789abcdef0123456789abcdef 1 /d\n",
        HEAD EXE LOADER SHIM "library 0123 1 /d\n",
        HEAD EXE LOADER SHIM "Library " HEX " 1 /d\n",
        "fastmap-program 2\nmachine x86_64\ncpu adx aes\n" EXE LOADER SHIM,
        "fastmap-program 1\nmachine \ncpu adx aes\n" EXE LOADER SHIM,
        "fastmap-program 1\nmachine x86 64\ncpu adx aes\n" EXE LOADER SHIM,
        "fastmap-program 1\nmachine x86_64\ncpu aes adx\n" EXE LOADER SHIM,
        "fastmap-program 1\nmachine x86_64\ncpu adx adx\n" EXE LOADER SHIM,
        "fastmap-program 1\nmachine x86_64\ncpu adx  aes\n" EXE LOADER SHIM,
        "fastmap-program 1\nmachine x86_64\ncpu adx \n" EXE LOADER SHIM,
        "fastmap-program 1\nmachine x86_64\ncpu \n" EXE LOADER SHIM,
        "fastmap-program 1\nmachine x86_64\ncpuadx\n" EXE LOADER SHIM,
    };
    for (size_t i = 0; i < sizeof valid / sizeof *valid; i++)
        CHECK_TRUE(decode(valid[i]) == 0, "%s\n%s", fm_base_last_error(), valid[i]);
    for (size_t i = 0; i < sizeof invalid / sizeof *invalid; i++)
        CHECK_TRUE(decode(invalid[i]) == FASTMAP_ERR_PROGRAM, "row %zu:\n%s", i, invalid[i]);
}

TEST(a_path_that_would_be_two_lines_is_not_written)
{
    struct fm_wire_file files[] = {
        {.role = FM_WIRE_ROLE_EXECUTABLE, .path = "/a\nlibrary " HEX " 1 /etc/shadow"},
        {.role = FM_WIRE_ROLE_LOADER, .path = "/b"},
        {.role = FM_WIRE_ROLE_WORKER, .path = "/c"},
    };
    const struct fm_wire_manifest manifest = {
        .machine = "x86_64", .cpu = "", .files = files, .count = 3};
    char *text;
    size_t length;
    CHECK_EQ_INT(fm_wire_manifest_encode(&manifest, &text, &length), FASTMAP_ERR_PROGRAM);
    CHECK_CONTAINS(fm_base_last_error(), "control characters");
}

/* ---- ELF ---- */

TEST(an_elf_file_says_what_it_needs)
{
    struct fm_program_elf elf;
    const int fd = open(built(".libs/libfastmap.so"), O_RDONLY | O_CLOEXEC);
    const struct fm_program_input input = fm_program_input_fd(fd);
    bool needs_hwloc = false;
    if (!CHECK_EQ_INT(fm_program_elf_read(&input, "libfastmap.so", &elf), 0))
        return;
    CHECK_TRUE(elf.interpreter == NULL, "%s", elf.interpreter);
    CHECK_EQ_STR(elf.soname, "libfastmap.so.0");
    CHECK_TRUE(elf.exports_serve, "no fastmap_serve");
    for (size_t i = 0; i < elf.needed_count; i++)
        needs_hwloc = needs_hwloc || strncmp(elf.needed[i], "libhwloc.so", 11) == 0;
    CHECK_TRUE(needs_hwloc, "%zu needed", elf.needed_count);
    fm_program_elf_free(&elf);
    close(fd);
}

TEST(an_elf_file_that_is_cut_anywhere_is_refused)
{
    static uint8_t bytes[1 << 20];
    const size_t size = read_file(built("tests/.libs/plugin.so"), bytes, sizeof bytes);
    struct fm_program_elf elf;
    struct fm_program_input input = fm_program_input_memory(bytes, size);
    if (!CHECK_EQ_INT(fm_program_elf_read(&input, "plugin.so", &elf), 0))
        return;
    fm_program_elf_free(&elf);
    /* What follows the loaded parts are sections, which nobody reads. */
    for (size_t cut = 0; cut < size / 2; cut += 1 + cut / 64) {
        input = fm_program_input_memory(bytes, cut);
        if (CHECK_TRUE(fm_program_elf_read(&input, "plugin.so", &elf) == FASTMAP_ERR_PROGRAM,
                       "%zu of %zu bytes", cut, size))
            CHECK_CONTAINS(fm_base_last_error(), "plugin.so");
    }
}

TEST(what_is_no_program_of_this_machine_is_named)
{
    static uint8_t bytes[1 << 20];
    const size_t size = read_file("/proc/self/exe", bytes, sizeof bytes);
    struct fm_program_elf elf;
    struct fm_program_input input = fm_program_input_memory("#!/bin/sh\n", 10);
    CHECK_EQ_INT(fm_program_elf_read(&input, "x", &elf), FASTMAP_ERR_PROGRAM);
    CHECK_CONTAINS(fm_base_last_error(), "is a script");
    input = fm_program_input_memory("nothing", 7);
    CHECK_EQ_INT(fm_program_elf_read(&input, "x", &elf), FASTMAP_ERR_PROGRAM);
    CHECK_CONTAINS(fm_base_last_error(), "no executable");
    input = fm_program_input_memory(bytes, size);
    bytes[18] = 243; /* the machine */
    bytes[19] = 0;
    CHECK_EQ_INT(fm_program_elf_read(&input, "x", &elf), FASTMAP_ERR_PROGRAM);
    CHECK_CONTAINS(fm_base_last_error(), "is for riscv64");
}

/* ---- Digests ---- */

TEST(a_digest_is_sha256)
{
    uint8_t sha256[FM_PROGRAM_SHA256];
    uint64_t bytes = 0;
    char hex[65];
    write_file(in_folder("abc"), "abc", 3);
    const int fd = open(in_folder("abc"), O_RDONLY | O_CLOEXEC);
    CHECK_EQ_INT(fm_program_digest_file(fd, "abc", sha256, &bytes), 0);
    fm_wire_manifest_hex(sha256, hex);
    CHECK_EQ_STR(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK_EQ_SIZE(bytes, 3);
    close(fd);
}

static struct fm_program_identity identity(uint64_t number)
{
    return (struct fm_program_identity){.device = 1, .inode = number, .bytes = 3, .changed_ns = -5};
}

/* Writes a cache of n files, number i with the digest i, i, i, ... */
static void write_cache(unsigned n)
{
    uint8_t sha256[FM_PROGRAM_SHA256];
    fm_program_cache_forget();
    for (unsigned i = 1; i <= n; i++) {
        const struct fm_program_identity file = identity(i);
        memset(sha256, (int)i, sizeof sha256);
        fm_program_cache_add(&file, sha256);
    }
    fm_program_cache_save();
    fm_program_cache_forget();
}

static bool knows(unsigned number)
{
    uint8_t sha256[FM_PROGRAM_SHA256] = {0};
    const struct fm_program_identity file = identity(number);
    return fm_program_cache_find(&file, sha256) && sha256[7] == (uint8_t)number;
}

TEST(digests_are_known_in_the_next_process)
{
    struct stat status;
    folder();
    write_cache(20);
    CHECK_TRUE(knows(1) && knows(20) && !knows(21), "%s", in_folder("fastmap/digests"));
    if (CHECK_EQ_INT(stat(in_folder("fastmap/digests"), &status), 0))
        CHECK_EQ_INT(status.st_mode & 0777, 0600);
    struct fm_program_identity other = identity(1);
    uint8_t sha256[FM_PROGRAM_SHA256];
    other.changed_ns++;
    CHECK_TRUE(!fm_program_cache_find(&other, sha256), "a file that was changed");
}

TEST(what_another_process_wrote_meanwhile_is_kept)
{
    uint8_t sha256[FM_PROGRAM_SHA256] = {0};
    folder();
    unlink(in_folder("fastmap/digests"));
    write_cache(5);
    const struct fm_program_identity file = identity(77);
    fm_program_cache_add(&file, sha256); /* not having looked at the file */
    fm_program_cache_save();
    fm_program_cache_forget();
    CHECK_TRUE(knows(5), "lost");
}

TEST(a_file_that_was_just_changed_is_not_remembered)
{
    uint8_t sha256[FM_PROGRAM_SHA256] = {0};
    struct timespec now;
    struct fm_program_identity young = identity(200);
    folder();
    fm_program_cache_forget();
    clock_gettime(CLOCK_REALTIME, &now);
    young.changed_ns = (int64_t)now.tv_sec * 1000000000;
    fm_program_cache_add(&young, sha256);
    CHECK_TRUE(!fm_program_cache_find(&young, sha256), "remembered");
}

TEST(a_full_cache_forgets_the_oldest)
{
    folder();
    unlink(in_folder("fastmap/digests"));
    write_cache(FM_PROGRAM_CACHE_MOST + 1);
    CHECK_TRUE(!knows(1) && knows(FM_PROGRAM_CACHE_MOST) && knows(FM_PROGRAM_CACHE_MOST + 1),
               "not the oldest");
}

TEST(a_damaged_cache_is_as_good_as_none)
{
    static uint8_t bytes[1 << 20];
    const char *path = in_folder("fastmap/digests");
    unlink(path);
    write_cache(10);
    const size_t size = read_file(path, bytes, sizeof bytes);
    if (!CHECK_EQ_SIZE(size, 16 + 10 * 72 + 32))
        return;
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x10;
        write_file(path, bytes, size);
        fm_program_cache_forget();
        CHECK_TRUE(!knows(3), "byte %zu is changed", i);
        bytes[i] ^= 0x10;
    }
    for (size_t cut = 0; cut < size; cut += 9) {
        write_file(path, bytes, cut);
        fm_program_cache_forget();
        CHECK_TRUE(!knows(3), "%zu bytes of %zu", cut, size);
    }
    write_cache(3); /* and it is written anew */
    CHECK_TRUE(knows(3), "%s", path);
}

TEST(a_cache_that_others_may_write_to_or_that_is_a_link_is_not_believed)
{
    const char *path = in_folder("fastmap/digests");
    folder();
    write_cache(4);
    CHECK_EQ_INT(chmod(path, 0622), 0);
    fm_program_cache_forget();
    CHECK_TRUE(!knows(4), "mode 622");
    CHECK_EQ_INT(chmod(path, 0600), 0);
    fm_program_cache_forget();
    CHECK_TRUE(knows(4), "mode 600");
    CHECK_EQ_INT(rename(path, in_folder("moved")), 0);
    CHECK_EQ_INT(symlink(in_folder("moved"), path), 0);
    fm_program_cache_forget();
    CHECK_TRUE(!knows(4), "a link");
    unlink(path);
    if (geteuid() == 0 && CHECK_EQ_INT(rename(in_folder("moved"), path), 0)) {
        CHECK_EQ_INT(chown(path, 12345, (gid_t)-1), 0);
        fm_program_cache_forget();
        CHECK_TRUE(!knows(4), "another user's");
        unlink(path);
    }
}

TEST(without_a_folder_for_it_there_is_no_cache_and_no_error)
{
    folder();
    setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
    write_cache(2);
    CHECK_TRUE(!knows(1), "known");
    setenv("XDG_CACHE_HOME", scratch, 1);
}

/* ---- The processor ---- */

TEST(the_processors_features_are_those_that_the_kernel_lists)
{
    /* What the kernel knows and keeps to itself, or some kernels do not know. */
    static const char unlisted[] = " amx_fp16 avx_ifma avx_ne_convert avx_vnni_int16 avx_vnni_int8 "
                                   "sha512 sm3 sm4";
    char features[FM_PROGRAM_CPU_BYTES];
    char *line = NULL;
    size_t bytes = 0;
    bool is_found = false;
    fm_program_cpu(features, sizeof features);
    FILE *info = fopen("/proc/cpuinfo", "r");
    if (info == NULL)
        SKIP("no /proc/cpuinfo");
    while (!is_found && getline(&line, &bytes, info) > 0)
        is_found = strncmp(line, "flags\t", 6) == 0;
    fclose(info);
    for (char *rest = features, *name; is_found && (name = strsep(&rest, " ")) != NULL;) {
        char word[64];
        snprintf(word, sizeof word, " %s", name);
        CHECK_TRUE(strstr(line, word) != NULL || strstr(unlisted, word) != NULL,
                   "%s is not among %s", name, line);
    }
    free(line);
    if (!is_found)
        SKIP("the kernel lists no flags");
}

/* ---- This process ---- */

TEST(the_program_of_this_process_is_what_it_needs)
{
    struct fm_program program;
    struct fm_wire_manifest manifest;
    uint8_t sha256[FM_PROGRAM_SHA256];
    if (!CHECK_TRUE(gather(own_function(), &program) == 0, "%s", fm_base_last_error()))
        return;
    CHECK_TRUE(fastmap_version()[0] != '\0', "the library that it is linked with");
    CHECK_EQ_INT(program.files[0].role, FM_WIRE_ROLE_EXECUTABLE);
    CHECK_EQ_STR(program.files[0].source, "/proc/self/exe");
    CHECK_CONTAINS(program.files[0].path, "test_program");
    static const char *const parts[] = {"/libc.so",     "/ld-linux",        "/libgcc_s.so",
                                        "/libhwloc.so", "/libfastmap.so.0", "/fastmap-worker.so"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        CHECK_TRUE(find(&program, parts[i]) != NULL, "%s is missing", parts[i]);
    CHECK_TRUE(find(&program, "/plugin.so") == NULL, "a library that nothing needs");
    CHECK_EQ_INT(fm_program_digest_bytes(program.manifest, program.manifest_bytes, sha256), 0);
    CHECK_EQ_MEM(program.sha256, sha256, sizeof sha256);
    if (CHECK_EQ_INT(fm_wire_manifest_decode(program.manifest, program.manifest_bytes, &manifest),
                     0)) {
        CHECK_EQ_SIZE(manifest.count, program.count);
        fm_wire_manifest_free(&manifest);
    }
    fm_program_free(&program);
}

TEST(the_same_program_has_the_same_name)
{
    struct fm_program first;
    struct fm_program second;
    if (!CHECK_EQ_INT(gather(own_function(), &first), 0))
        return;
    fm_program_cache_forget();
    if (CHECK_EQ_INT(gather(NULL, &second), 0)) {
        CHECK_EQ_MEM(first.sha256, second.sha256, sizeof first.sha256);
        fm_program_free(&second);
    }
    fm_program_free(&first);
}

static void copy_file(const char *from, const char *to)
{
    static uint8_t bytes[1 << 20];
    write_file(to, bytes, read_file(from, bytes, sizeof bytes));
}

TEST(a_plugin_travels_with_its_function)
{
    struct fm_program program;
    void *plugin = dlopen(built("tests/.libs/plugin.so"), RTLD_NOW);
    if (!CHECK_TRUE(plugin != NULL, "%s", dlerror()))
        return;
    if (CHECK_TRUE(gather(dlsym(plugin, "plugin_triple"), &program) == 0, "%s",
                   fm_base_last_error())) {
        const struct fm_program_file *file = find(&program, "/plugin.so");
        if (CHECK_TRUE(file != NULL, "%s", program.manifest))
            CHECK_EQ_INT(file->role, FM_WIRE_ROLE_LIBRARY);
        fm_program_free(&program);
    }
    dlclose(plugin);
}

/* Opens a library, gathers, puts another under its path, gathers; takes that away, gathers. */
static void replace_loaded(void)
{
    struct fm_program program;
    copy_file(built("tests/.libs/plugin.so"), in_folder("young.so"));
    void *plugin = dlopen(in_folder("young.so"), RTLD_NOW);
    if (!CHECK_TRUE(plugin != NULL, "%s", dlerror()))
        return;
    const void *function = dlsym(plugin, "plugin_triple");
    if (CHECK_TRUE(gather(function, &program) == 0, "%s", fm_base_last_error()))
        fm_program_free(&program);
    copy_file(built("tests/.libs/plugin.so"), in_folder("younger.so"));
    CHECK_EQ_INT(rename(in_folder("younger.so"), in_folder("young.so")), 0);
    CHECK_EQ_INT(gather(function, &program), FASTMAP_ERR_PROGRAM);
    CHECK_CONTAINS(fm_base_last_error(), "young.so was changed since this process loaded it");
    unlink(in_folder("young.so"));
    CHECK_EQ_INT(gather(function, &program), FASTMAP_ERR_PROGRAM);
    CHECK_CONTAINS(fm_base_last_error(), "young.so was changed since this process loaded it");
    dlclose(plugin);
}

TEST(a_library_that_was_replaced_since_it_was_loaded_is_refused)
{
    replace_loaded();
}

TEST(a_file_system_that_tells_a_file_in_two_ways_changes_nothing)
{
    stat_differs = true;
    replace_loaded();
    stat_differs = false;
}

TEST(a_function_that_is_in_no_file_is_refused)
{
    struct fm_program program;
    void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK_EQ_INT(gather(page, &program), FASTMAP_ERR_PROGRAM);
    CHECK_CONTAINS(fm_base_last_error(), "belongs to no file");
    munmap(page, 4096);
}

TEST(a_missing_shim_is_named)
{
    struct fm_program program;
    folder();
    CHECK_EQ_INT(fm_program_gather(NULL, "/nowhere/fastmap-worker.so", &program),
                 FASTMAP_ERR_PROGRAM);
    CHECK_CONTAINS(fm_base_last_error(), "/nowhere/fastmap-worker.so cannot be opened");
}

TEST(only_what_was_written_long_after_the_start_counts_as_written_since)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    time.tv_sec -= 1000000000;
    CHECK_TRUE(!fm_program_started_before(&time), "before the start");
    time.tv_sec += 2000000000;
    CHECK_TRUE(!fm_program_started_before(&time), "in the future: another clock");
}
