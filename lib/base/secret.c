/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides which files are trusted to hold a secret. Everything is asked of the descriptor that is then
 * read, so that the file cannot be exchanged between check and use; through a symbolic link it is the
 * target that counts. Every buffer that held a secret is wiped.
 */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/text.h"

int fm_base_secret_check_text(int code, const char *where, const char *text, size_t length)
{
    if (length == 0)
        return fm_base_fail(code, "%s is empty; give the token or leave it out", where);
    if (length > FM_BASE_SECRET_MAX)
        return fm_base_fail(code, "%s is longer than %d bytes; give the token and nothing else",
                            where, FM_BASE_SECRET_MAX);
    for (size_t i = 0; i < length; i++)
        if (text[i] <= ' ' || text[i] > '~')
            return fm_base_fail(code,
                                "%s has a space or another character in it that no token has; give "
                                "the token as it was issued and nothing else",
                                where);
    return 0;
}

int fm_base_secret_check_file(const char *path, const struct stat *status)
{
    if (!S_ISREG(status->st_mode))
        return fm_base_fail(
            FASTMAP_ERR_SECRET,
            "%s%s holds a secret but is not a regular file; put the secret into one",
            FM_BASE_PATH(path));
    if (status->st_uid != geteuid() && status->st_uid != 0)
        return fm_base_fail(FASTMAP_ERR_SECRET,
                            "%s%s holds a secret but belongs to user %lu; make a copy that is your "
                            "own and run chmod 600 on it",
                            FM_BASE_PATH(path), (unsigned long)status->st_uid);
    if ((status->st_mode & (S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH)) != 0)
        return fm_base_fail(FASTMAP_ERR_SECRET,
                            "%s%s holds a secret but others can read or write it (mode %03o); run: "
                            "chmod 600 %s%s",
                            FM_BASE_PATH(path), (unsigned)status->st_mode & 0777u,
                            FM_BASE_PATH(path));
    return 0;
}

static int fail_to_open(const char *path)
{
    const int reason = errno;
    const char *remedy = reason == ENOENT && path[0] == '~'
                             ? "write the whole path, ~ is not replaced here"
                             : "check secret_file, or create the file with mode 600";
    return fm_base_fail(FASTMAP_ERR_SECRET, "cannot open the secret file %s%s: %s; %s",
                        FM_BASE_PATH(path), strerror(reason), remedy);
}

/* Reads until the end or until the buffer is full. */
static int read_all(int fd, const char *path, char *text, size_t bytes, size_t *length)
{
    *length = 0;
    while (*length < bytes) {
        const ssize_t got = read(fd, text + *length, bytes - *length);
        if (got == 0)
            break;
        if (got > 0)
            *length += (size_t)got;
        else if (errno != EINTR)
            return fm_base_fail(FASTMAP_ERR_SECRET,
                                "cannot read the secret file %s%s: %s; check it",
                                FM_BASE_PATH(path), strerror(errno));
    }
    return 0;
}

/* The length of the one line without its newline. */
static size_t line_length(const char *text, size_t length)
{
    if (length > 0 && text[length - 1] == '\n')
        length--;
    if (length > 0 && text[length - 1] == '\r')
        length--;
    return length;
}

static int take_line(const char *path, const char *text, size_t length, char **secret)
{
    char where[256];
    if (length > FM_BASE_SECRET_MAX)
        return fm_base_fail(
            FASTMAP_ERR_SECRET,
            "the secret file %s%s is larger than %d bytes; it must hold the token on "
            "one line and nothing else",
            FM_BASE_PATH(path), FM_BASE_SECRET_MAX);
    length = line_length(text, length);
    snprintf(where, sizeof where, "the secret file %s%s", FM_BASE_PATH(path));
    const int rc = fm_base_secret_check_text(FASTMAP_ERR_SECRET, where, text, length);
    if (rc != 0)
        return rc;
    char *copy = fm_base_secret_copy(text, length);
    if (copy == NULL)
        return FASTMAP_ERR_MEMORY;
    *secret = copy;
    return 0;
}

static int read_checked(int fd, const char *path, char **secret)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return fail_to_open(path);
    int rc = fm_base_secret_check_file(path, &status);
    if (rc != 0)
        return rc;
    char text[FM_BASE_SECRET_MAX + 1]; /* one more than allowed shows that there is more */
    size_t length;
    rc = read_all(fd, path, text, sizeof text, &length);
    if (rc == 0)
        rc = take_line(path, text, length, secret);
    explicit_bzero(text, sizeof text);
    return rc;
}

int fm_base_secret_read(const char *path, char **secret)
{
    /* Without O_NONBLOCK a FIFO put in the file's place would hang the program. */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return fail_to_open(path);
    const int rc = read_checked(fd, path, secret);
    close(fd);
    return rc;
}

char *fm_base_secret_copy(const char *text, size_t length)
{
    char *copy = malloc(length + 1);
    if (copy == NULL) {
        fm_base_fail(FASTMAP_ERR_MEMORY, "no memory for the secret's %zu bytes; free some",
                     length + 1);
        return NULL;
    }
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

void fm_base_secret_free(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}
