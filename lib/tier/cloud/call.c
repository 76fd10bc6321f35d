/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides when a call has ended. An attempt ends in a transfer's code or in an answer; rules.c says what
 * follows from either; patience is counted from the first failure since the last sign of life. An answer is
 * believed only where its signature is right, which covers status, body and receipt, and the request that it
 * answers.
 *
 * An attempt is stopped where nothing moves any more: the system's limit for unacknowledged data and its
 * keep-alive probes for a host that is gone, and watch() for a service that has stopped reading or writing.
 * Between a span's last byte up and its answer's first byte down the service computes: there only `seconds`
 * count.
 */
#include "tier/cloud/call.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include "service/sign.h"
#include "tier/cloud/rules.h"
#include "tier/cloud/say.h"

#define JSON_MOST ((size_t)4 << 20)
#define STALL_S 20.0
#define CONNECT_S 10.0
#define LIMIT_LEAST_S 2.0
#define RESIGNS 3
#define WAIT_S 0.3

/* ---- Signals ----------------------------------------------------------------------------------------- */

/* Older versions of curl with OpenSSL write to sockets that are closed: the program must not die of it. */
struct quiet {
    sigset_t before;
    bool was_pending;
};

static void quiet_begin(struct quiet *quiet)
{
    sigset_t pipe, pending;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    quiet->was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &quiet->before);
}

static void quiet_end(const struct quiet *quiet)
{
    static const struct timespec at_once = {0};
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    if (!quiet->was_pending)
        sigtimedwait(&pipe, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
}

/* ---- What comes -------------------------------------------------------------------------------------- */

static void take_header(struct fm_cloud_call *call, char *to, size_t room, const char *value,
                        size_t length)
{
    if (to[0] != '\0' || length >= room) {
        call->header_is_wrong = true;
        return;
    }
    memcpy(to, value, length);
    to[length] = '\0';
}

static bool is_header(const char *line, size_t length, const char *name, const char **value,
                      size_t *value_length)
{
    const size_t name_length = strlen(name);
    if (length <= name_length || strncasecmp(line, name, name_length) != 0)
        return false;
    line += name_length;
    length -= name_length;
    while (length > 0 && (line[0] == ' ' || line[0] == '\t')) {
        line++;
        length--;
    }
    while (length > 0 && strchr(" \t\r\n", line[length - 1]) != NULL)
        length--;
    *value = line;
    *value_length = length;
    return true;
}

/* A status line begins an answer: what came before it was an interim one. */
static void forget_answer(struct fm_cloud_call *call)
{
    call->receipt[0] = '\0';
    call->answer_signature[0] = '\0';
    call->answer_bytes = 0;
    call->answer_is_long = false;
    call->header_is_wrong = false;
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    struct fm_cloud_call *call = context;
    const size_t length = size * count;
    const char *value;
    size_t value_length;
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0)
        forget_answer(call);
    else if (is_header(line, length, "Fastmap-Receipt:", &value, &value_length))
        take_header(call, call->receipt, sizeof call->receipt, value, value_length);
    else if (is_header(line, length, "Fastmap-Signature:", &value, &value_length))
        take_header(call, call->answer_signature, sizeof call->answer_signature, value,
                    value_length);
    return length;
}

static bool make_room(struct fm_cloud_call *call, size_t wanted)
{
    long status = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    const size_t most = call->is_span && status / 100 == 2 ? call->most_bytes : JSON_MOST;
    if (wanted > most) {
        call->answer_is_long = true;
        return false;
    }
    if (wanted <= call->answer_room)
        return true;
    size_t room = call->answer_room * 2 > 4096 ? call->answer_room * 2 : 4096;
    room = room < wanted ? wanted : room;
    room = room > most ? most : room;
    uint8_t *answer = realloc(call->answer, room);
    if (answer == NULL)
        return false;
    call->answer = answer;
    call->answer_room = room;
    return true;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *context)
{
    struct fm_cloud_call *call = context;
    const size_t length = size * count;
    if (!make_room(call, call->answer_bytes + length))
        return 0;
    memcpy(call->answer + call->answer_bytes, bytes, length);
    call->answer_bytes += length;
    return length;
}

