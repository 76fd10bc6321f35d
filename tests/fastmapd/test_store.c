/* SPDX-License-Identifier: BSD-3-Clause */
/* Blobs and programs of accounts: parts, digests, room, what is private, what a restart finds, what
   goes. */
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../../launchers/fastmapd/store.h"
#include "../test.h"
#include "base/error.h"
#include "wire/manifest.h"

static char folder[64];

static struct fmd_store *open_store(uint64_t account_bytes)
{
    const struct fmd_store_limits limits = {100000, account_bytes, 10 * account_bytes};
    struct fmd_store *store = NULL;
    if (folder[0] == '\0') {
        strcpy(folder, "/tmp/fastmapd-store.XXXXXX");
        if (mkdtemp(folder) == NULL)
            abort();
    }
    if (fmd_store_open(folder, &limits, &store) != FMD_STORE_OK)
        abort();
    return store;
}

/* A command to which the folder is known as $F. */
static void shell(const char *command)
{
    setenv("F", folder, 1);
    if (system(command) != 0)
        fprintf(stderr, "# failed: %s\n", command);
}

static void forget(struct fmd_store *store)
{
    fmd_store_close(store);
    shell("rm -rf \"$F\"");
    folder[0] = '\0';
}

static void digest_of(const void *bytes, size_t count, uint8_t sha256[32])
{
    EVP_Digest(bytes, count, sha256, NULL, EVP_sha256(), NULL);
}

/* One part, as the HTTP side does it. */
static enum fmd_store_answer send_part(struct fmd_store *store, const char *account,
                                       const uint8_t *sha256, const char *bytes, size_t all,
                                       size_t offset, size_t count, bool keep,
                                       struct fmd_store_blob *blob)
{
    struct fmd_store_part *part;
    enum fmd_store_answer answer =
        fmd_store_part_begin(store, account, sha256, all, offset, count, &part, blob);
    if (answer != FMD_STORE_OK || part == NULL)
        return answer;
    for (size_t at = 0; at < count && answer == FMD_STORE_OK; at += 7)
        answer = fmd_store_part_write(part, bytes + offset + at, count - at < 7 ? count - at : 7);
    const enum fmd_store_answer end =
        fmd_store_part_end(part, keep && answer == FMD_STORE_OK, blob);
    return answer != FMD_STORE_OK ? answer : end;
}

static enum fmd_store_answer send_all(struct fmd_store *store, const char *account,
                                      const char *bytes, uint8_t sha256[32])
{
    struct fmd_store_blob blob;
    digest_of(bytes, strlen(bytes), sha256);
    return send_part(store, account, sha256, bytes, strlen(bytes), 0, strlen(bytes), true, &blob);
}

static const char text[] = "a blob of some length that comes in parts";
#define LENGTH (sizeof text - 1)

TEST(a_blob_comes_in_parts_and_is_read_back)
{
    struct fmd_store *store = open_store(1000000);
    struct fmd_store_blob blob;
    uint8_t sha256[32];
    uint64_t bytes;
    char found[64] = "";
    int fd = -1;
    digest_of(text, LENGTH, sha256);
    CHECK_EQ_INT(fmd_store_find(store, "ada", sha256, &blob), FMD_STORE_NONE);
    CHECK_EQ_INT(send_part(store, "ada", sha256, text, LENGTH, 0, 10, true, &blob), FMD_STORE_OK);
    CHECK_TRUE(blob.have == 10 && !blob.complete, "%d", (int)blob.have);
    CHECK_EQ_INT(send_part(store, "ada", sha256, text, LENGTH, 20, 5, true, &blob),
                 FMD_STORE_OFFSET);
    CHECK_EQ_SIZE(blob.have, 10);
    CHECK_EQ_INT(send_part(store, "ada", sha256, text, LENGTH, 10, 15, false, &blob), FMD_STORE_OK);
    CHECK_EQ_SIZE(blob.have, 10); /* it was dropped */
    CHECK_EQ_INT(fmd_store_read(store, "ada", sha256, &fd, &bytes), FMD_STORE_NONE);
    CHECK_EQ_INT(send_part(store, "ada", sha256, text, LENGTH, 10, LENGTH - 10, true, &blob),
                 FMD_STORE_OK);
    CHECK_TRUE(blob.complete, "%d", (int)blob.have);
    CHECK_EQ_INT(fmd_store_read(store, "ada", sha256, &fd, &bytes), FMD_STORE_OK);
    CHECK_EQ_SIZE(bytes, LENGTH);
    CHECK_EQ_INT(read(fd, found, sizeof found), (int)LENGTH);
    CHECK_EQ_STR(found, text);
    close(fd);
    CHECK_EQ_INT(send_all(store, "ada", text, sha256), FMD_STORE_OK); /* again: nothing happens */
    CHECK_EQ_SIZE(fmd_store_bytes(store, "ada"), LENGTH);
    forget(store);
}

