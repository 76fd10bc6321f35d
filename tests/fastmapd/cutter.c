/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A thread for each connection. Requests and answers of PostgreSQL's protocol take turns, so that it is
 * enough to look at the beginning of what the client has sent: 'Q', a length, "COMMIT".
 */
#include "cutter.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct wire {
    struct cutter *cutter;
    int client, server;
};

static int connect_to(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

/* What one side has sent goes to the other; -1: it has nothing more to say. */
static ssize_t pass(int from, int to, char *bytes, size_t most)
{
    const ssize_t got = read(from, bytes, most);
    return got > 0 && write(to, bytes, (size_t)got) == got ? got : -1;
}

/* 0: it goes on; 1: cut now; 2: cut when the server has answered. */
static int is_to_be_cut(struct cutter *cutter, const char *bytes, ssize_t count)
{
    if (count < 11 || bytes[0] != 'Q' || memcmp(bytes + 5, "COMMIT", 6) != 0)
        return 0;
    const int commit = atomic_fetch_add(&cutter->commits, 1) + 1;
    const int every = atomic_load(&cutter->cut_every);
    if (every == 0 || commit % every != 0)
        return 0;
    return atomic_fetch_add(&cutter->cuts, 1) % 2 + 1;
}

static bool serve_client(struct wire *w)
{
    char bytes[65536];
    const ssize_t got = recv(w->client, bytes, sizeof bytes, MSG_PEEK);
    const int cut = is_to_be_cut(w->cutter, bytes, got);
    if (cut == 1 || pass(w->client, w->server, bytes, sizeof bytes) < 0)
        return false;
    if (cut == 2)
        (void)read(w->server, bytes, sizeof bytes);
    return cut == 0;
}

static void *serve(void *argument)
{
    struct wire *w = argument;
    struct pollfd fds[2] = {{.fd = w->client, .events = POLLIN},
                            {.fd = w->server, .events = POLLIN}};
    char bytes[65536];
    bool good = true;
    while (good && poll(fds, 2, -1) > 0) {
        if (fds[0].revents != 0)
            good = serve_client(w);
        if (good && fds[1].revents != 0)
            good = pass(w->server, w->client, bytes, sizeof bytes) > 0;
    }
    close(w->client);
    close(w->server);
    free(w);
    return NULL;
}

static void *listen_on(void *argument)
{
    struct cutter *cutter = argument;
    for (int client; (client = accept(cutter->listener, NULL, NULL)) >= 0;) {
        pthread_t thread;
        struct wire *w = malloc(sizeof *w);
        if (w == NULL)
            break;
        *w = (struct wire){cutter, client, connect_to(cutter->server)};
        if (w->server >= 0 && pthread_create(&thread, NULL, serve, w) == 0) {
            pthread_detach(thread);
        } else {
            close(client);
            free(w);
        }
    }
    return NULL;
}

int cutter_start(struct cutter *cutter, const char *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    pthread_t thread;
    cutter->server = server;
    cutter->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (cutter->listener < 0 ||
        bind(cutter->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(cutter->listener, 16) != 0 ||
        getsockname(cutter->listener, (struct sockaddr *)&address, &bytes) != 0 ||
        pthread_create(&thread, NULL, listen_on, cutter) != 0)
        return -1;
    pthread_detach(thread);
    cutter->port = ntohs(address.sin_port);
    return 0;
}
