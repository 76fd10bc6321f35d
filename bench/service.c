/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What fastmapd costs: spans of an echo function over kept-alive TLS connections, and the times of a first
 * span:
 * program unknown, program known and no worker, worker warm. The program that travels is this one.
 *
 *   bench/service --url URL --certificate FILE --token TOKEN --pid PID [--bytes N] [--connections N]
 * [--spans N]
 *   bench/service --url URL --certificate FILE --pid PID --idle N                    memory of idle
 * connections
 *   bench/service --url URL --certificate FILE --pid PID --put PATH ...      the same bytes up to and down
 * from nginx
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "program/module.h"
#include "program/program.h"
#include "service/hex.h"
#include "service_client.h"

int echo(const void *in, void *out, const void *shared);

/* An element is 64 bytes. */
int echo(const void *in, void *out, const void *shared)
{
    (void)shared;
    memcpy(out, in, 64);
    return 0;
}

static struct {
    const char *url, *certificate, *token, *put, *worker, *fake;
    long bytes, connections, spans, pid, idle;
} said = {.bytes = 64, .connections = 16, .spans = 20000};

static long number(const char *text)
{
    return strtol(text, NULL, 10);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* CPU seconds of a process and all that descend from it, which /proc knows by their parents. */
static double cpu_of(long pid)
{
    char command[200];
    double seconds = 0;
    snprintf(command, sizeof command,
             "p=%ld; while [ -n \"$p\" ]; do for i in $p; do sed 's/.*) //' /proc/$i/stat; done; "
             "p=$(for i in $p; do cat /proc/$i/task/*/children; done); done 2>/dev/null",
             pid);
    FILE *from = popen(command, "r");
    char line[1024];
    while (from != NULL && fgets(line, sizeof line, from) != NULL) {
        unsigned long user = 0, system = 0;
        if (sscanf(line, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) ==
            2)
            seconds += (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    }
    if (from != NULL)
        pclose(from);
    return seconds;
}

/* ---- The program and its map --------------------------------------------------------------------------- */

static void expect(const struct reply *reply, int status, const char *what)
{
    if (reply->status != status)
        die("%s: status %d: %.300s", what, reply->status, reply->body);
}

static char *slurp(const char *path, size_t bytes)
{
    char *text = malloc(bytes + 1);
    FILE *from = fopen(path, "rb");
    if (text == NULL || from == NULL || fread(text, 1, bytes, from) != bytes)
        die("%s cannot be read", path);
    fclose(from);
    return text;
}

static void upload(struct line *line, const struct fm_program *program, const char *missing)
{
    for (size_t i = 0; i < program->count; i++) {
        char digest[FM_SERVICE_HEX_BYTES], target[160];
        const struct fm_program_file *file = &program->files[i];
        fm_service_hex(file->sha256, sizeof file->sha256, digest);
        if (strstr(missing, digest) == NULL)
            continue;
        char *text = slurp(file->source, file->bytes);
        snprintf(target, sizeof target, "/v1/blobs/%s?size=%zu&offset=0", digest,
                 (size_t)file->bytes);
        struct reply reply;
        while ((reply = line_call(line, 1, "PUT", target, text, file->bytes)).status == 409)
            usleep(10000); /* somebody else of the account is sending it */
        expect(&reply, 200, target);
        free(text);
    }
}

/* The digest of the program's manifest, all of it uploaded. */
static void bring_program(struct line *line, const struct fm_program *program,
                          char digest[FM_SERVICE_HEX_BYTES])
{
    struct reply reply =
        line_call(line, 1, "POST", "/v1/programs", program->manifest, program->manifest_bytes);
    expect(&reply, 200, "programs");
    char *missing = strdup(reply.body);
    upload(line, program, missing);
    free(missing);
    fm_service_hex(program->sha256, sizeof program->sha256, digest);
}

/* A word of a JSON answer. */
static void word(const char *json, const char *name, char *value, size_t bytes)
{
    const char *found = strstr(json, name);
    if (found == NULL)
        die("no %s in %s", name, json);
    found += strlen(name);
    snprintf(value, bytes, "%.*s", (int)strcspn(found, "\","), found);
}

static void open_map(struct line *line, const char *program, uint64_t offset, char map[32])
{
    char body[600];
    snprintf(
        body, sizeof body,
        "{\"key\":\"bench-service-%llx-%x\",\"program\":\"%s\",\"function\":{\"module\":\"\","
        "\"offset\":%llu,"
        "\"kind\":\"element\"},\"in_size\":64,\"out_size\":64,\"vcpus\":64,\"budget\":100000000}",
        (unsigned long long)time(NULL), (unsigned)(now_s() * 1e6), program,
        (unsigned long long)offset);
    struct reply reply = line_call(line, 1, "POST", "/v1/maps", body, strlen(body));
    expect(&reply, 201, "maps");
    word(reply.body, "\"map\":\"", map, 32);
}

/* ---- Spans ---------------------------------------------------------------------------------- */

static struct client *client;
static char map[32];
static _Atomic long next_span;
static _Atomic long long charged; /* by the receipts of the map's spans */

static void one_span(struct line *line, long span, const char *inputs)
{
    char target[160];
    snprintf(target, sizeof target, "/v1/maps/%s/spans/%ld?first=0&count=%ld", map, span,
             said.bytes / 64);
    struct reply reply = line_call(line, 1, "POST", target, inputs, (size_t)said.bytes);
    expect(&reply, 200, "span");
    if (strstr(reply.receipt, "status=done") == NULL ||
        memcmp(reply.body, inputs, (size_t)said.bytes) != 0)
        die("the echo is another: %s", reply.receipt);
    atomic_fetch_add(&charged, number(strstr(reply.receipt, " charge=") + strlen(" charge=")));
}

static void one_put(struct line *line, long span, const char *inputs)
{
    char target[160];
    snprintf(target, sizeof target, "%s%ld", said.put, span % said.connections);
    struct reply reply = line_call(line, 0, "PUT", target, inputs, (size_t)said.bytes);
    if (reply.status != 201 && reply.status != 204)
        die("PUT %s: status %d", target, reply.status);
    reply = line_call(line, 0, "GET", target, NULL, 0);
    expect(&reply, 200, "GET");
    if (reply.bytes != (size_t)said.bytes)
        die("GET %s: %zu bytes", target, reply.bytes);
}

static void *send_spans(void *argument)
{
    struct line *line = argument;
    char *inputs = malloc((size_t)said.bytes);
    memset(inputs, 'x', (size_t)said.bytes);
    for (long span; (span = atomic_fetch_add(&next_span, 1)) < said.spans;)
        (said.put != NULL ? one_put : one_span)(line, span + 10, inputs);
    free(inputs);
    return NULL;
}

static void measure(void)
{
    pthread_t threads[1024];
    struct line *lines[1024];
    for (long i = 0; i < said.connections; i++)
        lines[i] = line_open(client);
    const double cpu = cpu_of(said.pid), begin = now_s();
    for (long i = 0; i < said.connections; i++)
        pthread_create(&threads[i], NULL, send_spans, lines[i]);
    for (long i = 0; i < said.connections; i++)
        pthread_join(threads[i], NULL);
    const double took = now_s() - begin, used = cpu_of(said.pid) - cpu;
    printf("%ld spans of %ld bytes over %ld connections: %.0f a second, %.1f MB/s each way, %.0f "
           "us of server CPU each\n",
           said.spans, said.bytes, said.connections, (double)said.spans / took,
           (double)said.spans * (double)said.bytes / took / 1e6, 1e6 * used / (double)said.spans);
    for (long i = 0; i < said.connections; i++)
        line_close(lines[i]);
}

/* ---- Starts --------------------------------------------------------------------------------- */

/* Closes the map: its spans cost what their receipts said, to the nano-dollar. */
static void close_map(struct line *line)
{
    char target[80], sum[40];
    snprintf(target, sizeof target, "/v1/maps/%s", map);
    struct reply reply = line_call(line, 1, "DELETE", target, NULL, 0);
    expect(&reply, 200, "close");
    snprintf(sum, sizeof sum, "\"charged\":%lld,", (long long)charged);
    if (strstr(reply.body, sum) == NULL)
        die("the receipts say %s, the ledger %s", sum, reply.body);
    charged = 0;
}

static double memory_of(long pid)
{
    char path[64], line[256];
    double kilobytes = 0;
    snprintf(path, sizeof path, "/proc/%ld/status", pid);
    FILE *from = fopen(path, "r");
    while (from != NULL && fgets(line, sizeof line, from) != NULL)
        if (strncmp(line, "VmRSS:", 6) == 0)
            kilobytes = strtod(line + 6, NULL);
    if (from != NULL)
        fclose(from);
    return kilobytes / 1024;
}

/* Each has had one request answered, and waits for the next. */
static void measure_idle(void)
{
    struct line **lines = calloc((size_t)said.idle, sizeof *lines);
    const double before = memory_of(said.pid);
    for (long i = 0; i < said.idle; i++) {
        lines[i] = line_open(client);
        const struct reply reply = line_call(lines[i], 0, "GET", "/v1/health", NULL, 0);
        expect(&reply, 200, "health");
    }
    printf("%ld idle connections: %.1f MB\n", said.idle, memory_of(said.pid) - before);
    for (long i = 0; i < said.idle; i++)
        line_close(lines[i]);
    free(lines);
}

/* Milliseconds until the answer of a first span, with all that comes before it. */
static void first_span(struct line *line, const struct fm_program *program, bool is_known,
                       uint64_t offset)
{
    char digest[FM_SERVICE_HEX_BYTES];
    char inputs[64] = "";
    const long bytes = said.bytes;
    const double begin = now_s();
    if (is_known)
        fm_service_hex(program->sha256, sizeof program->sha256, digest);
    else
        bring_program(line, program, digest);
    open_map(line, digest, offset, map);
    said.bytes = 64;
    one_span(line, 1, inputs);
    const double took = now_s() - begin;
    const double warm = now_s();
    one_span(line, 2, inputs);
    printf("first span: %s program of %.1f MB and cold worker %.1f ms, then warm %.2f ms\n",
           is_known ? "known" : "unknown", (double)program->bytes / 1e6, 1e3 * took,
           1e3 * (now_s() - warm));
    said.bytes = bytes;
}

static void measure_service(void)
{
    struct fm_program program;
    struct fm_program_function function = {.offset = 0};
    struct line *line = line_open(client);
    if (said.fake != NULL)
        program = (struct fm_program){.manifest = strdup("x"), .manifest_bytes = 1};
    else if (fm_program_gather((const void *)(uintptr_t)echo, said.worker, &program) != 0)
        die("this program cannot travel: %s", fm_base_last_error());
    else if (fm_program_locate((const void *)(uintptr_t)echo, &function) != 0)
        die("the echo function has no name");
    if (said.fake != NULL)
        fm_service_unhex("2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881", 32,
                         program.sha256);
    first_span(line, &program, false, function.offset);
    close_map(line);
    first_span(line, &program, true, function.offset);
    measure();
    close_map(line);
    line_close(line);
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (strcmp(name, "--url") == 0)
            said.url = value;
        else if (strcmp(name, "--certificate") == 0)
            said.certificate = value;
        else if (strcmp(name, "--token") == 0)
            said.token = value;
        else if (strcmp(name, "--put") == 0)
            said.put = value;
        else if (strcmp(name, "--worker") == 0)
            said.worker = value;
        else if (strcmp(name, "--fake") == 0)
            said.fake = value;
        else if (strcmp(name, "--bytes") == 0)
            said.bytes = number(value);
        else if (strcmp(name, "--connections") == 0)
            said.connections = number(value);
        else if (strcmp(name, "--idle") == 0)
            said.idle = number(value);
        else if (strcmp(name, "--spans") == 0)
            said.spans = number(value);
        else if (strcmp(name, "--pid") == 0)
            said.pid = number(value);
        else
            die("what is %s?", name);
    }
    if (said.url == NULL || said.certificate == NULL ||
        (said.token == NULL && said.put == NULL && said.idle == 0))
        die("needs --url, --certificate, and --token or --put");
    if (said.connections > 1024 || said.bytes % 64 != 0)
        die("at most 1024 connections, and spans of 64-byte elements");
    client = client_new(said.url, said.certificate, said.token);
    if (said.idle > 0)
        measure_idle();
    else if (said.put != NULL)
        measure();
    else
        measure_service();
    return 0;
}
