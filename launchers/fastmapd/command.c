/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fastmapd account, audit, status: what its operator does, on the ledger itself, whether or not a daemon
 * runs.
 */
#include "command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "ledger.h"
#include "money.h"
#include "state.h"
#include "text.h"
#include "tokens.h"

int fmd_command_fail(void)
{
    fprintf(stderr, "fastmapd: %s\n", fm_base_last_error());
    return 1;
}

static int open_ledger(const struct fmd_config *config, struct fmd_ledger **ledger)
{
    int folder;
    int rc = fmd_state_open(config, &folder);
    if (rc != 0)
        return rc;
    rc = fmd_ledger_open(folder, config->state, config->ledger, false, ledger);
    close(folder);
    return rc;
}

/* ---- account ------------------------------------------------------------------------------------------- */

/* What --vcpus N, --day US$, --credit US$ and --note TEXT said; below 0: nothing. */
struct said {
    struct fmd_limits limits;
    int64_t credit;
    const char *note;
};

static int take_option(const char *name, const char *value, struct said *said)
{
    if (value == NULL)
        return fm_base_fail(FASTMAP_ERR_ARGUMENT, "%s needs a value", name);
    if (strcmp(name, "--note") == 0)
        said->note = value;
    else if (strcmp(name, "--token-vcpus") == 0 && fmd_text_number(value, &said->limits.vcpus))
        return 0;
    else if (strcmp(name, "--day") == 0 && fmd_text_money(value, &said->limits.day_nano))
        return 0;
    else if (strcmp(name, "--credit") == 0 && fmd_text_money(value, &said->credit))
        return 0;
    else
        return fm_base_fail(FASTMAP_ERR_ARGUMENT, "%s %.40s is not understood; fastmapd --help",
                            name, value);
    return 0;
}

/* Takes options out of argv; what is left are plain words. */
static int take_options(int *argc, char **argv, struct said *said)
{
    int kept = 0;
    *said = (struct said){.limits = {-1, -1}, .credit = -1};
    for (int i = 0; i < *argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            argv[kept++] = argv[i];
            continue;
        }
        const int rc = take_option(argv[i], i + 1 < *argc ? argv[i + 1] : NULL, said);
        if (rc != 0)
            return rc;
        i++;
    }
    *argc = kept;
    return 0;
}

static int new_token(struct fmd_ledger *ledger, const char *name, const struct said *said)
{
    char token[FM_SERVICE_TOKEN_BYTES];
    const int rc = fmd_ledger_add_token(ledger, name, said->limits, token);
    if (rc == 0)
        printf("%s\n", token);
    explicit_bzero(token, sizeof token);
    return rc;
}

static int add(struct fmd_ledger *ledger, char **words, const struct said *said)
{
    int rc = fmd_ledger_add_account(ledger, words[0]);
    if (rc == 0 && said->credit > 0)
        rc = fmd_ledger_credit(ledger, words[0], said->credit, said->note);
    return rc == 0 ? new_token(ledger, words[0], said) : rc;
}

static int token(struct fmd_ledger *ledger, char **words, const struct said *said)
{
    return new_token(ledger, words[0], said);
}

static int credit(struct fmd_ledger *ledger, char **words, const struct said *said)
{
    int64_t nano;
    if (!fmd_text_money(words[1], &nano) || nano == 0)
        return fm_base_fail(FASTMAP_ERR_ARGUMENT, "%.40s is no amount of US$, such as 10 or 0.25",
                            words[1]);
    return fmd_ledger_credit(ledger, words[0], nano, said->note);
}

static int list(struct fmd_ledger *ledger, char **words, const struct said *said)
{
    (void)words, (void)said;
    return fmd_ledger_list(ledger, stdout);
}

static int statement(struct fmd_ledger *ledger, char **words, const struct said *said)
{
    (void)said;
    return fmd_ledger_statement(ledger, words[0], stdout);
}

static int take_back(struct fmd_ledger *ledger, char **words, const struct said *said)
{
    (void)said;
    return fmd_ledger_revoke_token(ledger, words[0]);
}

