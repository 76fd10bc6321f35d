/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * libmicrohttpd's callbacks. It parses HTTP and speaks TLS (GnuTLS); why it was chosen is in
 * docs/ARCHITECTURE.md.
 */
#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "log.h"
#include "metrics.h"
#include "request.h"
#include "service/coding.h"

/* What a connection's headers take at most. Half of it is the unit in which bodies are read: a TLS record
   and a
   bit. All of it is written to between requests, so it costs memory and time. */
enum { CONNECTION_BYTES = 40 << 10, BACKLOG = 1024, STACK_BYTES = 256 << 10 };

/* TLS 1.2 with forward secrecy, or 1.3; authenticated encryption only. The group that clients guess comes
   first: with any other a handshake takes one more round trip. */
static const char priorities[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-GCM:+AES-256-GCM:+CHACHA20-"
    "POLY1305:"
    "-GROUP-ALL:+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:"
    "-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA:-MAC-ALL:+AEAD:%SERVER_PRECEDENCE";

struct fmd_server {
    struct fmd_service *service;
    struct MHD_Daemon *daemon;
};

/* ---- Headers ---------------------------------------------------------------------------------------------
   */

static enum MHD_Result collect(void *argument, enum MHD_ValueKind kind, const char *name,
                               const char *value)
{
    struct fmd_fields *fields = argument;
    const struct {
        const char *name;
        const char **field;
    } wanted[] = {
        {"Authorization", &fields->authorization}, {"Fastmap-Time", &fields->time},
        {"Fastmap-Nonce", &fields->nonce},         {"Fastmap-Digest", &fields->digest},
        {"Content-Length", &fields->length},       {"Transfer-Encoding", &fields->encoding},
        {"Content-Encoding", &fields->coding},     {"Fastmap-Length", &fields->decoded},
        {"Accept-Encoding", &fields->accept},      {"Fastmap-Rate", &fields->rate}};
    (void)kind;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        if (strcasecmp(name, wanted[i].name) == 0) {
            fields->doubled |= *wanted[i].field != NULL;
            *wanted[i].field = value == NULL ? "" : value;
        }
    return MHD_YES;
}

static struct fmd_link *link_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

/* ---- Answers ---------------------------------------------------------------------------------------------
   */

static void drop_outcome(void *outcome)
{
    fmd_outcome_drop(outcome);
}

/* The body of an answer, and the response that owns it. */
static struct MHD_Response *response_of(struct fmd_request *request, const void **body,
                                        size_t *bytes)
{
    struct fmd_answer *answer = &request->answer;
    if (answer->packed != NULL) {
        *body = answer->packed;
        *bytes = answer->packed_bytes;
        answer->packed = NULL;
        fmd_metrics_add(FMD_METRIC_sent_bytes, (int64_t)*bytes);
        return MHD_create_response_from_buffer(*bytes, (void *)*body, MHD_RESPMEM_MUST_FREE);
    }
    if (answer->outcome != NULL) {
        atomic_fetch_add(&answer->outcome->users, 1);
        *body = answer->outcome->body;
        *bytes = answer->outcome->bytes;
        fmd_metrics_add(FMD_METRIC_sent_bytes, (int64_t)*bytes);
        return MHD_create_response_from_buffer_with_free_callback_cls(
            *bytes, answer->outcome->body, drop_outcome, answer->outcome);
    }
    char *text = answer->text != NULL   ? answer->text
                 : answer->json != NULL ? json_dumps(answer->json, JSON_COMPACT)
                                        : strdup("{\"error\":\"internal\"}");
    *bytes = text == NULL ? 0 : answer->text != NULL ? answer->text_bytes : strlen(text);
    *body = text;
    answer->text = NULL;
    return text == NULL ? NULL
                        : MHD_create_response_from_buffer(*bytes, text, MHD_RESPMEM_MUST_FREE);
}

static void add_number(struct MHD_Response *response, const char *name, int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)number);
    if (number > 0)
        MHD_add_response_header(response, name, text);
}

static void add_headers(struct MHD_Response *response, const struct fmd_request *request,
                        const void *body, size_t bytes)
{
    char signature[FM_SERVICE_HEX_BYTES];
    const struct fmd_answer *answer = &request->answer;
    MHD_add_response_header(response, "Content-Type",
                            answer->outcome != NULL ? "application/octet-stream"
                            : answer->json != NULL  ? "application/json"
                                                    : "text/plain; version=0.0.4");
    MHD_add_response_header(response, "Fastmap-Request", request->id);
    if (answer->outcome != NULL)
        MHD_add_response_header(response, "Fastmap-Receipt", answer->outcome->receipt);
    if (fmd_request_sign(request, body, bytes, signature))
        MHD_add_response_header(response, "Fastmap-Signature", signature);
    if (answer->packed_bytes > 0)
        MHD_add_response_header(response, "Content-Encoding", FM_SERVICE_CODING);
    add_number(response, "Fastmap-Rate", answer->rate);
    add_number(response, "Retry-After", answer->retry_s);
    if (answer->closes)
        MHD_add_response_header(response, "Connection", "close");
}

