/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread accepts, a thread serves each connection, one mutex guards all state. Only what a client can tell
 * apart is done as fastmapd does it.
 */
#include "cloud_service.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <jansson.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "service/coding.h"
#include "service/receipt.h"
#include "service/sign.h"
#include "service/token.h"

#define PRICE INT64_C(50000000)
#define BALANCE INT64_C(5000000000)
#define MAP_ID "b6c1f0e2a9d34c58"
#define HEADERS_MOST 8192
#define CONNECTIONS_MOST 256
#define BLOBS_MOST 256
#define SPANS_MOST 512
#define NONCES_MOST 4096

struct blob {
    char digest[FM_SERVICE_HEX_BYTES];
    uint8_t *bytes;
    size_t size, have;
};

struct span {
    uint64_t id;
    char digest[FM_SERVICE_HEX_BYTES];
    uint8_t *outputs;
    size_t bytes;
    char receipt[FM_SERVICE_RECEIPT_BYTES];
};

struct cloud_service {
    char url[64], token[FM_SERVICE_TOKEN_BYTES], id[FM_SERVICE_ID_BYTES], folder[64], ca_file[96],
        pin[80];
    uint8_t key[FM_SERVICE_DIGEST_BYTES];
    SSL_CTX *tls;
    int listener;
    pthread_t acceptor;
    pthread_mutex_t mutex;
    pthread_cond_t idle;
    bool stopping;
    int connections[CONNECTIONS_MOST]; /* descriptors, -1: none */
    unsigned open;

    cloud_compute *compute;
    struct cloud_fault fault;
    struct cloud_counts counts;
    int ahead;
    uint64_t element_ns;
    uint32_t told_vcpus;
    char end_status[8];
    uint64_t end_computed;
    int end_signal;
    unsigned rate; /* above 0: packs */
    bool trails;

    struct blob blobs[BLOBS_MOST];
    size_t blob_count;
    char program[FM_SERVICE_HEX_BYTES];
    bool map_open;
    char opening[16384];
    size_t in_size, out_size;
    int64_t hold, spent;
    uint64_t cpu_ns;
    struct span spans[SPANS_MOST];
    size_t span_count;
    char nonces[NONCES_MOST][40];
    size_t nonce_count;
};

struct request {
    SSL *ssl;
    struct cloud_fault fault;
    char method[8], target[512], time[24], nonce[72], digest[80], authorization[128];
    char signature[FM_SERVICE_HEX_BYTES];
    size_t length, carried; /* of the body, and as it came */
    char coding[16], accept[32];
    uint8_t *body;
    bool expects;
};

struct answer {
    unsigned status;
    const char *receipt; /* NULL: none */
    bool is_outputs;
    const void *body;
    size_t bytes;
    json_t *json;
};

/* ---- Certificate and token --------------------------------------------------------------------------- */

static void set_pin(struct cloud_service *service, X509 *x509)
{
    unsigned char *der = NULL, digest[SHA256_DIGEST_LENGTH];
    const int length = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(x509), &der);
    SHA256(der, (size_t)length, digest);
    OPENSSL_free(der);
    strcpy(service->pin, "sha256//");
    EVP_EncodeBlock((unsigned char *)service->pin + 8, digest, sizeof digest);
}

static void make_certificate(struct cloud_service *service)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x509 = X509_new();
    X509V3_CTX context;
    X509_set_version(x509, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x509), (long)(time(NULL) ^ getpid()));
    X509_gmtime_adj(X509_getm_notBefore(x509), -60);
    X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
    X509_set_pubkey(x509, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                               (const unsigned char *)"fastmap test", -1, -1, 0);
    X509_set_issuer_name(x509, X509_get_subject_name(x509));
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x509, x509, NULL, NULL, 0);
    X509_EXTENSION *names =
        X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, "IP:127.0.0.1");
    X509_add_ext(x509, names, -1);
    X509_EXTENSION_free(names);
    X509_sign(x509, key, EVP_sha256());
    set_pin(service, x509);
    FILE *file = fopen(service->ca_file, "w");
    PEM_write_X509(file, x509);
    fclose(file);
    service->tls = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(service->tls, x509);
    SSL_CTX_use_PrivateKey(service->tls, key);
    X509_free(x509);
    EVP_PKEY_free(key);
}

/* ---- Bytes ------------------------------------------------------------------------------------------- */

static void hex_of(const void *bytes, size_t size, char text[FM_SERVICE_HEX_BYTES])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    SHA256(size > 0 ? bytes : (const void *)"", size, digest);
    fm_service_hex(digest, sizeof digest, text);
}