/* What a service has time for: the patience, but neither too short for a busy one nor too long to notice. */
static double limit_s(const struct fm_cloud_line *line, double most)
{
    const double patience = line->service.patience;
    return patience < LIMIT_LEAST_S ? LIMIT_LEAST_S : patience < most ? patience : most;
}

/* Called by curl about once a second, and whenever something moves. Non-zero stops the attempt. */
static int watch(void *context, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                 curl_off_t up)
{
    struct fm_cloud_call *call = context;
    const double now = fm_cloud_now();
    (void)down_all;
    (void)up_all;
    if (down + up != call->bytes_moved) {
        call->bytes_moved = down + up;
        call->moved = now;
    }
    const bool computing = call->is_span && down == 0 && (size_t)up >= call->body_bytes;
    return !computing && now - call->moved > limit_s(call->line, STALL_S);
}

static int on_socket(void *context, curl_socket_t fd, curlsocktype purpose)
{
    const struct fm_cloud_line *line = context;
    const int idle = 10, between = 5, probes = 3;
    const unsigned unacknowledged = (unsigned)(limit_s(line, STALL_S) * 1e3);
    const int on = 1;
    (void)purpose;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between, sizeof between);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged, sizeof unacknowledged);
    return CURL_SOCKOPT_OK;
}

/* ---- An attempt -------------------------------------------------------------------------------------- */

static bool add_header(struct fm_cloud_call *call, const char *name, const char *value)
{
    char header[FM_SERVICE_HEX_BYTES + FM_SERVICE_ID_BYTES + 64];
    snprintf(header, sizeof header, "%s: %s", name, value);
    struct curl_slist *headers = curl_slist_append(call->headers, header);
    if (headers != NULL)
        call->headers = headers;
    return headers != NULL;
}

static bool sign(struct fm_cloud_call *call)
{
    const struct fm_cloud_line *line = call->line;
    uint8_t random[16];
    char nonce[2 * sizeof random + 1], time_text[24];
    char authorization[FM_SERVICE_HEX_BYTES + FM_SERVICE_ID_BYTES + 16];
    const struct fm_service_request request = {call->method, call->target, call->digest, time_text,
                                               nonce};
    if (RAND_bytes(random, sizeof random) != 1)
        return false;
    fm_service_hex(random, sizeof random, nonce);
    snprintf(time_text, sizeof time_text, "%lld", (long long)time(NULL) + (long long)line->skew_s);
    if (!fm_service_sign_request(line->key, &request, call->signature))
        return false;
    snprintf(authorization, sizeof authorization, "Fastmap %s %s", line->id, call->signature);
    return add_header(call, "Fastmap-Time", time_text) &&
           add_header(call, "Fastmap-Nonce", nonce) &&
           add_header(call, "Fastmap-Digest", call->digest) &&
           add_header(call, "Authorization", authorization);
}

static void set_body(struct fm_cloud_call *call)
{
    CURL *easy = call->easy;
    if (strcmp(call->method, "GET") == 0 || strcmp(call->method, "DELETE") == 0) {
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    } else {
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body != NULL ? call->body : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body_bytes);
    }
    curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
}

static void set_trust(struct fm_cloud_call *call)
{
    const struct fm_tier_cloud_service *service = &call->line->service;
    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (service->ca_file != NULL) {
        curl_easy_setopt(easy, CURLOPT_CAINFO, service->ca_file);
        curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    if (service->pin != NULL)
        curl_easy_setopt(easy, CURLOPT_PINNEDPUBLICKEY, service->pin);
}

static void set_limits(struct fm_cloud_call *call)
{
    const double connect = limit_s(call->line, CONNECT_S);
    CURL *easy = call->easy;
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect * 1e3) + 1);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(call->seconds * 1e3) + 1);
    curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, watch);
    curl_easy_setopt(easy, CURLOPT_XFERINFODATA, call);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
    curl_easy_setopt(easy, CURLOPT_SOCKOPTDATA, call->line);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, call->afresh ? 1L : 0L);
}

