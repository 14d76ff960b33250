/*
 * A small stand-in for thousands of servers, in a process of its own: one listening socket for all of 127.0.0.0/8, answers as one real
 * server gave them.
 *
 *   stand_in RECORDING INTERVAL_US
 *
 * RECORDING (see record.py) holds the greeting, the answer to a login, and for each question its answer. Prints the port, then serves,
 * and answers each line on standard input:
 *
 *   reset      ok
 *   report     ok PROBES LOGINS LATE_US_MEDIAN LATE_US_99 LATE_US_MOST BYTES_IN BYTES_OUT
 *
 * A probe is late by what passed since the node's last one beyond INTERVAL_US: what the prober owes its user, seen from outside.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { NODES = 1 << 16, CONNECTIONS = 1 << 15, BATCH = 256, PACKET = 2048, QUESTIONS = 8, SAMPLES = 1 << 22 };

struct piece {
    uint32_t length;
    unsigned char *bytes;
};

struct connection {
    int open, logged_in;
    uint32_t node, filled;
    unsigned char packet[PACKET];
};

static struct piece greeting, welcome, question[QUESTIONS], answer[QUESTIONS];
static uint32_t questions;
static struct connection *connections[CONNECTIONS];
static int64_t last_probe[NODES], interval_ns;
static uint32_t *late;
static long probes, logins, samples, bytes_in, bytes_out;

static void die(const char *what)
{
    fprintf(stderr, "stand_in: %s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct piece read_piece(FILE *file)
{
    struct piece p;
    unsigned char head[4];
    if (fread(head, 1, 4, file) != 4)
        die("the recording ends early");
    p.length = (uint32_t)head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;
    p.bytes = malloc(p.length + 1);
    if (!p.bytes || fread(p.bytes, 1, p.length, file) != p.length)
        die("the recording ends early");
    return p;
}

static void load(const char *path)
{
    FILE *file = fopen(path, "rb");
    unsigned char count;
    if (!file)
        die(path);
    greeting = read_piece(file);
    free(read_piece(file).bytes); /* the client's login */
    welcome = read_piece(file);
    if (fread(&count, 1, 1, file) != 1 || count > QUESTIONS)
        die("the recording's number of questions");
    questions = count;
    for (uint32_t i = 0; i < questions; i++) {
        question[i] = read_piece(file);
        answer[i] = read_piece(file);
    }
    fclose(file);
}

static void drop(int fd)
{
    connections[fd]->open = 0;
    close(fd);
}

static int say(int fd, const struct piece *p)
{
    bytes_out += p->length;
    if (send(fd, p->bytes, p->length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)p->length)
        return 1;
    /* An answer fits into an empty socket; whoever does not read gets no more. */
    drop(fd);
    return 0;
}

static void count_probe(struct connection *c)
{
    int64_t at = now(), since = last_probe[c->node];
    last_probe[c->node] = at;
    probes++;
    if (since && samples < SAMPLES) {
        int64_t over = (at - since - interval_ns) / 1000;
        late[samples++] = over > 0 ? (uint32_t)over : 0;
    }
}

/* One whole packet with its header. */
static int take(int fd, const unsigned char *packet, uint32_t length)
{
    struct connection *c = connections[fd];
    if (!c->logged_in) {
        c->logged_in = 1;
        logins++;
        return say(fd, &welcome);
    }
    for (uint32_t i = 0; i < questions; i++)
        if (question[i].length == length && memcmp(question[i].bytes, packet, length) == 0) {
            count_probe(c);
            return say(fd, &answer[i]);
        }
    if (length == 5 && packet[4] == 1) { /* COM_QUIT */
        drop(fd);
        return 0;
    }
    fprintf(stderr, "stand_in: an unknown question: %.*s\n", (int)length - 5, packet + 5);
    exit(1);
}

static void serve(int fd)
{
    struct connection *c = connections[fd];
    ssize_t got = recv(fd, c->packet + c->filled, PACKET - c->filled, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN)
        return;
    if (got <= 0) {
        drop(fd);
        return;
    }
    bytes_in += got;
    c->filled += (uint32_t)got;
    uint32_t done = 0;
    while (c->filled - done >= 4) {
        const unsigned char *p = c->packet + done;
        uint32_t length = 4 + ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16);
        if (length > PACKET) {
            drop(fd);
            return;
        }
        if (c->filled - done < length)
            break;
        if (!take(fd, p, length))
            return;
        done += length;
    }
    memmove(c->packet, c->packet + done, c->filled - done);
    c->filled -= done;
}

static void accept_all(int listener, int loop)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN || errno == ECONNABORTED)
                return;
            die("accept");
        }
        if (fd >= CONNECTIONS)
            die("too many connections");
        if (!connections[fd] && !(connections[fd] = calloc(1, sizeof **connections)))
            die("memory");
        struct sockaddr_in own;
        socklen_t length = sizeof own;
        int one = 1;
        if (getsockname(fd, (struct sockaddr *)&own, &length))
            die("getsockname");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct connection *c = connections[fd];
        c->open = 1;
        c->logged_in = 0;
        c->filled = 0;
        c->node = ntohl(own.sin_addr.s_addr) & (NODES - 1);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event))
            die("epoll");
        say(fd, &greeting);
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void command(void)
{
    char line[64];
    if (!fgets(line, sizeof line, stdin))
        exit(0);
    if (strcmp(line, "reset\n") == 0) {
        probes = logins = samples = bytes_in = bytes_out = 0;
        puts("ok");
    } else {
        qsort(late, (size_t)samples, sizeof *late, by_size);
        long middle = samples / 2, high = samples * 99 / 100;
        printf("ok %ld %ld %u %u %u %ld %ld\n", probes, logins, samples ? late[middle] : 0, samples ? late[high] : 0,
            samples ? late[samples - 1] : 0, bytes_in, bytes_out);
    }
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: stand_in RECORDING INTERVAL_US\n");
        return 2;
    }
    load(argv[1]);
    interval_ns = atol(argv[2]) * 1000;
    late = malloc(SAMPLES * sizeof *late);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), loop = epoll_create1(EPOLL_CLOEXEC);
    struct sockaddr_in any = {.sin_family = AF_INET};
    socklen_t length = sizeof any;
    if (!late || listener < 0 || loop < 0 || bind(listener, (struct sockaddr *)&any, sizeof any) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr *)&any, &length))
        die("listen");
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    if (epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event))
        die("epoll");
    event.data.fd = 0;
    if (epoll_ctl(loop, EPOLL_CTL_ADD, 0, &event))
        die("epoll");
    printf("%d\n", ntohs(any.sin_port));
    fflush(stdout);
    for (;;) {
        struct epoll_event events[BATCH];
        int count = epoll_wait(loop, events, BATCH, -1);
        for (int i = 0; i < count; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_all(listener, loop);
            else if (fd == 0)
                command();
            else if (connections[fd]->open)
                serve(fd);
        }
    }
}