static bool write_all(SSL *ssl, const void *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        const size_t step = size - done < 65536 ? size - done : 65536;
        const int written = SSL_write(ssl, (const char *)bytes + done, (int)step);
        if (written <= 0)
            return false;
        done += (size_t)written;
    }
    return true;
}

static bool read_all(SSL *ssl, void *bytes, size_t size)
{
    size_t done = 0;
    while (done < size) {
        const size_t step = size - done < 65536 ? size - done : 65536;
        const int got = SSL_read(ssl, (char *)bytes + done, (int)step);
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

/* Until the other side or stop() ends it. */
static void stall(SSL *ssl)
{
    struct pollfd connection = {.fd = SSL_get_fd(ssl), .events = POLLRDHUP};
    poll(&connection, 1, -1);
}

/* ---- Requests ---------------------------------------------------------------------------------------- */

static void take_line(struct request *request, char *line)
{
    char *colon = strchr(line, ':');
    if (colon == NULL)
        return;
    *colon = '\0';
    const char *value = colon + 1 + strspn(colon + 1, " ");
    const struct {
        const char *name;
        char *to;
        size_t room;
    } rows[] = {{"Fastmap-Time", request->time, sizeof request->time},
                {"Fastmap-Nonce", request->nonce, sizeof request->nonce},
                {"Fastmap-Digest", request->digest, sizeof request->digest},
                {"Authorization", request->authorization, sizeof request->authorization},
                {"Content-Encoding", request->coding, sizeof request->coding},
                {"Accept-Encoding", request->accept, sizeof request->accept}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcasecmp(rows[i].name, line) == 0)
            snprintf(rows[i].to, rows[i].room, "%s", value);
    if (strcasecmp("Content-Length", line) == 0)
        request->carried = strtoul(value, NULL, 10);
    if (strcasecmp("Fastmap-Length", line) == 0)
        request->length = strtoul(value, NULL, 10);
    if (strcasecmp("Expect", line) == 0)
        request->expects = true;
}

static bool read_headers(struct request *request)
{
    char text[HEADERS_MOST];
    size_t length = 0;
    while (length < 4 || memcmp(text + length - 4, "\r\n\r\n", 4) != 0) {
        if (length + 1 >= sizeof text || SSL_read(request->ssl, text + length, 1) != 1)
            return false;
        length++;
    }
    text[length] = '\0';
    if (sscanf(text, "%7s %511s", request->method, request->target) != 2)
        return false;
    char *rest = text;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        line[strcspn(line, "\r")] = '\0';
        take_line(request, line);
    }
    return true;
}

/* Which fault this request gets. */
static void choose_fault(struct cloud_service *service, struct request *request)
{
    struct cloud_fault *fault = &service->fault;
    if (fault->kind == CLOUD_NO_FAULT || fault->kind == CLOUD_CUT_HELLO ||
        (fault->target != NULL &&
         strncmp(request->target, fault->target, strlen(fault->target)) != 0))
        return;
    if (fault->skip > 0) {
        fault->skip--;
        return;
    }
    request->fault = *fault;
    if (fault->times > 0 && --fault->times == 0)
        fault->kind = CLOUD_NO_FAULT;
}

/* curl repeats by itself, as it was, what it has sent on a connection that was dead already. */
static bool is_replayed(struct cloud_service *service, const struct request *request)
{
    for (size_t i = 0; i < service->nonce_count; i++)
        if (strcmp(service->nonces[i], request->nonce) == 0)
            return true;
    if (service->nonce_count < NONCES_MOST)
        snprintf(service->nonces[service->nonce_count++], sizeof service->nonces[0], "%.39s",
                 request->nonce);
    return false;
}

static bool is_signed(struct cloud_service *service, struct request *request)
{
    char expected[FM_SERVICE_HEX_BYTES], authorization[128];
    const struct fm_service_request text = {request->method, request->target, request->digest,
                                            request->time, request->nonce};
    if (!fm_service_sign_request(service->key, &text, expected))
        return false;
    snprintf(authorization, sizeof authorization, "Fastmap %s %s", service->id, expected);
    memcpy(request->signature, expected, sizeof expected);
    return strcmp(authorization, request->authorization) == 0;
}

/* ---- The calls --------------------------------------------------------------------------------------- */

static struct answer refuse(unsigned status, const char *word)
{
    return (struct answer){.status = status,
                           .json = json_pack("{ss, ss, ss}", "error", word, "sentence",
                                             "as the test wants it", "request", "1")};
}

static struct answer on_account(struct cloud_service *service)
{
    json_t *encodings = service->rate > 0 ? json_pack("[ss]", "later", FM_SERVICE_CODING) : NULL;
    service->counts.accounts++;
    return (struct answer){
        .status = 200,
        .json = json_pack("{so*, so*, ss, sI, si, sI, si, s{si, si, si, si, si, si, si, si}}",
                          "encodings", encodings, "trail", service->trails ? json_true() : NULL,
                          "account", "physics", "balance", (json_int_t)(BALANCE - service->spent),
                          "held", 0, "price", (json_int_t)PRICE, "vcpus", 4, "limits", "span_bytes",
                          1 << 24, "spans_in_flight", 8, "blob_bytes", 1 << 30, "part_bytes",
                          1 << 20, "hold_least", 1, "skew_s", 60, "idle_s", 120, "span_s", 20)};
}

static struct blob *find_blob(struct cloud_service *service, const char *digest)
{
    for (size_t i = 0; i < service->blob_count; i++)
        if (strncmp(service->blobs[i].digest, digest, 64) == 0)
            return &service->blobs[i];
    return NULL;
}

static json_t *blob_json(const struct blob *blob)
{
    return json_pack("{ss, sI, sI, sb}", "digest", blob->digest, "size", (json_int_t)blob->size,
                     "have", (json_int_t)blob->have, "complete", blob->have == blob->size);
}

static struct answer take_part(struct cloud_service *service, struct request *request)
{
    const char *digest = request->target + strlen("/v1/blobs/");
    size_t size = 0, offset = 0;
    char found[FM_SERVICE_HEX_BYTES];
    struct blob *blob = find_blob(service, digest);
    if (sscanf(digest + 64, "?size=%zu&offset=%zu", &size, &offset) != 2 || size > (1u << 30))
        return refuse(400, "request");
    if (blob == NULL && service->blob_count < BLOBS_MOST) {
        blob = &service->blobs[service->blob_count++];
        *blob = (struct blob){.bytes = malloc(size + 1), .size = size};
        snprintf(blob->digest, sizeof blob->digest, "%.64s", digest);
    }
    if (offset != blob->have || request->length > blob->size - offset) {
        struct answer answer = refuse(409, "offset");
        json_object_set_new(answer.json, "have", json_integer((json_int_t)blob->have));
        return answer;
    }
    memcpy(blob->bytes + offset, request->body, request->length);
    blob->have += request->length;
    service->counts.parts++;
    service->counts.blob_bytes += request->length;
    service->counts.blob_carried += request->carried;
    hex_of(blob->bytes, blob->have, found);
    if (blob->have == blob->size && strcmp(found, blob->digest) != 0) {
        blob->have = 0;
        return refuse(422, "digest");
    }
    return (struct answer){.status = 200, .json = blob_json(blob)};
}

static struct answer on_blob(struct cloud_service *service, struct request *request)
{
    if (strcmp(request->method, "PUT") == 0)
        return take_part(service, request);
    const struct blob *blob = find_blob(service, request->target + strlen("/v1/blobs/"));
    return blob != NULL ? (struct answer){.status = 200, .json = blob_json(blob)}
                        : refuse(404, "blob");
}

/* The lines of files begin with a role, the digest and the size. */
static struct answer on_program(struct cloud_service *service, struct request *request)
{
    json_t *missing = json_array();
    char *text = strndup((const char *)request->body, request->length);
    char *rest = text;
    service->counts.manifests++;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        char role[16], digest[FM_SERVICE_HEX_BYTES];
        long long size;
        if (sscanf(line, "%15s %64[0-9a-f] %lld /", role, digest, &size) != 3 ||
            strlen(digest) != 64)
            continue;
        const struct blob *blob = find_blob(service, digest);
        if (blob == NULL || blob->have < blob->size)
            json_array_append_new(missing, json_pack("{ss, sI, sI}", "digest", digest, "size",
                                                     (json_int_t)size, "have",
                                                     (json_int_t)(blob != NULL ? blob->have : 0)));
    }
    free(text);
    hex_of(request->body, request->length, service->program);
    return (struct answer){
        .status = 200,
        .json = json_pack("{ss, so}", "program", service->program, "missing", missing)};
}