static void log_answer(const struct fmd_request *request)
{
    const struct fmd_answer *answer = &request->answer;
    const char *word = json_string_value(json_object_get(answer->json, "error"));
    const char *sentence = json_string_value(json_object_get(answer->json, "sentence"));
    char quoted[FMD_LOG_QUOTED], target[FMD_LOG_QUOTED];
    /* A function's own words may be a payload: they are told to the client, never logged. */
    const bool is_told = word != NULL && strcmp(word, "function") != 0;
    fmd_log(answer->status >= 500 ? FMD_LOG_ERROR : FMD_LOG_DEBUG, "request",
            "request=%s account=%s token=%s method=%s target=%s status=%u us=%lld%s%s%s%s",
            request->id, request->is_signed ? request->token.name : "-",
            request->is_signed ? request->token.id : "-", request->method,
            fmd_log_quote(request->target.text, target), answer->status,
            (long long)((fmd_now_ns() - request->begun_ns) / 1000), word != NULL ? " error=" : "",
            word != NULL ? word : "", is_told ? " why=" : "",
            is_told ? fmd_log_quote(sentence, quoted) : "");
}

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct fmd_request *request)
{
    const void *body;
    size_t bytes;
    fmd_metrics_add(FMD_METRIC_refused, request->answer.status >= 400);
    if (request->answer.json != NULL && request->answer.status >= 400)
        fmd_answer_add(&request->answer, "request", json_string(request->id));
    log_answer(request);
    fmd_watch_enter(request->service->watch, request->link, FMD_PHASE_ANSWER);
    struct MHD_Response *response = response_of(request, &body, &bytes);
    if (response == NULL)
        return MHD_NO;
    add_headers(response, request, body, bytes);
    const enum MHD_Result queued = MHD_queue_response(connection, request->answer.status, response);
    MHD_destroy_response(response);
    return queued;
}

/* ---- Callbacks -------------------------------------------------------------------------------------------
   */

/* The first line of a request, as it was sent. */
static void *on_line(void *argument, const char *target, struct MHD_Connection *connection)
{
    struct fmd_server *server = argument;
    struct fmd_link *link = link_of(connection);
    if (link == NULL)
        return NULL;
    fmd_watch_enter(server->service->watch, link, FMD_PHASE_HEADERS);
    return fmd_request_new(server->service, link, target);
}

static enum MHD_Result on_headers(struct MHD_Connection *connection, struct fmd_request *request,
                                  const char *method)
{
    struct fmd_fields fields = {0};
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info == NULL)
        return MHD_NO;
    request->address = info->client_addr;
    MHD_get_connection_values(connection, MHD_HEADER_KIND, collect, &fields);
    fmd_watch_enter(request->service->watch, request->link, FMD_PHASE_WORK);
    fmd_request_begin(request, method, &fields);
    if (request->answer.status != 0 &&
        (!fmd_request_drains(request) || fields.encoding != NULL || fields.doubled)) {
        request->answer.closes = true;
        return send_answer(connection, request);
    }
    fmd_watch_enter(request->service->watch, request->link, FMD_PHASE_BODY);
    return MHD_YES;
}

static enum MHD_Result on_request(void *argument, struct MHD_Connection *connection,
                                  const char *url, const char *method, const char *version,
                                  const char *bytes, size_t *count, void **context)
{
    struct fmd_request *request = *context;
    (void)argument, (void)url, (void)version;
    if (request == NULL)
        return MHD_NO;
    if (request->method[0] == '\0')
        return on_headers(connection, request, method);
    if (*count > 0) {
        fmd_request_receive(request, bytes, *count);
        *count = 0;
        return MHD_YES;
    }
    fmd_watch_enter(request->service->watch, request->link, FMD_PHASE_WORK);
    fmd_request_finish(request);
    return send_answer(connection, request);
}

static void on_end(void *argument, struct MHD_Connection *connection, void **context,
                   enum MHD_RequestTerminationCode how)
{
    struct fmd_server *server = argument;
    struct fmd_request *request = *context;
    (void)connection, (void)how;
    if (request == NULL)
        return;
    fmd_watch_enter(server->service->watch, request->link, FMD_PHASE_KEEP);
    fmd_request_free(request);
    *context = NULL;
}

