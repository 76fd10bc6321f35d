/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Accounts, tokens, maps and money, in SQLite for one host or PostgreSQL for several. Money moves by
 * transfers only: each takes an amount from one book and gives it to another, so all books together always
 * come to nothing. The books:
 *
 *   bank            where credit comes from; the only one that may be below zero
 *   balance, held   two for each account
 *   earned          what was charged
 *
 * The database itself refuses a transfer that a book has not the money for, and a second charge for the
 * same span of a map. All rules hold among several hosts as they do in one: whoever writes has the ledger
 * to himself.
 *
 * Writers are combined: whoever finds nobody writing carries out what all others have brought meanwhile,
 * in one transaction. So the number of commits adapts to what a commit costs, and nobody is answered
 * before his transfer is committed. With SQLite a daemon's commits survive its death, and may be lost, in
 * order, by a failure of power; a command's survive that too. With PostgreSQL its own settings decide.
 *
 * Functions return 0, a FASTMAP_ERR_*, or one of the codes below, with its sentence recorded. Threads: any.
 */
#ifndef FMD_LEDGER_H
#define FMD_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "service/token.h"

#define FMD_NAME_BYTES 64 /* of an account's name, its NUL included */
#define FMD_KEY_BYTES 65  /* of a client's key for a map */
#define FMD_MAP_BYTES 17

struct fmd_ledger;

/* The ledger cannot be reached now; it was tried for a while. What was to be written is not, or, if the
   database fell silent in the last moment, it may be. */
#define FMD_LEDGER_AWAY (-1001)
#define FMD_LEDGER_CLOSED (-1003) /* the map is closed */
#define FMD_LEDGER_TWICE (-1004)  /* the span was charged before */

/* folder: the state folder, with ledger.key. setting: "" for ledger.db in it, a path, or a PostgreSQL
   address. is_daemon: many small writes; else a command. */
int fmd_ledger_open(int folder, const char *folder_path, const char *setting, bool is_daemon,
                    struct fmd_ledger **out);

/* Whether other hosts may be using it. */
bool fmd_ledger_is_shared(const struct fmd_ledger *ledger);
void fmd_ledger_close(struct fmd_ledger *ledger);

/* ---- Accounts and tokens (ledger_accounts.c) ----------------------------------------------------------- */

bool fmd_ledger_name_is_valid(
    const char *name); /* a-z 0-9 . _ -, 1 to 63, beginning with a letter or digit */

int fmd_ledger_add_account(struct fmd_ledger *ledger, const char *name);
int fmd_ledger_credit(struct fmd_ledger *ledger, const char *name, int64_t nano, const char *note);
int fmd_ledger_count_accounts(struct fmd_ledger *ledger, int64_t *count);

/* Below 0: no limit. */
struct fmd_limits {
    int64_t vcpus;
    int64_t day_nano;
};
int fmd_ledger_add_token(struct fmd_ledger *ledger, const char *name, struct fmd_limits limits,
                         char token[FM_SERVICE_TOKEN_BYTES]);
int fmd_ledger_limit_token(struct fmd_ledger *ledger, const char *id, struct fmd_limits limits);
int fmd_ledger_revoke_token(struct fmd_ledger *ledger, const char *id);

struct fmd_token {
    char id[FM_SERVICE_ID_BYTES];
    uint8_t key[FM_SERVICE_DIGEST_BYTES];
    int64_t account;
    char name[FMD_NAME_BYTES];
    struct fmd_limits limits;
};

/* 1: found, 0: no such token, or revoked. */
int fmd_ledger_find_token(struct fmd_ledger *ledger, const char *id, struct fmd_token *token);

struct fmd_standing {
    int64_t balance, held;
    int64_t day_spent; /* of the token */
};
int fmd_ledger_standing(struct fmd_ledger *ledger, const struct fmd_token *token,
                        struct fmd_standing *out);

/* Tables for people. */
int fmd_ledger_list(struct fmd_ledger *ledger, FILE *to);
int fmd_ledger_statement(struct fmd_ledger *ledger, const char *name, FILE *to);

/* ---- Maps (ledger_maps.c) -------------------------------------------------------------------------------
   */