static void forget_spans(struct cloud_service *service)
{
    for (size_t i = 0; i < service->span_count; i++)
        free(service->spans[i].outputs);
    service->span_count = 0;
}

static struct answer on_open(struct cloud_service *service, struct request *request)
{
    json_t *json = json_loadb((const char *)request->body, request->length, 0, NULL);
    const char *program = json_string_value(json_object_get(json, "program"));
    const json_t *shared = json_object_get(json, "shared");
    const char *block = json_string_value(json_object_get(shared, "digest"));
    struct answer answer;
    service->counts.opens++;
    snprintf(service->opening, sizeof service->opening, "%.*s", (int)request->length,
             (const char *)request->body);
    if (program == NULL || strcmp(program, service->program) != 0) {
        answer = refuse(404, "program");
    } else if (block != NULL && find_blob(service, block) == NULL) {
        answer = refuse(404, "blob");
    } else {
        const int64_t vcpus = json_integer_value(json_object_get(json, "vcpus"));
        forget_spans(service);
        service->map_open = true;
        service->in_size = (size_t)json_integer_value(json_object_get(json, "in_size"));
        service->out_size = (size_t)json_integer_value(json_object_get(json, "out_size"));
        service->hold = json_integer_value(json_object_get(json, "budget"));
        service->spent = 0;
        service->cpu_ns = 0;
        answer =
            (struct answer){.status = 201,
                            .json = json_pack("{ss, sI, sI, sI, sI, si, si, si}", "map", MAP_ID,
                                              "vcpus", (json_int_t)(vcpus < 4 ? vcpus : 4), "hold",
                                              (json_int_t)service->hold, "price", (json_int_t)PRICE,
                                              "cpu_ns", (json_int_t)1, "span_bytes", 1 << 24,
                                              "spans_in_flight", 8, "idle_s", 120)};
    }
    json_decref(json);
    return answer;
}