TEST(another_digest_drops_the_blob)
{
    struct fmd_store *store = open_store(1000000);
    struct fmd_store_blob blob;
    uint8_t sha256[32] = {1};
    CHECK_EQ_INT(send_part(store, "ada", sha256, text, LENGTH, 0, LENGTH, true, &blob),
                 FMD_STORE_DIGEST);
    CHECK_EQ_INT(fmd_store_find(store, "ada", sha256, &blob), FMD_STORE_NONE);
    CHECK_EQ_SIZE(fmd_store_bytes(store, "ada"), 0);
    forget(store);
}

TEST(knowing_a_digest_gives_nothing)
{
    struct fmd_store *store = open_store(1000000);
    struct fmd_store_blob blob;
    struct stat ada, eve;
    uint8_t sha256[32];
    uint64_t bytes;
    int fds[2];
    CHECK_EQ_INT(send_all(store, "ada", text, sha256), FMD_STORE_OK);
    CHECK_EQ_INT(fmd_store_find(store, "eve", sha256, &blob), FMD_STORE_NONE);
    CHECK_EQ_INT(fmd_store_read(store, "eve", sha256, &fds[0], &bytes), FMD_STORE_NONE);
    CHECK_EQ_INT(send_all(store, "eve", text, sha256), FMD_STORE_OK);
    CHECK_EQ_INT(fmd_store_read(store, "ada", sha256, &fds[0], &bytes), FMD_STORE_OK);
    CHECK_EQ_INT(fmd_store_read(store, "eve", sha256, &fds[1], &bytes), FMD_STORE_OK);
    fstat(fds[0], &ada);
    fstat(fds[1], &eve);
    CHECK_TRUE(ada.st_ino != eve.st_ino && ada.st_nlink == 1 && eve.st_nlink == 1,
               "files of their own");
    close(fds[0]);
    close(fds[1]);
    CHECK_EQ_INT(fmd_store_find(store, "../ada", sha256, &blob), FMD_STORE_NONE);
    CHECK_EQ_INT(fmd_store_read(store, ".", sha256, &fds[0], &bytes), FMD_STORE_NONE);
    forget(store);
}

TEST(room_is_taken_when_a_blob_begins)
{
    struct fmd_store *store = open_store(100);
    struct fmd_store_blob blob;
    struct fmd_store_part *part;
    uint8_t one[32] = {1}, two[32] = {2};
    CHECK_EQ_INT(fmd_store_part_begin(store, "ada", one, 100001, 0, 1, &part, &blob),
                 FMD_STORE_SIZE);
    CHECK_EQ_INT(fmd_store_part_begin(store, "ada", one, 60, 0, 61, &part, &blob), FMD_STORE_SIZE);
    CHECK_EQ_INT(fmd_store_part_begin(store, "ada", one, 60, 1, UINT64_MAX, &part, &blob),
                 FMD_STORE_SIZE);
    CHECK_EQ_INT(send_part(store, "ada", one, text, 60, 0, 10, true, &blob), FMD_STORE_OK);
    CHECK_EQ_INT(send_part(store, "ada", two, text, 60, 0, 10, true, &blob), FMD_STORE_STORAGE);
    CHECK_EQ_INT(send_part(store, "eve", two, text, 60, 0, 10, true, &blob), FMD_STORE_OK);
    CHECK_EQ_INT(send_part(store, "ada", one, text, 61, 10, 10, true, &blob), FMD_STORE_SIZE);
    CHECK_EQ_INT(fmd_store_part_begin(store, "ada", one, 60, 10, 10, &part, &blob), FMD_STORE_OK);
    struct fmd_store_part *other;
    CHECK_EQ_INT(fmd_store_part_begin(store, "ada", one, 60, 10, 10, &other, &blob),
                 FMD_STORE_BUSY);
    CHECK_EQ_INT(fmd_store_part_write(part, text, 11), FMD_STORE_SIZE);
    CHECK_EQ_INT(fmd_store_part_write(part, text, 9), FMD_STORE_OK);
    CHECK_EQ_INT(fmd_store_part_end(part, true, &blob), FMD_STORE_SIZE); /* one is missing */
    CHECK_EQ_SIZE(blob.have, 10);
    forget(store);
}

