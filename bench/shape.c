/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The link. What is read at a moment has left the sender then; it goes out after what is before it at the
 * link's bandwidth, and arrives a delay later. So each piece of a stream carries the time at which it is
 * due, a thread sleeps until the next one is, and a sender is not read from while more than the link holds
 * is under way: it is slowed down as by a real one. Connections take turns, as they do on one.
 */
#include "shape.h"
#include "clock.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PIECE = 16384, CONNECTIONS = 128, UNDER_WAY = 8 << 20 };

#define QUEUE_S 0.02  /* that a sender may be ahead of the link */
#define SLICE_S 0.001 /* of the link, that a stream has before it is another one's turn */

struct piece {
    struct piece *next;
    double due;
    size_t sent;
    size_t bytes;
    char data[PIECE];
};

/* One direction of a connection. */
struct stream {
    struct piece *first, *last;
    size_t under_way;
    bool ended;  /* nothing more comes */
    bool closed; /* and the receiver has been told */
};

/* Stream 0 goes to the service, from socket 0 to socket 1; stream 1 comes from there. */
struct pair {
    int socket[2];
    struct stream stream[2];
};

struct bench_link {
    pthread_t thread;
    int listener, wake[2];
    int to_port;
    double delay_s, bytes_per_s;
    double free_at[2]; /* when each direction has sent what it was given */
    struct pair *pairs[CONNECTIONS];
    int count;
    int first;               /* whose turn it is */
    _Atomic double fails_at; /* 0: never */
    enum bench_fault fault;  /* set before that */
    bool failed;
    _Atomic size_t back; /* bytes given to clients */
    _Atomic int taken;   /* connections */
};

/* ---- Sockets ---- */

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void prepare(int fd)
{
    const int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)fcntl(fd, F_SETFL, O_NONBLOCK);
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static int listen_at(int *port)
{
    struct sockaddr_in at = loopback(0);
    socklen_t size = sizeof at;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, size) != 0 || listen(fd, CONNECTIONS) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0) {
        if (fd >= 0)
            close(fd);
        return -1;
    }
    *port = ntohs(at.sin_port);
    return fd;
}

/* The service is on this machine, so that connecting to it takes no time; the handshake of the connection to
   it is not delayed, one round trip that a map with a new connection is given. */
static void take_in(struct bench_link *link)
{
    const int from = accept(link->listener, NULL, NULL);
    if (from < 0)
        return;
    const struct sockaddr_in at = loopback(link->to_port);
    const int to = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pair *pair = link->count < CONNECTIONS ? calloc(1, sizeof *pair) : NULL;
    if (to < 0 || pair == NULL || connect(to, (const struct sockaddr *)&at, sizeof at) != 0) {
        free(pair);
        close(from);
        if (to >= 0)
            close(to);
        return;
    }
    prepare(from);
    prepare(to);
    pair->socket[0] = from;
    pair->socket[1] = to;
    link->pairs[link->count++] = pair;
    atomic_fetch_add(&link->taken, 1);
}

static void drop(struct pair *pair)
{
    for (int way = 0; way < 2; way++) {
        close(pair->socket[way]);
        for (struct piece *next, *p = pair->stream[way].first; p != NULL; p = next) {
            next = p->next;
            free(p);
        }
    }
    free(pair);
}

/* ---- Streams ---- */

/* More would only lengthen the queue at the link. */
static bool is_full(const struct bench_link *link, const struct pair *pair, int way, double now)
{
    return pair->stream[way].under_way > UNDER_WAY || link->free_at[way] > now + QUEUE_S;
}

static void take_up(struct bench_link *link, struct pair *pair, int way, double now)
{
    struct stream *stream = &pair->stream[way];
    const double end = (link->free_at[way] > now ? link->free_at[way] : now) + SLICE_S;
    while (!stream->ended && !is_full(link, pair, way, now) && link->free_at[way] < end) {
        struct piece *piece = malloc(sizeof *piece);
        const ssize_t got = piece != NULL ? recv(pair->socket[way], piece->data, PIECE, 0) : -1;
        if (got <= 0) {
            if (got == 0 || (errno != EAGAIN && errno != EINTR))
                stream->ended = true;
            free(piece);
            return;
        }
        double *free_at = &link->free_at[way];
        if (*free_at < now)
            *free_at = now;
        if (link->bytes_per_s > 0)
            *free_at += (double)got / link->bytes_per_s;
        piece->next = NULL;
        piece->due = *free_at + link->delay_s;
        piece->sent = 0;
        piece->bytes = (size_t)got;
        *(stream->first == NULL ? &stream->first : &stream->last->next) = piece;
        stream->last = piece;
        stream->under_way += piece->bytes;
    }
}

/* False: the receiver takes no more at present. */
static bool put_down(struct bench_link *link, struct pair *pair, int way, double now)
{
    struct stream *stream = &pair->stream[way];
    const int to = pair->socket[!way];
    while (stream->first != NULL && stream->first->due <= now) {
        struct piece *piece = stream->first;
        const ssize_t put =
            send(to, piece->data + piece->sent, piece->bytes - piece->sent, MSG_NOSIGNAL);
        if (put < 0 && (errno == EAGAIN || errno == EINTR))
            return false;
        if (put > 0)
            piece->sent += (size_t)put;
        if (put > 0 && way == 1)
            atomic_fetch_add(&link->back, (size_t)put);
        if (put > 0 && piece->sent < piece->bytes)
            continue;
        stream->first = piece->next;
        stream->under_way -= piece->bytes;
        free(piece);
    }
    if (stream->ended && stream->first == NULL && !stream->closed) {
        stream->closed = true;
        (void)shutdown(to, SHUT_WR);
    }
    return true;
}

