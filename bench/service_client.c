/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Blocking OpenSSL. It reads answers of fastmapd and nginx, which always say their Content-Length.
 */
#include "service_client.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "service/sign.h"
#include "service/token.h"

enum { HEAD_BYTES = 8192 };

struct client {
    char host[128], port[8];
    SSL_CTX *tls;
    char id[FM_SERVICE_ID_BYTES];
    unsigned char key[FM_SERVICE_DIGEST_BYTES];
};

struct line {
    struct client *client;
    SSL *tls;
    int fd;
    char *buffer;
    size_t room;
};

void die(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("service: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    fflush(stdout);
    _exit(1); /* other threads are at work */
}

struct client *client_new(const char *url, const char *certificate, const char *token)
{
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL || sscanf(url, "https://%127[^:/]:%7[0-9]", client->host, client->port) != 2)
        die("%s is no https://host:port", url);
    client->tls = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_verify(client->tls, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(client->tls, certificate, NULL) != 1)
        die("%s is no certificate", certificate);
    if (token != NULL && !fm_service_token_parse(token, strlen(token), client->id))
        die("that is no token");
    if (token != NULL)
        fm_service_token_key(token, client->key);
    return client;
}

struct line *line_open(struct client *client)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    struct line *line = calloc(1, sizeof *line);
    const int on = 1;
    if (line == NULL || getaddrinfo(client->host, client->port, &hints, &found) != 0)
        die("%s is not known", client->host);
    line->client = client;
    line->room = HEAD_BYTES;
    line->buffer = malloc(line->room);
    line->fd = socket(found->ai_family, SOCK_STREAM, 0);
    if (connect(line->fd, found->ai_addr, found->ai_addrlen) != 0)
        die("nobody listens on port %s", client->port);
    setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    freeaddrinfo(found);
    line->tls = SSL_new(client->tls);
    SSL_set_fd(line->tls, line->fd);
    if (SSL_connect(line->tls) != 1)
        die("TLS with port %s fails", client->port);
    return line;
}

void line_close(struct line *line)
{
    SSL_shutdown(line->tls);
    SSL_free(line->tls);
    close(line->fd);
    free(line->buffer);
    free(line);
}

static void send_all(struct line *line, const void *bytes, size_t count)
{
    size_t sent;
    if (count > 0 && SSL_write_ex(line->tls, bytes, count, &sent) != 1)
        die("the connection broke while a request was sent");
}

static int put_signature(struct line *line, char *head, const char *method, const char *target,
                         const void *body, size_t bytes)
{
    unsigned char digest[SHA256_DIGEST_LENGTH], random[16];
    char hex[FM_SERVICE_HEX_BYTES], nonce[33], when[24], signature[FM_SERVICE_HEX_BYTES];
    SHA256(body, bytes, digest);
    fm_service_hex(digest, sizeof digest, hex);
    RAND_bytes(random, sizeof random);
    fm_service_hex(random, sizeof random, nonce);
    snprintf(when, sizeof when, "%lld", (long long)time(NULL));
    const struct fm_service_request request = {method, target, hex, when, nonce};
    fm_service_sign_request(line->client->key, &request, signature);
    return snprintf(head, HEAD_BYTES,
                    "Fastmap-Time: %s\r\nFastmap-Nonce: %s\r\nFastmap-Digest: %s\r\nAuthorization: "
                    "Fastmap %s %s\r\n",
                    when, nonce, hex, line->client->id, signature);
}

static void send_request(struct line *line, int sign, const char *method, const char *target,
                         const void *body, size_t bytes)
{
    char head[2 * HEAD_BYTES];
    int length =
        snprintf(head, HEAD_BYTES, "%s %s HTTP/1.1\r\nHost: %s:%s\r\nContent-Length: %zu\r\n",
                 method, target, line->client->host, line->client->port, bytes);
    if (sign)
        length += put_signature(line, head + length, method, target, body, bytes);
    length += snprintf(head + length, 3, "\r\n");
    if (bytes < HEAD_BYTES / 2) { /* one record for both */
        memcpy(head + length, body, bytes);
        send_all(line, head, (size_t)length + bytes);
        return;
    }
    send_all(line, head, (size_t)length);
    send_all(line, body, bytes);
}

static void header(const char *head, const char *name, char *value, size_t bytes)
{
    const char *found = strcasestr(head, name);
    value[0] = '\0';
    if (found != NULL)
        snprintf(value, bytes, "%.*s", (int)strcspn(found + strlen(name), "\r"),
                 found + strlen(name));
}

struct reply line_call(struct line *line, int sign, const char *method, const char *target,
                       const void *body, size_t bytes)
{
    struct reply reply = {0};
    size_t have = 0, got;
    char length[24], *end;
    send_request(line, sign, method, target, body, bytes);
    for (;;) {
        if (SSL_read_ex(line->tls, line->buffer + have, line->room - have - 1, &got) != 1)
            die("the connection broke while an answer was read: %s %s", method, target);
        have += got;
        line->buffer[have] = '\0';
        if ((end = strstr(line->buffer, "\r\n\r\n")) != NULL)
            break;
    }
    *end = '\0';
    header(line->buffer, "\r\nContent-Length: ", length, sizeof length);
    header(line->buffer, "\r\nFastmap-Receipt: ", reply.receipt, sizeof reply.receipt);
    reply.status = atoi(line->buffer + strlen("HTTP/1.1 "));
    reply.bytes = strtoul(length, NULL, 10);
    const size_t head = (size_t)(end + 4 - line->buffer), whole = head + reply.bytes;
    if (whole >= line->room &&
        (line->buffer = realloc(line->buffer, line->room = whole + 1)) == NULL)
        die("no memory for %zu bytes", whole);
    reply.body = line->buffer + head;
    while (have < whole) {
        if (SSL_read_ex(line->tls, line->buffer + have, line->room - have - 1, &got) != 1)
            die("the connection broke within an answer");
        have += got;
    }
    reply.body[reply.bytes] = '\0';
    return reply;
}