enum fmd_verdict {
    FMD_OPENED,
    FMD_KNOWN,    /* the same key opened the same map before: what is told is how it stands */
    FMD_CONFLICT, /* the same key opened another map */
    FMD_NO_CREDIT,
    FMD_NO_VCPUS /* the token's are all in use on other hosts, which know by now that one is wanted */
};

struct fmd_map_row {
    char id[FMD_MAP_BYTES];
    int64_t account;
    char token[FM_SERVICE_ID_BYTES];
    int64_t hold, price; /* hold as it was at first */
    int64_t spans, cpu_ns, spent;
    int64_t vcpus;  /* that it could use */
    int64_t usable; /* once it has been opened: see struct fmd_share */
    int64_t host;   /* whose it is */
    bool is_open;
};

struct fmd_opening {
    const struct fmd_token *token;
    const char *key;       /* the client's */
    const uint8_t *digest; /* of what was asked for, 32 bytes */
    int64_t budget, least, price;
    int64_t vcpus; /* that it could use */
    int64_t host;  /* the daemon's lease */
};
int fmd_ledger_open_map(struct fmd_ledger *ledger, const struct fmd_opening *opening,
                        enum fmd_verdict *verdict, struct fmd_map_row *row);

/* One span is done: the price of its CPU time goes from held to earned, once. CLOSED, TWICE: it is not
   charged. */
struct fmd_settlement {
    const char *map;
    int64_t account;
    const char *token;
    int64_t span; /* the client's number, whatever it is: unique in the map */
    int64_t cpu_ns;
    int64_t charge, spent, left; /* out: for this span; of the map so far; of its hold */
};
int fmd_ledger_settle(struct fmd_ledger *ledger, struct fmd_settlement *settlement);

/* The rest of the hold goes back. Closing twice changes nothing. */
int fmd_ledger_close_map(struct fmd_ledger *ledger, const char *map);

/* 1: found, 0: the account has no such map. */
int fmd_ledger_find_map(struct fmd_ledger *ledger, int64_t account, const char *map,
                        struct fmd_map_row *row);

/* ---- vCPUs of a token (ledger_vcpus.c) ---------------------------------------------------------------- */

/* What a host could use for the maps of a token, and what it has in use or may be about to have. Out: what
   it has from now on, and how many of those it may have in use; below 0: there is no limit. Where usable is
   less than vcpus another host waits for the difference: it is to be given back by the next call, when it is
   not in use any more. */
struct fmd_share {
    const char *token;
    int64_t host;
    int64_t wants, uses;
    int64_t vcpus, usable;
};
int fmd_ledger_share(struct fmd_ledger *ledger, struct fmd_share *share);

/* A map could not be opened for want of vCPUs, and is not waited for any more. */
int fmd_ledger_unshare(struct fmd_ledger *ledger, const char *token, int64_t host);

/* ---- Hosts (ledger_hosts.c) --------------------------------------------------------------------------- */

/* Takes a lease, whose number is *host, and ends the one before (-1: none). *closed: maps of hosts that
   are gone, whose holds were given back. */
int fmd_ledger_enter(struct fmd_ledger *ledger, int64_t before, int64_t lease_s, int64_t *host,
                     int64_t *closed);

/* Puts off the end of the lease. *stays is false where there is none any more: all maps under it are
   closed. */
int fmd_ledger_stay(struct fmd_ledger *ledger, int64_t host, int64_t lease_s, bool *stays,
                    int64_t *closed);
int fmd_ledger_leave(struct fmd_ledger *ledger, int64_t host);

#define FMD_LEDGER_SIGNATURE \
    16 /* bytes of a signature that are kept: chance does not repeat them */

/* *is_fresh: the signature was not used before, on any host. It is remembered for keep_s seconds. */
int fmd_ledger_use_signature(struct fmd_ledger *ledger, const uint8_t *signature, int64_t keep_s,
                             bool *is_fresh);

/* ---- Audit (ledger_audit.c) ------------------------------------------------------------------------------
   */

/* Adds everything up anew and says what does not agree; *wrong counts it. */
int fmd_ledger_audit(struct fmd_ledger *ledger, FILE *to, int64_t *wrong);

#endif
