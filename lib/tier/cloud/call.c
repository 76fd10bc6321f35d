/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Decides when a call has ended. An attempt (attempt.c) ends in a transfer's code or in an answer (reply.c);
 * rules.c says what follows from either; patience is counted from the first failure since the last sign of
 * life. An answer is believed only where it is genuine.
 */
#include "tier/cloud/call.h"

#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tier/cloud/attempt.h"
#include "tier/cloud/reply.h"
#include "tier/cloud/rules.h"
#include "tier/cloud/say.h"

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
/* ---- Its end ----------------------------------------------------------------------------------------- */

static void finish(struct fm_cloud_call *call, enum fm_cloud_end end)
{
    struct fm_cloud_call **link = &call->line->calls;
    fm_cloud_attempt_end(call);
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
    fm_cloud_attempt_end(call);
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
static void end_well(struct fm_cloud_call *call)
{
    if (!fm_cloud_reply_is_genuine(call)) {
        fm_cloud_say(call->why,
                     "the answer of %s is not signed with our token's key; check cloud_url and "
                     "what is between here and there",
                     call->line->url);
        finish(call, FM_CLOUD_LIES);
        return;
    }
    if (!call->is_span)
        call->json = json_loadb((const char *)call->answer, call->answer_bytes, 0, NULL);
    if (call->rate[0] != '\0')
        call->line->up_rate = strtod(call->rate, NULL);
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

/* Bodies go as they are from now on, this one first. */
static void stop_packing(struct fm_cloud_call *call)
{
    call->line->packs = false;
    free(call->packed);
    call->packed = NULL;
}

static void take_refusal(struct fm_cloud_call *call)
{
    call->json = json_loadb((const char *)call->answer, call->answer_bytes, 0, NULL);
    const char *word = json_string_value(json_object_get(call->json, "error"));
    snprintf(call->word, sizeof call->word, "%s", word != NULL ? word : "");
    if (strcmp(call->word, "clock") == 0)
        take_clock(call);
    if (strcmp(call->word, "encoding") == 0)
        stop_packing(call);
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
    call->connecting = sent;
    if (fm_cloud_reply_is_garbled(call, code == CURLE_OK)) {
        fm_cloud_say(call->why,
                     "the answer of %s to %s cannot be unpacked; update the service or fastmap",
                     call->line->url, call->target);
        finish(call, FM_CLOUD_LIES);
    } else if (call->answer_is_long) {
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

bool fm_cloud_call_begin(struct fm_cloud_line *line, struct fm_cloud_call *call,
                         struct fm_service_press *press)
{
    uint8_t digest[FM_SERVICE_DIGEST_BYTES];
    call->line = line;
    call->end = FM_CLOUD_RUNS;
    if (EVP_Digest(call->body_bytes > 0 ? call->body : "", call->body_bytes, digest, NULL,
                   EVP_sha256(), NULL) != 1)
        return false;
    fm_service_hex(digest, sizeof digest, call->digest);
    if (line->packs && press != NULL) {
        press->link = line->up_rate;
        call->packed =
            fm_service_press_body(press, call->body, call->body_bytes, &call->packed_bytes);
    }
    struct fm_cloud_call **end = &line->calls; /* they go out in the order in which they came */
    while (*end != NULL)
        end = &(*end)->next;
    call->next = NULL;
    *end = call;
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
        if (call->easy == NULL && now >= call->not_before && !fm_cloud_attempt_begin(call)) {
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
    if (!fm_cloud_call_begin(line, call, NULL)) {
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
    free(call->packed);
    call->json = NULL;
    call->answer = NULL;
    call->packed = NULL;
}