TEST(a_restart_goes_on_where_it_was)
{
    struct fmd_store *store = open_store(1000000);
    struct fmd_store_blob blob;
    uint8_t sha256[32], other[32];
    digest_of(text, LENGTH, sha256);
    CHECK_EQ_INT(send_all(store, "ada", "another", other), FMD_STORE_OK);
    CHECK_EQ_INT(send_part(store, "ada", sha256, text, LENGTH, 0, 10, true, &blob), FMD_STORE_OK);
    fmd_store_close(store);
    store = open_store(1000000);
    CHECK_EQ_SIZE(fmd_store_bytes(store, "ada"), LENGTH + 7);
    CHECK_EQ_INT(fmd_store_find(store, "ada", sha256, &blob), FMD_STORE_OK);
    CHECK_TRUE(blob.have == 10 && blob.bytes == LENGTH, "%d of %d", (int)blob.have,
               (int)blob.bytes);
    CHECK_EQ_INT(send_part(store, "ada", sha256, text, LENGTH, 10, LENGTH - 10, true, &blob),
                 FMD_STORE_OK);
    CHECK_TRUE(blob.complete, "%d", (int)blob.have);
    forget(store);
}

/* A machine that went down with blobs not yet on disk: those that are not what they are called go. */
TEST(after_another_boot_doubtful_blobs_are_read)
{
    struct fmd_store *store = open_store(1000000);
    struct fmd_store_blob blob;
    uint8_t whole[32], torn[32];
    CHECK_EQ_INT(send_all(store, "ada", text, whole), FMD_STORE_OK);
    CHECK_EQ_INT(send_all(store, "ada", "torn", torn), FMD_STORE_OK);
    fmd_store_close(store);
    shell("echo other >\"$F/unsynced\"; f=$(grep -rlx torn \"$F/ada/blobs\"); chmod u+w $f; printf "
          "'tor\\0' >$f");
    store = open_store(1000000);
    CHECK_EQ_INT(fmd_store_find(store, "ada", whole, &blob), FMD_STORE_OK);
    CHECK_EQ_INT(fmd_store_find(store, "ada", torn, &blob), FMD_STORE_NONE);
    forget(store);
}

/* ---- Programs ---- */

/* A manifest of this machine with files that hold their own paths. */
static char *manifest_of(const char *const paths[4], size_t *length)
{
    static const enum fm_wire_role roles[] = {FM_WIRE_ROLE_EXECUTABLE, FM_WIRE_ROLE_LOADER,
                                              FM_WIRE_ROLE_WORKER, FM_WIRE_ROLE_LIBRARY};
    struct fm_wire_file files[4];
    char *manifest_text = NULL;
    for (int i = 0; i < 4; i++) {
        files[i] =
            (struct fm_wire_file){.role = roles[i], .bytes = strlen(paths[i]), .path = paths[i]};
        digest_of(paths[i], strlen(paths[i]), files[i].sha256);
    }
    const struct fm_wire_manifest manifest = {
        .machine = "x86_64", .cpu = "avx", .files = files, .count = 4};
    if (fm_wire_manifest_encode(&manifest, &manifest_text, length) != 0)
        abort();
    return manifest_text;
}

static const char *const paths[] = {"/opt/ada/fit", "/lib64/ld.so", "/usr/lib/worker.so",
                                    "/lib/libm.so"};