/* A part of a blob may be refused before it is sent; a span rarely is, and would wait a round trip. */
static bool add_headers(struct fm_cloud_call *call)
{
    return sign(call) &&
           (call->headers = curl_slist_append(call->headers, "Content-Type:")) != NULL &&
           (!call->is_span || curl_slist_append(call->headers, "Expect:") != NULL);
}

static void end_attempt(struct fm_cloud_call *call)
{
    if (call->easy != NULL) {
        curl_multi_remove_handle(call->line->multi, call->easy);
        curl_easy_cleanup(call->easy);
    }
    curl_slist_free_all(call->headers);
    call->easy = NULL;
    call->headers = NULL;
}

static bool attempt(struct fm_cloud_call *call)
{
    char url[sizeof call->line->url + FM_CLOUD_TARGET];
    forget_answer(call);
    json_decref(call->json);
    call->json = NULL;
    call->easy = curl_easy_init();
    if (call->easy == NULL || !add_headers(call))
        return false;
    snprintf(url, sizeof url, "%s%s", call->line->url, call->target);
    curl_easy_setopt(call->easy, CURLOPT_URL, url);
    curl_easy_setopt(call->easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(call->easy, CURLOPT_USERAGENT, "fastmap/" FM_CLOUD_VERSION);
    curl_easy_setopt(call->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(call->easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(call->easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    curl_easy_setopt(call->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(call->easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
    set_body(call);
    set_trust(call);
    set_limits(call);
    call->begun = call->moved = fm_cloud_now();
    call->bytes_moved = 0;
    call->afresh = false;
    return curl_multi_add_handle(call->line->multi, call->easy) == CURLM_OK;
}

/* ---- Its end ----------------------------------------------------------------------------------------- */

static void finish(struct fm_cloud_call *call, enum fm_cloud_end end)
{
    struct fm_cloud_call **link = &call->line->calls;
    end_attempt(call);
    call->end = end;
    while (*link != NULL && *link != call)
        link = &(*link)->next;
    if (*link == call)
        *link = call->next;
}

/* Another attempt after a while; or, where patience is over, none. */
static void go_on(struct fm_cloud_call *call, const struct fm_cloud_rule *rule,
                  enum fm_cloud_end otherwise)
{
    struct fm_cloud_line *line = call->line;
    const double now = fm_cloud_now();
    const bool waits = rule->next == FM_CLOUD_WAIT;
    double delay = fm_cloud_rules_delay(call->failed, fm_cloud_line_random(line));
    end_attempt(call);
    if (waits && delay > WAIT_S)
        delay = WAIT_S;
    if (call->trouble == 0)
        call->trouble = call->is_span ? now : call->begun;
    call->failed++;
    call->resigned = rule->next == FM_CLOUD_RESIGN ? call->resigned : 0;
    call->afresh = rule->next == FM_CLOUD_MOVE;
    call->not_before = now + (rule->next == FM_CLOUD_RESIGN ? 0 : delay);
    if (rule->next != FM_CLOUD_RESIGN && call->not_before - call->trouble > line->service.patience)
        finish(call, otherwise);
}

static void end_by_transfer(struct fm_cloud_call *call, CURLcode code)
{
    const struct fm_cloud_rule rule = fm_cloud_rules_transfer((int)code);
    fm_cloud_say(call->why, "the service at %s %s (%s); %s", call->line->url, rule.cause,
                 curl_easy_strerror(code), rule.remedy);
    if (rule.next == FM_CLOUD_FINISH)
        finish(call, FM_CLOUD_UNREACHABLE);
    else
        go_on(call, &rule, FM_CLOUD_UNREACHABLE);
}

static bool is_genuine(struct fm_cloud_call *call)
{
    uint8_t digest[FM_SERVICE_DIGEST_BYTES];
    char digest_text[FM_SERVICE_HEX_BYTES] = FM_SERVICE_NONE;
    char expected[FM_SERVICE_HEX_BYTES];
    if (!call->is_span) {
        if (EVP_Digest(call->answer, call->answer_bytes, digest, NULL, EVP_sha256(), NULL) != 1)
            return false;
        fm_service_hex(digest, sizeof digest, digest_text);
    }
    const struct fm_service_answer answer = {(unsigned)call->status, call->signature, digest_text,
                                             call->receipt[0] != '\0' ? call->receipt
                                                                      : FM_SERVICE_NONE};
    return !call->header_is_wrong && strlen(call->answer_signature) == FM_SERVICE_HEX_BYTES - 1 &&
           fm_service_sign_answer(call->line->key, &answer, expected) &&
           fm_service_same(expected, call->answer_signature);
}

static void end_well(struct fm_cloud_call *call)
{
    if (!is_genuine(call)) {
        fm_cloud_say(call->why,
                     "the answer of %s is not signed with our token's key; check cloud_url and "
                     "what is between here and there",
                     call->line->url);
        finish(call, FM_CLOUD_LIES);
        return;
    }
    if (!call->is_span)
        call->json = json_loadb((const char *)call->answer, call->answer_bytes, 0, NULL);
    call->why[0] = '\0';
    if (!call->is_span && !json_is_object(call->json)) {
        fm_cloud_say(call->why,
                     "the service at %s has answered %s with what is no JSON; update it or fastmap",
                     call->line->url, call->target);
        finish(call, FM_CLOUD_LIES);
        return;
    }
    finish(call, FM_CLOUD_GOOD);
}

/* The service's clock, to sign by: seconds since 1970. */
static void take_clock(struct fm_cloud_call *call)
{
    const json_t *now = json_object_get(call->json, "now");
    if (json_is_integer(now))
        call->line->skew_s = (int64_t)json_integer_value(now) - (int64_t)time(NULL);
}

static void take_refusal(struct fm_cloud_call *call)
{
    call->json = json_loadb((const char *)call->answer, call->answer_bytes, 0, NULL);
    const char *word = json_string_value(json_object_get(call->json, "error"));
    snprintf(call->word, sizeof call->word, "%s", word != NULL ? word : "");
    if (strcmp(call->word, "clock") == 0)
        take_clock(call);
}

static void say_refusal(struct fm_cloud_call *call, const struct fm_cloud_rule *rule)
{
    const char *sentence = json_string_value(json_object_get(call->json, "sentence"));
    if (rule->cause != NULL)
        fm_cloud_say(call->why, "the service at %s %s (%ld); %s", call->line->url, rule->cause,
                     call->status, rule->remedy);
    else
        fm_cloud_say(call->why, "the service at %s says: %.100s (%ld); %s", call->line->url,
                     sentence != NULL ? sentence : call->word, call->status, rule->remedy);
}

static void end_badly(struct fm_cloud_call *call)
{
    take_refusal(call);
    const struct fm_cloud_rule rule = fm_cloud_rules_answer(call->status, call->word);
    say_refusal(call, &rule);
    if (rule.next == FM_CLOUD_WAIT)
        call->trouble = strcmp(call->word, "busy") == 0 ? fm_cloud_now() : call->trouble;
    if (rule.next == FM_CLOUD_FINISH ||
        (rule.next == FM_CLOUD_RESIGN && ++call->resigned > RESIGNS))
        finish(call, FM_CLOUD_REFUSED);
    else
        go_on(call, &rule, FM_CLOUD_REFUSED);
}

static void end_transfer(struct fm_cloud_call *call, CURLcode code)
{
    double sent = 0, first = 0;
    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &call->status);
    curl_easy_getinfo(call->easy, CURLINFO_PRETRANSFER_TIME, &sent);
    curl_easy_getinfo(call->easy, CURLINFO_STARTTRANSFER_TIME, &first);
    call->round_trip = first > sent ? first - sent : 0;
    if (call->answer_is_long) {
        fm_cloud_say(call->why, "the answer of %s to %s is too long; update the service or fastmap",
                     call->line->url, call->target);
        finish(call, FM_CLOUD_LIES);
    } else if (code != CURLE_OK && !(code == CURLE_SEND_ERROR && call->status >= 400)) {
        end_by_transfer(call, code);
    } else if (call->status / 100 == 2) {
        end_well(call);
    } else {
        end_badly(call);
    }
}

/* ---- All calls --------------------------------------------------------------------------------------- */

bool fm_cloud_call_begin(struct fm_cloud_line *line, struct fm_cloud_call *call)
{
    uint8_t digest[FM_SERVICE_DIGEST_BYTES];
    call->line = line;
    call->end = FM_CLOUD_RUNS;
    if (EVP_Digest(call->body_bytes > 0 ? call->body : "", call->body_bytes, digest, NULL,
                   EVP_sha256(), NULL) != 1)
        return false;
    fm_service_hex(digest, sizeof digest, call->digest);
    call->next = line->calls;
    line->calls = call;
    return true;
}

/* Whether a call has ended at once. */
static bool begin_due(struct fm_cloud_line *line)
{
    const double now = fm_cloud_now();
    bool ended = false;
    struct fm_cloud_call *next;
    for (struct fm_cloud_call *call = line->calls; call != NULL; call = next) {
        next = call->next;
        if (call->easy == NULL && now >= call->not_before && !attempt(call)) {
            fm_cloud_say(call->why, "no memory for a call to the service; free some");
            finish(call, FM_CLOUD_UNREACHABLE);
            ended = true;
        }
    }
    return ended;
}

/* Whether a call has ended. */
static bool collect(struct fm_cloud_line *line)
{
    CURLMsg *message;
    int left;
    bool ended = false;
    while ((message = curl_multi_info_read(line->multi, &left)) != NULL) {
        struct fm_cloud_call *call = NULL;
        const CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call);
        if (message->msg == CURLMSG_DONE && call != NULL) {
            end_transfer(call, code);
            ended = ended || call->end != FM_CLOUD_RUNS;
        }
    }
    return ended;
}

/* Milliseconds to wait for, 50 at most so that giving up is seen. */
static int wait_ms(const struct fm_cloud_line *line, double until)
{
    const double now = fm_cloud_now();
    double wait = until - now;
    for (const struct fm_cloud_call *call = line->calls; call != NULL; call = call->next)
        if (call->easy == NULL && call->not_before - now < wait)
            wait = call->not_before - now;
    return wait <= 0 ? 0 : wait < 0.05 ? (int)(wait * 1e3) + 1 : 50;
}

static bool drive_once(struct fm_cloud_line *line, double until)
{
    int running;
    const bool ended = begin_due(line);
    curl_multi_perform(line->multi, &running);
    if (collect(line) || ended || atomic_exchange(&line->woken, false))
        return true;
    const int wait = wait_ms(line, until);
    if (wait > 0)
        curl_multi_poll(line->multi, NULL, 0, wait, NULL);
    return false;
}

void fm_cloud_call_drive(struct fm_cloud_line *line, double until)
{
    struct quiet quiet;
    quiet_begin(&quiet);
    while (!drive_once(line, until) && !fm_cloud_line_gives_up(line) && fm_cloud_now() < until)
        continue;
    quiet_end(&quiet);
}

void fm_cloud_call_run(struct fm_cloud_line *line, struct fm_cloud_call *call)
{
    if (!fm_cloud_call_begin(line, call)) {
        fm_cloud_say(call->why, "no memory for a call to the service; free some");
        call->end = FM_CLOUD_UNREACHABLE;
    }
    while (call->end == FM_CLOUD_RUNS && !fm_cloud_line_gives_up(line))
        fm_cloud_call_drive(line, fm_cloud_now() + 1);
    if (call->end == FM_CLOUD_RUNS) {
        fm_cloud_say(call->why, "the call to the service was given up");
        finish(call, FM_CLOUD_GIVEN_UP);
    }
}

void fm_cloud_call_drop(struct fm_cloud_call *call)
{
    struct quiet quiet;
    quiet_begin(&quiet);
    if (call->line != NULL)
        finish(call, call->end);
    quiet_end(&quiet);
    json_decref(call->json);
    free(call->answer);
    call->json = NULL;
    call->answer = NULL;
}