static struct answer on_close(struct cloud_service *service)
{
    service->counts.closes++;
    service->map_open = false;
    return (struct answer){
        .status = 200,
        .json = json_pack("{ss, ss, sI, sI, si, sI, sI}", "map", MAP_ID, "state", "closed", "spans",
                          (json_int_t)service->span_count, "charged", (json_int_t)service->spent,
                          "hold", 0, "released", (json_int_t)(service->hold - service->spent),
                          "balance", (json_int_t)(BALANCE - service->spent))};
}

/* ---- Spans ------------------------------------------------------------------------------------------- */

static void compute(struct cloud_service *service, struct span *span, const struct request *request,
                    uint64_t first, uint64_t count)
{
    struct fm_service_receipt receipt = {.map = MAP_ID, .span = span->id, .computed = count};
    if (service->end_status[0] != '\0') {
        for (receipt.status = FM_SERVICE_DONE;
             strcmp(fm_service_status_word(receipt.status), service->end_status) != 0;)
            receipt.status++;
        receipt.computed = service->end_computed;
        service->end_status[0] = '\0';
    }
    span->bytes = receipt.computed * service->out_size;
    span->outputs = calloc(1, span->bytes + 1);
    for (uint64_t i = 0; i < receipt.computed; i++) {
        const int code = service->compute(request->body + i * service->in_size,
                                          span->outputs + i * service->out_size, first + i);
        if (code != 0 && receipt.failed++ < FM_SERVICE_FAILURES)
            receipt.failure[receipt.failures++] = (struct fm_service_failure){first + i, 1, code};
    }
    if (receipt.status == FM_SERVICE_DIED && receipt.failures < FM_SERVICE_FAILURES)
        receipt.failure[receipt.failures++] =
            (struct fm_service_failure){first + receipt.computed, 1, -service->end_signal};
    receipt.cpu_ns = receipt.computed * service->element_ns;
    if (receipt.status != FM_SERVICE_LOST)
        service->cpu_ns += receipt.cpu_ns;
    const int64_t before = service->spent;
    service->spent = (int64_t)((service->cpu_ns * (uint64_t)PRICE + 3599999999999) / 3600000000000);
    receipt.charge = service->spent - before;
    receipt.spent = service->spent;
    receipt.left = service->hold - service->spent;
    receipt.vcpus = service->told_vcpus;
    fm_service_receipt_format(&receipt, span->receipt);
    service->counts.computed++;
    service->counts.spent = service->spent;
}

