/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A row for each word of the protocol and for each of curl's codes that users can do something about.
 */
#include "tier/cloud/rules.h"

#include <curl/curl.h>
#include <stddef.h>
#include <string.h>

#define SETTINGS "check cloud_url"

struct word_row {
    const char *word;
    struct fm_cloud_rule rule;
};

static const struct word_row words[] = {
    {"signature",
     {FM_CLOUD_FINISH, "does not take the token", "check secret, or have a new token made"}},
    {"clock", {FM_CLOUD_RESIGN, "finds this machine's clock wrong", "set the clock"}},
    {"replay", {FM_CLOUD_RESIGN, "takes each request for a repeated one", "report it"}},
    {"credit",
     {FM_CLOUD_FINISH, "has no credit left for this token",
      "add credit to the account, or wait for the token's next day"}},
    {"version",
     {FM_CLOUD_FINISH, "speaks another version of the protocol than 1",
      "update fastmap, or the service"}},
    {"cpu", {FM_CLOUD_FINISH, NULL, "use another service, or compile for an older processor"}},
    {"busy", {FM_CLOUD_WAIT, "is still at it", "wait"}},
    {"spans", {FM_CLOUD_WAIT, "has as many spans as it takes", "wait"}},
    {"full", {FM_CLOUD_WAIT, "is full", "try again later"}},
    {"attempts",
     {FM_CLOUD_FINISH, "has had too many wrong tokens from here",
      "check secret and wait a minute"}},
    {"draining", {FM_CLOUD_MOVE, "is going down", "try again later"}},
    {"internal", {FM_CLOUD_AGAIN, "has failed", "look into its log"}},
    {"digest", {FM_CLOUD_AGAIN, "got other data than was sent", "check the network"}},
    {"encoding", {FM_CLOUD_RESIGN, "does not take a packed body", "update it"}},
    {"storage", {FM_CLOUD_FINISH, "has no room for the program or the shared block", "free some"}},
    {"closed", {FM_CLOUD_FINISH, "has closed the map", "none is needed"}},
};

struct fm_cloud_rule fm_cloud_rules_answer(long status, const char *word)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(words[i].word, word) == 0)
            return words[i].rule;
    if (word[0] != '\0')
        return (struct fm_cloud_rule){status >= 500 ? FM_CLOUD_AGAIN : FM_CLOUD_FINISH, NULL,
                                      "report it, if that does not help"};
    if (status >= 300 && status < 400)
        return (struct fm_cloud_rule){FM_CLOUD_FINISH, "sends us elsewhere, which is not followed",
                                      "give the address that it leads to as cloud_url"};
    if (status >= 500)
        return (struct fm_cloud_rule){FM_CLOUD_AGAIN, "is not to be had behind its gateway",
                                      "try again later"};
    return (struct fm_cloud_rule){FM_CLOUD_FINISH, "does not answer as fastmapd does", SETTINGS};
}

struct code_row {
    int code;
    struct fm_cloud_rule rule;
};

static const struct code_row codes[] = {
    {CURLE_COULDNT_RESOLVE_HOST,
     {FM_CLOUD_AGAIN, "has a name that cannot be resolved", SETTINGS " and the network"}},
    {CURLE_COULDNT_RESOLVE_PROXY,
     {FM_CLOUD_FINISH, "is behind a proxy whose name cannot be resolved", "check https_proxy"}},
    {CURLE_COULDNT_CONNECT,
     {FM_CLOUD_AGAIN, "does not answer", SETTINGS " and that the service runs"}},
    {CURLE_OPERATION_TIMEDOUT,
     {FM_CLOUD_AGAIN, "does not answer in time", "check the network and the service"}},
    {CURLE_PEER_FAILED_VERIFICATION,
     {FM_CLOUD_FINISH, "has a certificate that is not trusted, or is for another name",
      "check cloud_url, and set cloud_ca_file where the service has a certificate of its own"}},
    {CURLE_SSL_PINNEDPUBKEYNOTMATCH,
     {FM_CLOUD_FINISH, "has another public key than cloud_pin says",
      "find out why before you change cloud_pin"}},
    {CURLE_SSL_CACERT_BADFILE,
     {FM_CLOUD_FINISH, "cannot be checked: cloud_ca_file cannot be read",
      "name a file of PEM certificates"}},
    {CURLE_SSL_CONNECT_ERROR,
     {FM_CLOUD_AGAIN, "does not speak TLS as we do", SETTINGS " and its port"}},
    {CURLE_URL_MALFORMAT, {FM_CLOUD_FINISH, "has no valid address", SETTINGS}},
    {CURLE_OUT_OF_MEMORY, {FM_CLOUD_FINISH, "cannot be asked: no memory", "free some"}},
    {CURLE_ABORTED_BY_CALLBACK,
     {FM_CLOUD_AGAIN, "has stopped sending and taking", "check the network and the service"}},
};

struct fm_cloud_rule fm_cloud_rules_transfer(int code)
{
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (codes[i].code == code)
            return codes[i].rule;
    return (struct fm_cloud_rule){FM_CLOUD_AGAIN, "has broken the connection",
                                  "check the network and the service"};
}

double fm_cloud_rules_delay(unsigned failed, double random)
{
    const unsigned doublings = failed < 6 ? failed : 6;
    const double delay = 0.04 * (double)(1u << doublings);
    return (delay < 2 ? delay : 2) * (0.5 + random / 2);
}