static void on_connection(void *argument, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode what)
{
    struct fmd_server *server = argument;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    const int on = 1;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        setsockopt(info->connect_fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        *context = fmd_watch_add(server->service->watch, info->connect_fd);
        fmd_metrics_add(FMD_METRIC_connections, 1);
    } else if (*context != NULL) {
        fmd_watch_remove(server->service->watch, *context);
        *context = NULL;
        fmd_metrics_add(FMD_METRIC_connections, -1);
    }
}

static void on_log(void *argument, const char *fmt, va_list args)
{
    char text[300], quoted[FMD_LOG_QUOTED];
    (void)argument;
    vsnprintf(text, sizeof text, fmt, args);
    fmd_log(FMD_LOG_DEBUG, "http", "why=%s", fmd_log_quote(text, quoted));
}

/* ---- Listening -------------------------------------------------------------------------------------------
   */

static int bind_to(const struct fmd_config *config, int *fd)
{
    char port[8];
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    const int on = 1, off = 0;
    snprintf(port, sizeof port, "%d", (int)config->port);
    const int wrong = getaddrinfo(config->listen, port, &hints, &found);
    if (wrong != 0)
        return fm_base_fail(FASTMAP_ERR_CONFIG, "listen is %s, which is no numeric address: %s",
                            config->listen, gai_strerror(wrong));
    *fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd >= 0) {
        setsockopt(*fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (found->ai_family == AF_INET6)
            setsockopt(*fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    }
    const bool bound =
        *fd >= 0 && bind(*fd, found->ai_addr, found->ai_addrlen) == 0 && listen(*fd, BACKLOG) == 0;
    const int reason = errno;
    freeaddrinfo(found);
    if (bound)
        return 0;
    if (*fd >= 0)
        close(*fd);
    return fm_base_fail(FASTMAP_ERR_CONFIG,
                        "cannot listen on %s port %d: %s; choose another by listen and port",
                        config->listen, (int)config->port, strerror(reason));
}

/* An address that means all of them is reached by the loopback one. */
static void url_of(int fd, char url[FMD_SERVER_URL])
{
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    char host[INET6_ADDRSTRLEN] = "", port[8] = "";
    getsockname(fd, (struct sockaddr *)&address, &bytes);
    getnameinfo((struct sockaddr *)&address, bytes, host, sizeof host, port, sizeof port,
                NI_NUMERICHOST | NI_NUMERICSERV);
    const char *shown =
        strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 ? "127.0.0.1" : host;
    snprintf(url, FMD_SERVER_URL, strchr(shown, ':') != NULL ? "https://[%s]:%s" : "https://%s:%s",
             shown, port);
}

static struct MHD_Daemon *start_daemon(struct fmd_server *server,
                                       const struct fmd_certificate *certificate, int fd)
{
    const struct fmd_config *config = server->service->config;
    const unsigned flags = MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD |
                           MHD_USE_POLL | MHD_USE_TLS | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_log, server,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_HTTPS_MEM_CERT, certificate->chain,
        MHD_OPTION_HTTPS_MEM_KEY, certificate->key, MHD_OPTION_HTTPS_PRIORITIES, priorities,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)config->connections,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)config->connections_address,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)STACK_BYTES, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_URI_LOG_CALLBACK, on_line,
        server, MHD_OPTION_NOTIFY_COMPLETED, on_end, server, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, server, MHD_OPTION_END);
}

int fmd_server_start(struct fmd_service *service, const struct fmd_certificate *certificate,
                     struct fmd_server **out, char url[FMD_SERVER_URL])
{
    int fd = -1;
    const int rc = bind_to(service->config, &fd);
    if (rc != 0)
        return rc;
    url_of(fd, url);
    struct fmd_server *server = calloc(1, sizeof *server);
    if (server != NULL) {
        server->service = service;
        server->daemon = start_daemon(server, certificate, fd);
    }
    if (server == NULL || server->daemon == NULL) {
        free(server);
        close(fd);
        return fm_base_fail(
            FASTMAP_ERR_STATE,
            "libmicrohttpd does not start; is the certificate one that GnuTLS takes?");
    }
    *out = server;
    return 0;
}

void fmd_server_quiet(struct fmd_server *server)
{
    const int fd = MHD_quiesce_daemon(server->daemon);
    if (fd >= 0)
        close(fd);
}

void fmd_server_stop(struct fmd_server *server)
{
    MHD_stop_daemon(server->daemon);
    free(server);
}
