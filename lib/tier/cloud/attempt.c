/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One attempt at a call: signed, trusted, limited. It is stopped where nothing moves any more: the system's
 * limit for unacknowledged data and its keep-alive probes are for a host that is gone, watch() for a service
 * that has stopped reading or writing. Between a span's last byte up and its answer's first byte down the
 * service computes: there only `seconds` count. So that a body which nobody reads does not look like one that
 * has arrived, the socket takes little that cannot leave yet.
 */
#include "tier/cloud/attempt.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "service/sign.h"
#include "tier/cloud/reply.h"
#include "tier/cloud/say.h"

#define STALL_S 20.0
#define CONNECT_S 10.0
#define LIMIT_LEAST_S 2.0
#define UNSENT_MOST (128 << 10) /* bytes; by default the system takes megabytes */

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
    const bool computing = call->is_span && down == 0 && (size_t)up >= fm_cloud_call_bytes(call);
    return !computing && now - call->moved > limit_s(call->line, STALL_S);
}

static int on_socket(void *context, curl_socket_t fd, curlsocktype purpose)
{
    const struct fm_cloud_line *line = context;
    const int idle = 10, between = 5, probes = 3;
    const unsigned unacknowledged = (unsigned)(limit_s(line, STALL_S) * 1e3);
    const int on = 1, unsent = UNSENT_MOST;
    (void)purpose;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &between, sizeof between);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacknowledged, sizeof unacknowledged);
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof unsent);
    return CURL_SOCKOPT_OK;
}

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
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS,
                         call->packed != NULL ? call->packed
                         : call->body != NULL ? call->body
                                              : "");
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)fm_cloud_call_bytes(call));
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

static bool add_number(struct fm_cloud_call *call, const char *name, double number)
{
    char text[24];
    snprintf(text, sizeof text, "%.0f", number);
    return add_header(call, name, text);
}

/* How the body is packed, how the outputs may be, and how fast those arrive. */
static bool add_codings(struct fm_cloud_call *call)
{
    const double rate = fm_service_gauge_rate(&call->line->arriving);
    return (call->packed == NULL ||
            (add_header(call, "Content-Encoding", FM_SERVICE_CODING) &&
             add_number(call, "Fastmap-Length", (double)call->body_bytes))) &&
           (!call->is_span || !call->line->packs ||
            (add_header(call, "Accept-Encoding", FM_SERVICE_CODING) &&
             (rate < 1 || add_number(call, "Fastmap-Rate", rate))));
}

/* A part of a blob may be refused before it is sent; a span rarely is, and would wait a round trip. */
static bool add_headers(struct fm_cloud_call *call)
{
    return sign(call) && add_codings(call) &&
           (call->headers = curl_slist_append(call->headers, "Content-Type:")) != NULL &&
           (!call->is_span || curl_slist_append(call->headers, "Expect:") != NULL);
}

void fm_cloud_attempt_end(struct fm_cloud_call *call)
{
    fm_cloud_reply_end(call);
    if (call->easy != NULL) {
        curl_multi_remove_handle(call->line->multi, call->easy);
        curl_easy_cleanup(call->easy);
    }
    curl_slist_free_all(call->headers);
    call->easy = NULL;
    call->headers = NULL;
}

bool fm_cloud_attempt_begin(struct fm_cloud_call *call)
{
    char url[sizeof call->line->url + FM_CLOUD_TARGET];
    fm_cloud_reply_forget(call);
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
    curl_easy_setopt(call->easy, CURLOPT_HEADERFUNCTION, fm_cloud_reply_header);
    curl_easy_setopt(call->easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(call->easy, CURLOPT_WRITEFUNCTION, fm_cloud_reply_body);
    curl_easy_setopt(call->easy, CURLOPT_WRITEDATA, call);
    set_body(call);
    set_trust(call);
    set_limits(call);
    call->begun = call->moved = fm_cloud_now();
    call->bytes_moved = 0;
    call->afresh = false;
    return curl_multi_add_handle(call->line->multi, call->easy) == CURLM_OK;
}