static struct answer on_span(struct cloud_service *service, struct request *request)
{
    uint64_t id, first, count;
    struct span *span = NULL;
    service->counts.spans++;
    if (sscanf(request->target,
               "/v1/maps/" MAP_ID "/spans/%" SCNu64 "?first=%" SCNu64 "&count=%" SCNu64, &id,
               &first, &count) != 3)
        return refuse(404, "map");
    if (!service->map_open)
        return refuse(410, "closed");
    for (size_t i = 0; i < service->span_count; i++)
        if (service->spans[i].id == id)
            span = &service->spans[i];
    service->counts.packed_in += request->coding[0] != '\0';
    if (span != NULL && strcmp(span->digest, request->digest) != 0)
        return refuse(409, "conflict");
    if (request->length != count * service->in_size)
        return refuse(413, "size");
    if (span == NULL && service->span_count < SPANS_MOST) {
        span = &service->spans[service->span_count++];
        *span = (struct span){.id = id};
        snprintf(span->digest, sizeof span->digest, "%.64s", request->digest);
        compute(service, span, request, first, count);
    }
    return (struct answer){.status = 200,
                           .receipt = span->receipt,
                           .is_outputs = true,
                           .body = span->outputs,
                           .bytes = span->bytes};
}

static struct answer on_request(struct cloud_service *service, struct request *request)
{
    char digest[FM_SERVICE_HEX_BYTES];
    const long now = (long)time(NULL) + service->ahead;
    service->counts.requests++;
    hex_of(request->body, request->length, digest);
    if (!is_signed(service, request) || strcmp(digest, request->digest) != 0) {
        service->counts.bad_signatures++;
        return refuse(401, "signature");
    }
    if (is_replayed(service, request))
        return refuse(401, "replay");
    if (labs(strtol(request->time, NULL, 10) - now) > 60) {
        struct answer answer = refuse(401, "clock");
        json_object_set_new(answer.json, "now", json_integer(now));
        return answer;
    }
    if (strcmp(request->target, "/v1/account") == 0)
        return on_account(service);
    if (strncmp(request->target, "/v1/blobs/", 10) == 0 && strlen(request->target) >= 74)
        return on_blob(service, request);
    if (strcmp(request->target, "/v1/programs") == 0)
        return on_program(service, request);
    if (strcmp(request->target, "/v1/maps") == 0)
        return on_open(service, request);
    if (strcmp(request->method, "DELETE") == 0)
        return on_close(service);
    return on_span(service, request);
}

/* ---- Answers, right and wrong ------------------------------------------------------------------------ */

struct wire {
    unsigned status;
    char receipt[FM_SERVICE_RECEIPT_BYTES]; /* "": none */
    char signature[FM_SERVICE_HEX_BYTES];
    uint8_t *body; /* of 4096 bytes more than the answer has */
    size_t bytes;
    bool is_packed;
    unsigned rate;
};

/* name=... in the receipt becomes another value. */
static void spoil_receipt(struct wire *wire, const char *word, const char *value)
{
    char before[FM_SERVICE_RECEIPT_BYTES];
    char name[32];
    snprintf(name, sizeof name, "%s=", word);
    memcpy(before, wire->receipt, sizeof before);
    char *at = strstr(before, name);
    if (at == NULL)
        return;
    char *end = at + strcspn(at, " ");
    snprintf(wire->receipt, sizeof wire->receipt, "%.*s%s=%s%s", (int)(at - before), before, word,
             value, end);
}

static void spoil_contents(const struct cloud_service *service, const struct request *request,
                           struct wire *wire)
{
    const struct cloud_fault *fault = &request->fault;
    switch (fault->kind) {
    case CLOUD_SHORT_OUTPUTS:
        wire->bytes -= wire->bytes < service->out_size ? 0 : service->out_size;
        break;
    case CLOUD_LONG_OUTPUTS: wire->bytes += service->out_size; break;
    case CLOUD_NO_JSON:
        wire->bytes = (size_t)snprintf((char *)wire->body, 4096, "{\"balance\": ");
        break;
    case CLOUD_RECEIPT: spoil_receipt(wire, fault->word, fault->value); break;
    case CLOUD_HTML:
        wire->status = fault->status;
        wire->bytes =
            (size_t)snprintf((char *)wire->body, 4096, "<html><h1>Bad Gateway</h1></html>");
        break;
    case CLOUD_REDIRECT: wire->status = 307; break;
    default: break;
    }
}

static void sign_wire(const struct cloud_service *service, const struct request *request,
                      const struct answer *answer, struct wire *wire)
{
    uint8_t key[FM_SERVICE_DIGEST_BYTES];
    char digest[FM_SERVICE_HEX_BYTES];
    char other[FM_SERVICE_HEX_BYTES];
    const enum cloud_fault_kind kind = request->fault.kind;
    memcpy(key, service->key, sizeof key);
    key[0] ^= kind == CLOUD_WRONG_SIGNATURE;
    memcpy(other, request->signature, sizeof other);
    other[0] = kind == CLOUD_OTHER_REQUEST ? (other[0] == '0' ? '1' : '0') : other[0];
    hex_of(wire->body, wire->bytes, digest);
    const struct fm_service_answer text = {wire->status, other, answer->is_outputs ? "-" : digest,
                                           wire->receipt[0] != '\0' ? wire->receipt : "-"};
    fm_service_sign_answer(key, &text, wire->signature);
    if (kind == CLOUD_WRONG_BODY && wire->bytes > 0)
        wire->body[wire->bytes / 2] ^= 1;
}