/* ---- Faults ---- */

/* So that the other side is told at once, and of an error. */
static void reset(struct bench_link *link)
{
    const struct linger at_once = {.l_onoff = 1};
    while (link->count > 0) {
        struct pair *pair = link->pairs[--link->count];
        (void)setsockopt(pair->socket[0], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        drop(pair);
    }
    (void)shutdown(link->listener, SHUT_RD);
}

/* Whether anything still moves; *until: when that is to be asked again. */
static bool moves(struct bench_link *link, double *until)
{
    const double at = atomic_load(&link->fails_at);
    if (at <= 0)
        return true;
    if (bench_now() < at) {
        *until = fmin(*until, at);
        return true;
    }
    if (!link->failed && link->fault == BENCH_DIES)
        reset(link);
    if (!link->failed && link->fault == BENCH_SLOWS) {
        link->delay_s *= 10;
        link->bytes_per_s /= 10;
    }
    link->failed = true;
    return link->fault == BENCH_SLOWS;
}

void bench_link_fail(struct bench_link *link, enum bench_fault fault, double at)
{
    link->fault = fault;
    atomic_store(&link->fails_at, at);
    (void)!write(link->wake[1], "f", 1);
}

size_t bench_link_back(struct bench_link *link)
{
    return atomic_load(&link->back);
}

int bench_link_taken(struct bench_link *link)
{
    return atomic_load(&link->taken);
}

/* ---- The thread ---- */

static void drop_closed(struct bench_link *link)
{
    for (int i = link->count; i-- > 0;) {
        struct pair *pair = link->pairs[i];
        if (!pair->stream[0].closed || !pair->stream[1].closed)
            continue;
        drop(pair);
        link->pairs[i] = link->pairs[--link->count];
    }
}

/* Moves what can be moved, and says for what else to wait. */
static void turn(struct bench_link *link, struct pair *pair, struct pollfd fds[2], double *until)
{
    const double now = bench_now();
    fds[0] = (struct pollfd){.fd = pair->socket[0]};
    fds[1] = (struct pollfd){.fd = pair->socket[1]};
    for (int way = 0; way < 2; way++) {
        struct stream *stream = &pair->stream[way];
        take_up(link, pair, way, now);
        if (!put_down(link, pair, way, now))
            fds[!way].events |= POLLOUT;
        else if (stream->first != NULL)
            *until = fmin(*until, stream->first->due);
        if (!stream->ended && !is_full(link, pair, way, now))
            fds[way].events |= POLLIN;
        else if (!stream->ended && stream->under_way <= UNDER_WAY)
            *until = fmin(*until, link->free_at[way] - QUEUE_S);
    }
    for (int side = 0; side < 2; side++)
        if (fds[side].events == 0) /* or a hang-up that is known already would end each wait */
            fds[side].fd = -1;
}

static void wait_for(struct pollfd *fds, int count, double until)
{
    const double left = until - bench_now();
    const double wait = left < 0 ? 0 : left;
    const struct timespec limit = {(time_t)wait, (long)(1e9 * (wait - (double)(time_t)wait))};
    (void)ppoll(fds, (nfds_t)count, &limit, NULL);
}

static void *run(void *argument)
{
    struct bench_link *link = argument;
    struct pollfd fds[2 + 2 * CONNECTIONS];
    (void)prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    fds[0] = (struct pollfd){.fd = link->listener, .events = POLLIN};
    fds[1] = (struct pollfd){.fd = link->wake[0], .events = POLLIN};
    for (;;) {
        double until = bench_now() + 60;
        const bool on = moves(link, &until);
        drop_closed(link);
        for (int k = 0; on && k < link->count; k++) {
            const int i = (link->first + k) % link->count;
            turn(link, link->pairs[i], &fds[2 + 2 * i], &until);
        }
        link->first++;
        fds[0].events = (short)(link->failed && link->fault == BENCH_DIES ? 0 : POLLIN);
        fds[0].revents = fds[1].revents = 0;
        wait_for(fds, 2 + (on ? 2 * link->count : 0), until);
        char why = 'f';
        if (fds[1].revents != 0 && read(link->wake[0], &why, 1) == 1 && why != 'f')
            return NULL;
        if ((fds[0].revents & POLLIN) != 0 && fds[0].events != 0)
            take_in(link);
    }
}

struct bench_link *bench_link_open(int to_port, double delay_s, double bytes_per_s, int *port)
{
    struct bench_link *link = calloc(1, sizeof *link);
    if (link == NULL)
        return NULL;
    link->to_port = to_port;
    link->delay_s = delay_s;
    link->bytes_per_s = bytes_per_s;
    link->listener = listen_at(port);
    if (link->listener < 0 || pipe(link->wake) != 0 ||
        pthread_create(&link->thread, NULL, run, link) != 0) {
        free(link); /* the program ends */
        return NULL;
    }
    return link;
}

void bench_link_close(struct bench_link *link)
{
    (void)!write(link->wake[1], "e", 1);
    pthread_join(link->thread, NULL);
    while (link->count > 0)
        drop(link->pairs[--link->count]);
    close(link->listener);
    close(link->wake[0]);
    close(link->wake[1]);
    free(link);
}
