/* A service that answers, and a client that asks it at an even rate: how long an address was without an answer.
 *
 *     asker serve PORT NAME PID_FILE       answers datagrams with NAME, keeps and echoes connections, over IPv4 and IPv6
 *     asker ask ADDRESS PORT MICROSECONDS  a datagram every so many; a line for each answer:
 *                                          number, when sent, when answered (ns of CLOCK_REALTIME), who
 *
 * An answer leaves from the address that was asked. CLOCK_REALTIME, for the kernel stamps captured packets with it.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 256, NAME = 32 };

struct question {
    uint64_t number;
    int64_t sent;
};

struct reply {
    struct question question;
    char name[NAME];
};

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "asker: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int listener(int type, int port)
{
    int one = 1, zero = 0, s = socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    if (s < 0) die("socket");
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    if (type == SOCK_DGRAM) setsockopt(s, IPPROTO_IPV6, IPV6_RECVPKTINFO, &one, sizeof one);
    if (bind(s, (struct sockaddr *)&any, sizeof any)) die("bind");
    if (type == SOCK_STREAM && listen(s, 64)) die("listen");
    return s;
}

static void answer(int s, const char *name)
{
    for (;;) {
        struct reply out = {0};
        struct sockaddr_in6 who;
        char control[256];
        struct iovec part = {&out.question, sizeof out.question};
        struct msghdr m = {.msg_name = &who, .msg_namelen = sizeof who, .msg_iov = &part, .msg_iovlen = 1,
                           .msg_control = control, .msg_controllen = sizeof control};
        if (recvmsg(s, &m, 0) < 0) return;
        /* What was asked is what answers: the control message goes back as it came, without the interface. */
        for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
            if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
                ((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_ifindex = 0;
        strncpy(out.name, name, sizeof out.name - 1);
        part = (struct iovec){&out, sizeof out};
        m.msg_flags = 0;
        /* Who asked may be out of reach meanwhile. */
        (void)!sendmsg(s, &m, 0);
    }
}

static int serve(int port, const char *name, const char *pid_file)
{
    struct pollfd p[2 + CONNECTIONS] = {{listener(SOCK_DGRAM, port), POLLIN, 0}, {listener(SOCK_STREAM, port), POLLIN, 0}};
    int number = 2;
    FILE *f = fopen(pid_file, "w");
    if (!f || fprintf(f, "%d\n", (int)getpid()) < 0 || fclose(f)) die(pid_file);
    for (;;) {
        if (poll(p, (nfds_t)number, -1) < 0) die("poll");
        if (p[0].revents) answer(p[0].fd, name);
        for (int i = 2; i < number; i++) {
            char text[512];
            ssize_t n;
            if (!p[i].revents) continue;
            n = recv(p[i].fd, text, sizeof text, MSG_DONTWAIT);
            if (n > 0) (void)!send(p[i].fd, text, (size_t)n, MSG_NOSIGNAL);
            if (n == 0 || (n < 0 && errno != EAGAIN)) {
                close(p[i].fd);
                p[i--] = p[--number];
            }
        }
        if (p[1].revents) {
            int c = accept4(p[1].fd, NULL, NULL, SOCK_CLOEXEC);
            if (c >= 0 && number < 2 + CONNECTIONS) p[number++] = (struct pollfd){c, POLLIN, 0};
            else if (c >= 0) close(c);
        }
    }
}

static int ask(const char *address, const char *port, long period)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_DGRAM}, *to;
    struct itimerspec every = {{period / 1000000, period % 1000000 * 1000}, {0, 0}};
    struct question q = {0, 0};
    struct pollfd p[2];
    int code = getaddrinfo(address, port, &hints, &to);
    if (code) {
        fprintf(stderr, "asker: %s: %s\n", address, gai_strerror(code));
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 1 << 16);
    p[0] = (struct pollfd){socket(to->ai_family, SOCK_DGRAM | SOCK_NONBLOCK, 0), POLLIN, 0};
    p[1] = (struct pollfd){timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), POLLIN, 0};
    every.it_value = every.it_interval;
    if (p[0].fd < 0 || p[1].fd < 0 || timerfd_settime(p[1].fd, 0, &every, NULL)) die("timer");
    for (;;) {
        struct reply r;
        uint64_t ticks;
        if (poll(p, 2, -1) < 0) die("poll");
        /* Errors that the network told (no route to the host) are read and forgotten. */
        for (int i = 0; i < 64; i++) {
            ssize_t n = recv(p[0].fd, &r, sizeof r, 0);
            if (n < 0 && errno == EAGAIN) break;
            if (n == sizeof r) {
                r.name[NAME - 1] = 0;
                printf("%llu %lld %lld %s\n", (unsigned long long)r.question.number, (long long)r.question.sent,
                       (long long)now(), r.name);
            }
        }
        if (read(p[1].fd, &ticks, sizeof ticks) == sizeof ticks) {
            q.number += ticks;
            q.sent = now();
            (void)!sendto(p[0].fd, &q, sizeof q, 0, to->ai_addr, to->ai_addrlen);
        }
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc == 5 && !strcmp(argv[1], "serve")) return serve(atoi(argv[2]), argv[3], argv[4]);
    if (argc == 5 && !strcmp(argv[1], "ask")) return ask(argv[2], argv[3], atol(argv[4]));
    fprintf(stderr, "usage: asker serve PORT NAME PID_FILE | asker ask ADDRESS PORT MICROSECONDS\n");
    return 2;
}