static int limit(struct fmd_ledger *ledger, char **words, const struct said *said)
{
    return fmd_ledger_limit_token(ledger, words[0], said->limits);
}

static const struct {
    const char *name, *usage;
    int words;
    int (*run)(struct fmd_ledger *ledger, char **words, const struct said *said);
} verbs[] = {
    {"add", "add NAME [--credit US$] [--note TEXT] [--token-vcpus N] [--day US$]", 1, add},
    {"token", "token NAME [--token-vcpus N] [--day US$]", 1, token},
    {"credit", "credit NAME US$ [--note TEXT]", 2, credit},
    {"list", "list", 0, list},
    {"statement", "statement NAME", 1, statement},
    {"limit", "limit TOKEN-ID [--token-vcpus N] [--day US$]", 1, limit},
    {"revoke", "revoke TOKEN-ID", 1, take_back},
};

/* The ledger is not as it was: what the daemon knows of tokens is to be asked for again. */
static int tell_daemon(const struct fmd_config *config)
{
    struct fmd_tokens *tokens;
    int folder;
    int rc = fmd_state_open(config, &folder);
    if (rc != 0)
        return rc;
    rc = fmd_tokens_open(folder, &tokens);
    close(folder);
    if (rc != 0)
        return rc;
    atomic_fetch_add(&tokens->changes, 1);
    fmd_tokens_close(tokens);
    return 0;
}

static int usage(void)
{
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++)
        fprintf(stderr, "%s fastmapd account %s\n", i == 0 ? "usage:" : "      ", verbs[i].usage);
    return 2;
}

int fmd_command_account(const struct fmd_config *config, int argc, char **argv)
{
    struct fmd_ledger *ledger;
    struct said said;
    size_t i = 0;
    while (argc > 0 && i < sizeof verbs / sizeof verbs[0] && strcmp(verbs[i].name, argv[0]) != 0)
        i++;
    if (argc == 0 || i == sizeof verbs / sizeof verbs[0])
        return usage();
    argc--, argv++;
    if (take_options(&argc, argv, &said) != 0)
        return fmd_command_fail();
    if (argc != verbs[i].words)
        return usage();
    if (open_ledger(config, &ledger) != 0)
        return fmd_command_fail();
    const int rc = verbs[i].run(ledger, argv, &said);
    fmd_ledger_close(ledger);
    return rc == 0 && tell_daemon(config) == 0 ? 0 : fmd_command_fail();
}

/* ---- audit and status -------------------------------------------------------------------------------- */

int fmd_command_audit(const struct fmd_config *config, int argc, char **argv)
{
    struct fmd_ledger *ledger;
    int64_t wrong = 0;
    (void)argc, (void)argv;
    if (open_ledger(config, &ledger) != 0)
        return fmd_command_fail();
    const int rc = fmd_ledger_audit(ledger, stdout, &wrong);
    fmd_ledger_close(ledger);
    if (rc != 0)
        return fmd_command_fail();
    printf("%s\n", wrong == 0 ? "the ledger balances" : "the ledger does NOT balance");
    return wrong == 0 ? 0 : 1;
}

/* The running daemon says its numbers to whoever may open its socket. */
static bool ask_daemon(const struct fmd_config *config, FILE *to)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char text[4096];
    ssize_t got;
    if (snprintf(address.sun_path, sizeof address.sun_path, "%s/control", config->state) >=
        (int)sizeof address.sun_path)
        return false;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool reached = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    while (reached && (got = read(fd, text, sizeof text)) > 0)
        fwrite(text, 1, (size_t)got, to);
    if (fd >= 0)
        close(fd);
    return reached;
}

int fmd_command_status(const struct fmd_config *config, int argc, char **argv)
{
    struct fmd_ledger *ledger;
    (void)argc, (void)argv;
    const bool runs = ask_daemon(config, stdout);
    if (!runs)
        printf("no fastmapd runs in %s\n", config->state);
    if (open_ledger(config, &ledger) != 0)
        return fmd_command_fail();
    printf("\n");
    const int rc = fmd_ledger_list(ledger, stdout);
    fmd_ledger_close(ledger);
    return rc != 0 ? fmd_command_fail() : runs ? 0 : 3;
}