/* The outputs, where the client takes that and they become fewer. */
static void pack_wire(struct cloud_service *service, const struct request *request,
                      struct wire *wire)
{
    const enum cloud_fault_kind kind = request->fault.kind;
    wire->rate = service->rate;
    if (service->rate == 0 || strcmp(request->accept, FM_SERVICE_CODING) != 0)
        return;
    uint8_t *body = calloc(1, wire->bytes + 4096);
    const size_t packed = fm_service_coding_pack(wire->body, wire->bytes, body, wire->bytes);
    wire->is_packed = packed > 0 || kind == CLOUD_OTHER_FRAME;
    if (packed > 0 && kind != CLOUD_OTHER_FRAME) {
        memcpy(wire->body, body, packed);
        wire->bytes = packed - (kind == CLOUD_CUT_FRAME ? packed / 2 : 0);
    }
    free(body);
    pthread_mutex_lock(&service->mutex);
    service->counts.packed_out += wire->is_packed;
    pthread_mutex_unlock(&service->mutex);
}

static bool send_wire(struct request *request, const struct wire *wire)
{
    char headers[2048 + FM_SERVICE_RECEIPT_BYTES];
    const enum cloud_fault_kind kind = request->fault.kind;
    int length = snprintf(headers, sizeof headers,
                          "HTTP/1.1 %u Answer\r\nContent-Length: %zu\r\nFastmap-Request: 1\r\n",
                          wire->status, wire->bytes);
    if (kind == CLOUD_REDIRECT)
        length += snprintf(headers + length, sizeof headers - (size_t)length,
                           "Location: https://127.0.0.1:1/v1/account\r\n");
    if (wire->is_packed)
        length += snprintf(headers + length, sizeof headers - (size_t)length,
                           "Content-Encoding: zstd\r\n");
    if (wire->rate > 0)
        length += snprintf(headers + length, sizeof headers - (size_t)length,
                           "Fastmap-Rate: %u\r\n", wire->rate);
    if (wire->receipt[0] != '\0')
        length += snprintf(headers + length, sizeof headers - (size_t)length,
                           "Fastmap-Receipt: %s\r\n", wire->receipt);
    if (kind != CLOUD_NO_SIGNATURE)
        length += snprintf(headers + length, sizeof headers - (size_t)length,
                           "Fastmap-Signature: %s\r\n", wire->signature);
    length += snprintf(headers + length, sizeof headers - (size_t)length, "\r\n");
    if (kind == CLOUD_CUT_STATUS)
        return write_all(request->ssl, headers, (size_t)length / 2) && false;
    if (!write_all(request->ssl, headers, (size_t)length))
        return false;
    const bool half = kind == CLOUD_CUT_OUTPUTS || kind == CLOUD_STALL_OUTPUTS;
    const bool sent = write_all(request->ssl, wire->body, half ? wire->bytes / 2 : wire->bytes);
    if (kind == CLOUD_STALL_OUTPUTS)
        stall(request->ssl);
    return sent && !half;
}

static bool send_answer(struct cloud_service *service, struct request *request,
                        struct answer *answer)
{
    struct wire wire = {.status = answer->status};
    char *text = answer->json != NULL ? json_dumps(answer->json, 0) : NULL;
    const void *body = text != NULL ? text : answer->body;
    wire.bytes = text != NULL ? strlen(text) : answer->bytes;
    wire.body = calloc(1, wire.bytes + 4096);
    if (wire.bytes > 0)
        memcpy(wire.body, body, wire.bytes);
    if (answer->receipt != NULL)
        snprintf(wire.receipt, sizeof wire.receipt, "%s", answer->receipt);
    spoil_contents(service, request, &wire);
    sign_wire(service, request, answer, &wire);
    if (answer->is_outputs)
        pack_wire(service, request, &wire);
    const bool sent = send_wire(request, &wire);
    free(wire.body);
    free(text);
    json_decref(answer->json);
    return sent;
}

/* ---- Connections ------------------------------------------------------------------------------------- */

struct unpacked {
    uint8_t *bytes;
    size_t count;
};

