/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A packet is a frame. What the kernel says of a packet (its length, whether it was cut, whether descriptors
 * came along) is checked here, what the bytes say by the wire.
 */
#include "program/channel.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Room for one descriptor: the kernel drops more. */
union control {
    struct cmsghdr aligned;
    char bytes[CMSG_SPACE(sizeof(int))];
};

bool fm_program_channel_pair(int ends[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0;
}

void fm_program_channel_open(struct fm_program_channel *channel, int fd)
{
    channel->fd = fd;
    channel->sent = 0;
    channel->received = 0;
}

static void attach(struct msghdr *message, union control *control, int descriptor)
{
    memset(control, 0, sizeof *control);
    message->msg_control = control->bytes;
    message->msg_controllen = sizeof control->bytes;
    struct cmsghdr *header = CMSG_FIRSTHDR(message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof descriptor);
    memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
}

bool fm_program_channel_send(struct fm_program_channel *channel, struct fm_wire_worker_frame *frame,
                             int descriptor)
{
    uint8_t bytes[FM_WIRE_WORKER_MOST];
    union control control;
    frame->sequence = channel->sent;
    struct iovec packet = {.iov_base = bytes,
                           .iov_len = fm_wire_worker_encode(frame, bytes, sizeof bytes)};
    struct msghdr message = {.msg_iov = &packet, .msg_iovlen = 1};
    if (packet.iov_len == 0)
        return false;
    if (descriptor >= 0)
        attach(&message, &control, descriptor);
    ssize_t sent;
    do
        sent = sendmsg(channel->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    channel->sent++;
    return sent == (ssize_t)packet.iov_len;
}

static int attached(struct msghdr *message)
{
    int descriptor = -1;
    const struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (header != NULL && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof descriptor))
        memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
    return descriptor;
}

static const char *check(struct fm_program_channel *channel, const struct msghdr *message,
                         size_t size, struct fm_wire_worker_frame *frame)
{
    struct fm_wire_worker_frame found;
    if ((message->msg_flags & MSG_TRUNC) != 0)
        return "it is longer than any frame";
    if ((message->msg_flags & MSG_CTRUNC) != 0)
        return "it carries descriptors that it should not";
    const char *wrong = fm_wire_worker_decode(channel->bytes, size, &found);
    if (wrong != NULL)
        return wrong;
    if (found.sequence != channel->received)
        return "it is not the next one in sequence";
    channel->received++;
    *frame = found;
    return NULL;
}

enum fm_program_channel_got fm_program_channel_receive(struct fm_program_channel *channel,
                                                       bool waits,
                                                       struct fm_wire_worker_frame *frame,
                                                       int *descriptor, const char **wrong)
{
    union control control;
    struct iovec packet = {.iov_base = channel->bytes, .iov_len = sizeof channel->bytes};
    struct msghdr message = {.msg_iov = &packet, .msg_iovlen = 1};
    if (descriptor != NULL) {
        message.msg_control = control.bytes;
        message.msg_controllen = sizeof control.bytes;
    }
    ssize_t size;
    do
        size = recvmsg(channel->fd, &message, MSG_CMSG_CLOEXEC | (waits ? 0 : MSG_DONTWAIT));
    while (size < 0 && errno == EINTR);
    if (size < 0 && errno == EAGAIN)
        return FM_PROGRAM_CHANNEL_NOTHING;
    if (size <= 0)
        return FM_PROGRAM_CHANNEL_CLOSED;
    const int came = descriptor != NULL ? attached(&message) : -1;
    *wrong = check(channel, &message, (size_t)size, frame);
    if (*wrong == NULL) {
        if (descriptor != NULL)
            *descriptor = came;
        return FM_PROGRAM_CHANNEL_FRAME;
    }
    if (came >= 0)
        close(came);
    return FM_PROGRAM_CHANNEL_WRONG;
}