TEST(a_program_is_laid_out_under_its_paths)
{
    struct fmd_store *store = open_store(1000000);
    struct fmd_store_missing *missing = NULL;
    struct fmd_tree *tree = NULL;
    struct stat status;
    uint8_t program[32], sha256[32];
    size_t length, count = 0;
    char path[256];
    char *manifest = manifest_of(paths, &length);
    CHECK_EQ_INT(fmd_store_stage(store, "ada", program, &tree, &missing, &count), FMD_STORE_NONE);
    CHECK_EQ_INT(fmd_store_program(store, "ada", manifest, length, program, &missing, &count),
                 FMD_STORE_MISSING);
    CHECK_EQ_SIZE(count, 4);
    free(missing);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ_INT(fmd_store_stage(store, "ada", program, &tree, &missing, &count),
                     FMD_STORE_MISSING);
        CHECK_EQ_SIZE(count, (size_t)(4 - i));
        free(missing);
        CHECK_EQ_INT(send_all(store, "ada", paths[i], sha256), FMD_STORE_OK);
    }
    CHECK_EQ_INT(fmd_store_stage(store, "ada", program, &tree, &missing, &count), FMD_STORE_OK);
    CHECK_EQ_STR(tree->executable, paths[0]);
    CHECK_EQ_STR(tree->loader, paths[1]);
    CHECK_EQ_STR(tree->worker, paths[2]);
    CHECK_EQ_STR(tree->folders, "/lib");
    CHECK_EQ_STR(tree->cpu, "avx");
    CHECK_TRUE(tree->fastmap == NULL, "it is inside");
    snprintf(path, sizeof path, "%.150s%s", tree->root, paths[0]);
    CHECK_TRUE(stat(path, &status) == 0 && (status.st_mode & 0777) == 0555, "%s: %o", path,
               status.st_mode);
    /* Eve sends the same manifest: she is asked for every file. */
    CHECK_EQ_INT(fmd_store_program(store, "eve", manifest, length, program, &missing, &count),
                 FMD_STORE_MISSING);
    CHECK_EQ_SIZE(count, 4);
    free(missing);
    fmd_store_drop(tree);
    free(manifest);
    forget(store);
}

TEST(a_manifest_is_checked)
{
    struct fmd_store *store = open_store(1000000);
    struct fmd_store_missing *missing = NULL;
    uint8_t program[32];
    size_t length, count;
    char *manifest = manifest_of(paths, &length);
    CHECK_EQ_INT(fmd_store_program(store, "ada", "x", 1, program, &missing, &count),
                 FMD_STORE_MANIFEST);
    CHECK_EQ_INT(fmd_store_program(store, "ada", manifest, length - 1, program, &missing, &count),
                 FMD_STORE_MANIFEST);
    char *machine = strstr(manifest, "machine ") + strlen("machine ");
    *machine = '_'; /* another word */
    CHECK_EQ_INT(fmd_store_program(store, "ada", manifest, length, program, &missing, &count),
                 FMD_STORE_MANIFEST);
    CHECK_CONTAINS(fm_base_last_error(), "this machine is");
    free(manifest);
    forget(store);
}

TEST(what_is_not_used_goes)
{
    struct fmd_store *store = open_store(1000000);
    struct fmd_store_missing *missing = NULL;
    struct fmd_tree *tree = NULL;
    struct fmd_store_blob blob;
    uint8_t program[32], sha256[32];
    size_t length, count;
    char *manifest = manifest_of(paths, &length);
    for (int i = 0; i < 4; i++)
        CHECK_EQ_INT(send_all(store, "ada", paths[i], sha256), FMD_STORE_OK);
    CHECK_EQ_INT(fmd_store_program(store, "ada", manifest, length, program, &missing, &count),
                 FMD_STORE_OK);
    free(missing);
    CHECK_EQ_INT(fmd_store_stage(store, "ada", program, &tree, &missing, &count), FMD_STORE_OK);
    fmd_store_expire(store, 3600);
    CHECK_EQ_INT(fmd_store_find(store, "ada", sha256, &blob), FMD_STORE_OK);
    shell("find \"$F\" -exec touch -d '10 days ago' {} +");
    fmd_store_expire(store, 3600);
    CHECK_EQ_INT(access(tree->root, F_OK), 0); /* a map uses it */
    CHECK_EQ_INT(fmd_store_find(store, "ada", sha256, &blob), FMD_STORE_NONE);
    CHECK_EQ_SIZE(fmd_store_bytes(store, "ada"), 0);
    char root[256];
    snprintf(root, sizeof root, "%s", tree->root);
    fmd_store_drop(tree);
    shell("find \"$F\" -exec touch -d '10 days ago' {} +");
    fmd_store_expire(store, 3600);
    CHECK_TRUE(access(root, F_OK) != 0, "%s is there", root);
    free(manifest);
    forget(store);
}