static bool take_unpacked(void *context, const void *bytes, size_t count)
{
    struct unpacked *to = context;
    memcpy(to->bytes + to->count, bytes, count);
    to->count += count;
    return true;
}

/* False: it is no frame of the length that was told. */
static bool unpack_body(struct request *request)
{
    if (request->coding[0] == '\0') {
        request->length = request->carried;
        return true;
    }
    struct fm_service_unpack *unpack = fm_service_unpack_new(request->length);
    struct unpacked to = {calloc(1, request->length + 1), 0};
    const bool whole =
        fm_service_unpack_feed(unpack, request->body, request->carried, take_unpacked, &to) &&
        fm_service_unpack_is_whole(unpack);
    fm_service_unpack_free(unpack);
    free(request->body);
    request->body = to.bytes;
    return whole;
}

static bool read_body(struct request *request)
{
    const enum cloud_fault_kind kind = request->fault.kind;
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (kind == CLOUD_CUT_HEADERS)
        return false;
    if (kind == CLOUD_STALL_BODY) {
        stall(request->ssl);
        return false;
    }
    if (request->expects && !write_all(request->ssl, go_on, sizeof go_on - 1))
        return false;
    request->body = calloc(1, request->carried + 1);
    const bool half = kind == CLOUD_CUT_BODY;
    return read_all(request->ssl, request->body, half ? request->carried / 2 : request->carried) &&
           !half && unpack_body(request);
}

static void sleep_for(double seconds)
{
    usleep((useconds_t)(seconds * 1e6));
}

static bool serve_one(struct cloud_service *service, struct request *request)
{
    struct answer answer;
    if (!read_headers(request))
        return false;
    pthread_mutex_lock(&service->mutex);
    choose_fault(service, request);
    pthread_mutex_unlock(&service->mutex);
    const struct cloud_fault *fault = &request->fault;
    if (!read_body(request))
        return false;
    if (fault->kind == CLOUD_SLOW)
        sleep_for(fault->seconds);
    pthread_mutex_lock(&service->mutex);
    if (fault->kind == CLOUD_REFUSE) {
        answer = refuse(fault->status, fault->word);
        is_signed(service, request);
        service->counts.requests++;
    } else {
        answer = on_request(service, request);
    }
    pthread_mutex_unlock(&service->mutex);
    if (fault->kind == CLOUD_STALL_ANSWER)
        stall(request->ssl);
    if (fault->kind == CLOUD_STALL_ANSWER || fault->kind == CLOUD_CUT_ANSWER) {
        json_decref(answer.json);
        return false;
    }
    return send_answer(service, request, &answer);
}

struct connection {
    struct cloud_service *service;
    size_t slot;
    int fd;
};

static void serve_all(struct cloud_service *service, int fd)
{
    SSL *ssl = SSL_new(service->tls);
    SSL_set_fd(ssl, fd);
    bool more = SSL_accept(ssl) == 1;
    while (more) {
        struct request request = {.ssl = ssl};
        more = serve_one(service, &request);
        free(request.body);
    }
    SSL_free(ssl);
}

static void *serve(void *argument)
{
    struct connection connection = *(struct connection *)argument;
    struct cloud_service *service = connection.service;
    free(argument);
    pthread_mutex_lock(&service->mutex);
    service->counts.connections++;
    struct cloud_fault *fault = &service->fault;
    const bool cut = fault->kind == CLOUD_CUT_HELLO;
    if (cut && fault->times > 0 && --fault->times == 0)
        fault->kind = CLOUD_NO_FAULT;
    pthread_mutex_unlock(&service->mutex);
    if (!cut)
        serve_all(service, connection.fd);
    pthread_mutex_lock(&service->mutex);
    service->connections[connection.slot] = -1;
    close(connection.fd);
    service->open--;
    pthread_cond_signal(&service->idle);
    pthread_mutex_unlock(&service->mutex);
    return NULL;
}

/* False: there is no room. */
static bool begin_connection(struct cloud_service *service, int fd)
{
    pthread_t thread;
    struct connection *connection = malloc(sizeof *connection);
    size_t slot = 0;
    while (slot < CONNECTIONS_MOST && service->connections[slot] >= 0)
        slot++;
    if (slot == CONNECTIONS_MOST || service->stopping) {
        free(connection);
        return false;
    }
    *connection = (struct connection){service, slot, fd};
    service->connections[slot] = fd;
    service->open++;
    pthread_create(&thread, NULL, serve, connection);
    pthread_detach(thread);
    return true;
}

static void *accept_all(void *argument)
{
    struct cloud_service *service = argument;
    int fd;
    while ((fd = accept4(service->listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        pthread_mutex_lock(&service->mutex);
        if (!begin_connection(service, fd))
            close(fd);
        pthread_mutex_unlock(&service->mutex);
    }
    return NULL;
}

/* ---- From outside ------------------------------------------------------------------------------------ */

struct cloud_service *cloud_service_start(cloud_compute *compute_one)
{
    struct cloud_service *service = calloc(1, sizeof *service);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    const int room = CLOUD_UNREAD_MOST / 2; /* the system doubles it */
    snprintf(service->folder, sizeof service->folder, "/tmp/fastmap-cloud-XXXXXX");
    if (mkdtemp(service->folder) == NULL)
        abort();
    snprintf(service->ca_file, sizeof service->ca_file, "%s/ca.pem", service->folder);
    make_certificate(service);
    fm_service_token_create(service->token);
    fm_service_token_parse(service->token, strlen(service->token), service->id);
    fm_service_token_key(service->token, service->key);
    service->compute = compute_one;
    service->element_ns = 1000000;
    pthread_mutex_init(&service->mutex, NULL);
    pthread_cond_init(&service->idle, NULL);
    memset(service->connections, -1, sizeof service->connections);
    service->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(service->listener, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (bind(service->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(service->listener, 64) != 0)
        abort();
    getsockname(service->listener, (struct sockaddr *)&address, &length);
    snprintf(service->url, sizeof service->url, "https://127.0.0.1:%u", ntohs(address.sin_port));
    /* A client that has gone is no reason to die; its own threads are to show whether they would. */
    sigset_t pipe, before;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &before);
    pthread_create(&service->acceptor, NULL, accept_all, service);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return service;
}

void cloud_service_stop(struct cloud_service *service)
{
    pthread_mutex_lock(&service->mutex);
    service->stopping = true;
    shutdown(service->listener, SHUT_RDWR);
    for (size_t i = 0; i < CONNECTIONS_MOST; i++)
        if (service->connections[i] >= 0)
            shutdown(service->connections[i], SHUT_RDWR);
    while (service->open > 0)
        pthread_cond_wait(&service->idle, &service->mutex);
    pthread_mutex_unlock(&service->mutex);
    pthread_join(service->acceptor, NULL);
    close(service->listener);
    cloud_service_forget(service);
    SSL_CTX_free(service->tls);
    unlink(service->ca_file);
    rmdir(service->folder);
    free(service);
}

const char *cloud_service_url(const struct cloud_service *service)
{
    return service->url;
}

const char *cloud_service_token(const struct cloud_service *service)
{
    return service->token;
}

const char *cloud_service_ca_file(const struct cloud_service *service)
{
    return service->ca_file;
}

const char *cloud_service_pin(const struct cloud_service *service)
{
    return service->pin;
}

void cloud_service_fault(struct cloud_service *service, struct cloud_fault fault)
{
    pthread_mutex_lock(&service->mutex);
    service->fault = fault;
    pthread_mutex_unlock(&service->mutex);
}

void cloud_service_clock(struct cloud_service *service, int ahead)
{
    service->ahead = ahead;
}

void cloud_service_cost(struct cloud_service *service, uint64_t element_ns)
{
    service->element_ns = element_ns;
}

void cloud_service_vcpus(struct cloud_service *service, unsigned vcpus)
{
    service->told_vcpus = vcpus;
}

void cloud_service_pack(struct cloud_service *service, unsigned rate)
{
    service->rate = rate;
}

void cloud_service_trail(struct cloud_service *service)
{
    service->trails = true;
}

void cloud_service_forget(struct cloud_service *service)
{
    pthread_mutex_lock(&service->mutex);
    for (size_t i = 0; i < service->blob_count; i++)
        free(service->blobs[i].bytes);
    service->blob_count = 0;
    service->program[0] = '\0';
    service->map_open = false;
    forget_spans(service);
    pthread_mutex_unlock(&service->mutex);
}

void cloud_service_end_span(struct cloud_service *service, const char *status, uint64_t computed,
                            int signal)
{
    pthread_mutex_lock(&service->mutex);
    snprintf(service->end_status, sizeof service->end_status, "%s", status);
    service->end_computed = computed;
    service->end_signal = signal;
    pthread_mutex_unlock(&service->mutex);
}

struct cloud_counts cloud_service_counts(struct cloud_service *service)
{
    pthread_mutex_lock(&service->mutex);
    const struct cloud_counts counts = service->counts;
    pthread_mutex_unlock(&service->mutex);
    return counts;
}

const char *cloud_service_opening(const struct cloud_service *service)
{
    return service->opening;
}
