/*
 * A TCP proxy that asks the library at every connection where the client goes: one thread, one epoll loop, the library in it.
 *
 *     proxy [-b ADDRESS] [-c MS] [-i MS] [-w MS] [-t TRACE] CONFIG SERVICE=PORT...
 *     proxy /etc/primacy/primacy.toml rw=6446 ro=6447
 *
 * It reads no packets: bytes pass, TLS too. All that it knows of the protocol is that the server speaks first, so a client that was
 * not greeted has lost nothing yet and may go to another node. docs/proxies.md explains the options, and what this can and cannot
 * do. SIGINT and SIGTERM end it; the counters are printed.
 */
#define _GNU_SOURCE /* accept4 */

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <primacy.h>

enum { BUFFER = 16384, SERVICES = 8, TRIES = 16, READY = 256, ACCEPTS = 64, ROUNDS = 4, TICK_MS = 20 };

/* So many clients at most wait for the greeting of one node, else a server that hangs has its backlog filled. Then the kernel there
 * drops what comes, the prober's connects too, and a hung server looks like a dead host, which takes longer to be sure of. */
enum { GREETINGS = 32, PLACES = 256 };

/* A descriptor in the epoll set; the first member of what its entry points to. */
struct source {
    enum { LIBRARY, EVENTS, SIGNALS, LISTENER, CLIENT, SERVER } kind;
    int fd;
    uint32_t wanted; /* as epoll knows it */
};

/* One side of a session, and the bytes that came from it and are not yet sent to the other. */
struct side {
    struct source source;
    struct session *session;
    size_t begin, end;
    int gone; /* a server that has closed: no longer in the epoll set, but perhaps with words left to read */
    char bytes[BUFFER];
};

struct service {
    struct source listener;
    const char *name;
    primacy_selector *selector;
    unsigned greetings[PLACES]; /* by slot; those that share a place share the limit */
    unsigned long accepted, refused, moved, killed, drained;
};

struct session {
    struct side client, server;
    struct service *service;
    struct session *next, **at; /* `at` points here */
    enum { WAITS, OPENS, OPEN, OVER } phase;
    int selected; /* `backend` is to be released */
    struct primacy_backend backend;
    char node[320]; /* its name, for the trace */
    uint32_t avoid[TRIES], avoided; /* slots tried in vain */
    int64_t ask_at, give_up, open_until, answered; /* ms */
};

static struct service services[SERVICES];
static int service_count, loop = -1;
static struct session *sessions, *graves;
static int64_t now /* ms, at the last return of epoll_wait */, greet_ms = 3000, idle_ms = 200, wait_ms = 5000;
static FILE *trace;

static uint64_t monotonic_ns(void)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    return (uint64_t)at.tv_sec * 1000000000u + (uint64_t)at.tv_nsec;
}

static int failed(const char *what, int32_t error)
{
    char text[1024];

    primacy_last_error(text, sizeof text);
    fprintf(stderr, "proxy: %s: %s: %s\n", what, primacy_error_name(error), text);
    return 1;
}

static int watch(struct source *source, uint32_t wanted)
{
    struct epoll_event event = {wanted, {source}};

    if (source->wanted != wanted && epoll_ctl(loop, source->wanted == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, source->fd, &event) < 0)
        return -1;
    source->wanted = wanted;
    return 0;
}

/* Closes a descriptor: orderly, or at once (RST), which throws away what this kernel still holds for the peer. */
static void hang_up(struct source *source, int at_once)
{
    struct linger none = {1, 0};

    if (source->fd < 0)
        return;
    if (at_once)
        setsockopt(source->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    close(source->fd); /* which takes it out of the epoll set */
    source->fd = -1;
    source->wanted = 0;
}

static unsigned *greetings(struct session *s)
{
    return &s->service->greetings[s->backend.slot % PLACES];
}

static void leave_backend(struct session *s, int at_once)
{
    if (s->phase == OPENS)
        --*greetings(s);
    s->phase = WAITS;
    hang_up(&s->server.source, at_once);
    s->server.begin = s->server.end = 0;
    s->server.gone = 0;
    if (s->selected)
        primacy_release(s->service->selector, &s->backend);
    s->selected = 0;
}

/* The memory stays until the end of the turn: events of the same turn may point to it. */
static void end_session(struct session *s, int at_once)
{
    leave_backend(s, at_once);
    hang_up(&s->client.source, at_once);
    if ((*s->at = s->next) != NULL)
        s->next->at = s->at;
    s->phase = OVER;
    s->next = graves;
    graves = s;
}

/* An error in place of the greeting: 1040, by which clients know that it is worth trying again. As in MySQL's own there is no
 * SQLSTATE so early: its client would show that as text. Numbers from 2000 on are the client library's; some refuse them. */
static void refuse(struct session *s, const char *text)
{
    unsigned char packet[1024] = {0, 0, 0, 0, 0xff, 1040 & 0xff, 1040 >> 8};
    size_t length = 3 + (size_t)snprintf((char *)packet + 7, 512, "%.511s", text);

    packet[0] = length & 0xff;
    packet[1] = length >> 8 & 0xff;
    send(s->client.source.fd, packet, 4 + length, MSG_NOSIGNAL);
    s->service->refused++;
    end_session(s, 0);
}

/* 0, or -1: the node cannot be reached, or 1: this machine is short of something. */
static int open_server(struct session *s)
{
    const struct sockaddr *to = (const struct sockaddr *)&s->backend.address;
    struct side *server = &s->server;
    int one = 1;

    server->source.fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server->source.fd < 0)
        return 1;
    if (to->sa_family != AF_UNIX)
        setsockopt(server->source.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(server->source.fd, to, s->backend.addrlen) < 0 && errno != EINPROGRESS)
        return errno == EADDRNOTAVAIL || errno == ENOBUFS || errno == ENOMEM ? 1 : -1;
    /* The server speaks first: readable means that it is there and greets, or what went wrong. */
    if (watch(&server->source, EPOLLIN) < 0)
        return 1;
    ++*greetings(s);
    s->phase = OPENS;
    s->open_until = now + greet_ms;
    return 0;
}

static void try_another(struct session *s)
{
    if (s->avoided < TRIES)
        s->avoid[s->avoided++] = s->backend.slot;
    leave_backend(s, 1);
}

/* Asks for a backend until one can be connected to, the client has to wait, or is refused. */
static void find_backend(struct session *s)
{
    struct primacy_select_options options;
    char text[512] = "the proxy is short of descriptors, ports or memory, or all nodes were tried in vain";
    int32_t error = 0;
    int opened;

    while (s->avoided < TRIES) {
        memset(&options, 0, sizeof options);
        options.size = sizeof options;
        options.avoid = s->avoid;
        options.avoid_count = s->avoided;
        s->backend.size = sizeof s->backend;
        if ((error = primacy_select(s->service->selector, &options, &s->backend)) < 0) {
            primacy_last_error(text, sizeof text);
            break;
        }
        s->selected = 1;
        if (*greetings(s) >= GREETINGS) {
            try_another(s);
            continue;
        }
        if ((opened = open_server(s)) == 0)
            return;
        if (opened > 0) {
            leave_backend(s, 1);
            break;
        }
        primacy_report(s->service->selector, &s->backend, PRIMACY_REPORT_CONNECT_FAILED);
        try_another(s);
    }
    /* While the role moves, and where all who take clients were tried in vain, the library may know better a moment later. */
    if (now >= s->give_up || (error < 0 && error != PRIMACY_E_PAUSED && (error != PRIMACY_E_NO_BACKEND || s->avoided == 0))) {
        refuse(s, text);
        return;
    }
    s->avoided = 0;
    s->ask_at = now + TICK_MS;
}

/* Nothing is under way as far as bytes can tell: the server had the last word, some time ago. */
static int is_idle(const struct session *s)
{
    char one;

    return s->answered != 0 && now - s->answered >= idle_ms && s->client.begin == s->client.end && s->server.begin == s->server.end &&
           recv(s->client.source.fd, &one, 1, MSG_PEEK) < 0 && errno == EAGAIN;
}

/* What becomes of a session now: 1 if it is no longer what it was. */
static int checked(struct session *s)
{
    int32_t fate;

    if (s->phase != OPENS && s->phase != OPEN)
        return 0;
    fate = primacy_backend_current(s->service->selector, &s->backend);
    if (fate == PRIMACY_SESSION_STAYS || (fate == PRIMACY_SESSION_DRAINS && s->phase == OPEN && !is_idle(s)))
        return 0;
    if (s->phase == OPENS) {
        /* Not greeted yet: it goes elsewhere and never knows. */
        s->service->moved++;
        leave_backend(s, 1);
        find_backend(s);
    } else if (fate == PRIMACY_SESSION_DRAINS) {
        s->service->drained++;
        end_session(s, 0);
    } else {
        s->service->killed++;
        end_session(s, 1);
    }
    return 1;
}

static int not_yet(ssize_t count)
{
    return count < 0 && (errno == EAGAIN || errno == EINTR);
}

/* Moves bytes from one side to the other. Nothing goes to a server that has lost its role, however long it has been here. */
static void pump(struct session *s, struct side *from, struct side *to)
{
    int to_server = from == &s->client, round;
    ssize_t count;

    for (round = 0; round < ROUNDS; round++) {
        if (to_server && (checked(s) || s->phase != OPEN))
            return;
        if (from->begin == from->end) {
            count = read(from->source.fd, from->bytes, BUFFER);
            if (not_yet(count))
                break;
            if (count <= 0) {
                end_session(s, 0);
                return;
            }
            from->begin = 0;
            from->end = (size_t)count;
        }
        count = send(to->source.fd, from->bytes + from->begin, from->end - from->begin, MSG_NOSIGNAL);
        if (not_yet(count))
            break;
        if (count < 0) {
            /* Gone. What a server said last is still to be read. */
            from->begin = from->end = 0;
            if (!to_server)
                end_session(s, 0);
            return;
        }
        from->begin += (size_t)count;
        s->answered = to_server ? 0 : now;
        if (to_server && trace != NULL)
            fprintf(trace, "%llu forward %s %zd\n", (unsigned long long)monotonic_ns(), s->node, count);
    }
}

/* Each side is read while there is room, and written while there is something for it. */
static void want(struct session *s)
{
    int up = s->client.begin != s->client.end, down = s->server.begin != s->server.end, gone = s->server.gone;

    /* EPOLLERR comes unasked; with it the set is never empty. */
    if (s->phase == OPEN && (watch(&s->client.source, EPOLLERR | (up ? 0 : EPOLLIN) | (down || gone ? EPOLLOUT : 0)) < 0 ||
                             (!gone && watch(&s->server.source, EPOLLERR | (down ? 0 : EPOLLIN) | (up ? EPOLLOUT : 0)) < 0)))
        end_session(s, 1);
}

/* The first bytes of a server, or why there are none. */
static void greeted(struct session *s)
{
    struct side *server = &s->server;
    ssize_t count;

    if (checked(s) || not_yet(count = read(server->source.fd, server->bytes, BUFFER)))
        return;
    if (count <= 0) {
        primacy_report(s->service->selector, &s->backend, PRIMACY_REPORT_CONNECT_FAILED);
        try_another(s);
        find_backend(s);
        return;
    }
    primacy_report(s->service->selector, &s->backend, PRIMACY_REPORT_CONNECTED);
    if (trace != NULL)
        primacy_node_name(s->service->selector, s->backend.slot, s->node, sizeof s->node);
    server->begin = 0;
    server->end = (size_t)count;
    --*greetings(s);
    s->phase = OPEN;
    pump(s, server, &s->client);
}

static void ready(struct side *side, uint32_t events)
{
    struct session *s = side->session;

    if (s->phase == OVER || side->source.fd < 0)
        return;
    if (s->phase != OPEN) {
        if (side == &s->server)
            greeted(s);
        else if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
            end_session(s, 1);
    } else if (side == &s->client && (events & (EPOLLHUP | EPOLLERR))) {
        end_session(s, 1);
    } else {
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
            pump(s, side, side == &s->client ? &s->server : &s->client);
        if ((events & EPOLLOUT) && s->phase == OPEN)
            pump(s, side == &s->client ? &s->server : &s->client, side);
        /* The client is slow, or there is much: the rest is read whenever the client has room. */
        if (side == &s->server && (events & (EPOLLHUP | EPOLLERR)) && s->phase == OPEN && !side->gone) {
            epoll_ctl(loop, EPOLL_CTL_DEL, side->source.fd, NULL);
            side->gone = 1;
        }
    }
    want(s);
}

static void accept_clients(struct service *service)
{
    struct session *s;
    int fd, one = 1, count;

    for (count = 0; count < ACCEPTS; count++) {
        fd = accept4(service->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            /* Out of descriptors or memory: the queue waits for the next tick, and the loop does not spin. */
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                watch(&service->listener, EPOLLERR);
            return;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if ((s = calloc(1, sizeof *s)) == NULL) {
            close(fd);
            return;
        }
        s->client.source = (struct source){CLIENT, fd, 0};
        s->server.source = (struct source){SERVER, -1, 0};
        s->client.session = s->server.session = s;
        s->service = service;
        s->give_up = now + wait_ms;
        s->at = &sessions;
        if ((s->next = sessions) != NULL)
            s->next->at = &s->next;
        sessions = s;
        service->accepted++;
        /* Nothing is read from a client that was not greeted; that it leaves is seen. */
        if (watch(&s->client.source, EPOLLRDHUP) < 0)
            end_session(s, 1);
        else
            find_backend(s);
    }
}

/* Every session: whether it may stay, and what time alone brings. */
static void sweep(void)
{
    struct session *s, *next;
    int i;

    for (i = 0; i < service_count; i++)
        watch(&services[i].listener, EPOLLIN);
    for (s = sessions; s != NULL; s = next) {
        next = s->next;
        if (checked(s) || (s->phase == WAITS && now < s->ask_at) || (s->phase == OPENS && now < s->open_until) || s->phase == OPEN)
            continue;
        if (s->phase == OPENS) {
            primacy_report(s->service->selector, &s->backend, PRIMACY_REPORT_CONNECT_TIMED_OUT);
            try_another(s);
        }
        find_backend(s);
    }
}

/* Events say when to look; what is so is asked of the selectors. */
static void take_events(primacy_events *events)
{
    struct primacy_event event;

    event.size = sizeof event;
    while (primacy_events_next(events, &event) > 0) {
        if (trace != NULL)
            fprintf(trace, "%llu event %s %llu %s\n", (unsigned long long)monotonic_ns(), primacy_event_kind_name(event.kind),
                    (unsigned long long)event.mono_ns, event.node);
        printf("%s %s %s: %s\n", primacy_event_kind_name(event.kind), event.pool, event.node, event.message);
    }
    fflush(NULL);
    sweep();
}

static int listen_at(const char *address, const char *port, struct source *listener)
{
    struct addrinfo hints, *found = NULL;
    int one = 1, error;

    memset(&hints, 0, sizeof hints);
    hints.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    error = getaddrinfo(address, port, &hints, &found);
    if (error == 0 && ((listener->fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) < 0 ||
                       setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
                       bind(listener->fd, found->ai_addr, found->ai_addrlen) < 0 || listen(listener->fd, 1024) < 0 ||
                       watch(listener, EPOLLIN) < 0))
        error = EAI_SYSTEM;
    if (error != 0)
        fprintf(stderr, "proxy: %s port %s: %s\n", address, port, error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
    if (found != NULL)
        freeaddrinfo(found);
    return error == 0 ? 0 : -1;
}

static int serve(primacy_instance *p, primacy_events *events, struct source *signals)
{
    struct source library = {LIBRARY, -1, 0}, queue = {EVENTS, -1, 0};
    struct epoll_event ready_now[READY];
    struct session *dead;
    int64_t swept = 0;
    int32_t error;
    int count, i;

    if ((library.fd = primacy_fd(p)) < 0)
        return failed("descriptor", library.fd);
    queue.fd = primacy_events_fd(events);
    if (watch(&library, EPOLLIN) < 0 || watch(&queue, EPOLLIN) < 0 || watch(signals, EPOLLIN) < 0) {
        perror("proxy: epoll");
        return 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        count = epoll_wait(loop, ready_now, READY, sessions != NULL ? TICK_MS : 1000);
        if (count < 0 && errno != EINTR) {
            perror("proxy: epoll");
            return 1;
        }
        now = (int64_t)(monotonic_ns() / 1000000);
        for (i = 0; i < count; i++) {
            struct source *source = ready_now[i].data.ptr;

            if (source->kind == SIGNALS)
                return 0;
            /* Never blocks; what is left over keeps the descriptor readable. */
            if (source->kind == LIBRARY && (error = primacy_dispatch(p)) < 0)
                return failed("dispatch", error);
            if (source->kind == EVENTS)
                take_events(events);
            if (source->kind == LISTENER)
                accept_clients((struct service *)source);
            if (source->kind == CLIENT || source->kind == SERVER)
                ready((struct side *)source, ready_now[i].events);
        }
        if (now - swept >= TICK_MS) {
            sweep();
            swept = now;
        }
        for (; graves != NULL; graves = dead) {
            dead = graves->next;
            free(graves);
        }
    }
}

int main(int argc, char **argv)
{
    const char *address = "127.0.0.1";
    primacy_config *config = NULL;
    primacy_instance *p = NULL;
    primacy_events *events = NULL;
    struct source signals = {SIGNALS, -1, 0};
    struct rlimit files;
    sigset_t ending;
    int32_t error;
    int code = 0, option, i;

    while ((option = getopt(argc, argv, "b:c:i:w:t:")) != -1) {
        int64_t *limit = option == 'c' ? &greet_ms : option == 'i' ? &idle_ms : option == 'w' ? &wait_ms : NULL;

        if (option == '?')
            goto usage;
        if (limit != NULL)
            *limit = atoi(optarg);
        if (option == 'b')
            address = optarg;
        if (option == 't' && (trace = fopen(optarg, "w")) == NULL) {
            perror(optarg);
            return 1;
        }
    }
    if (argc - optind < 2 || argc - optind > 1 + SERVICES)
        goto usage;
    for (i = optind + 1; i < argc; i++)
        if (strchr(argv[i], '=') == NULL)
            goto usage;

    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    signals.fd = signalfd(-1, &ending, SFD_NONBLOCK | SFD_CLOEXEC);
    if (signals.fd < 0 || (loop = epoll_create1(EPOLL_CLOEXEC)) < 0) {
        perror("proxy");
        return 1;
    }

    if ((error = primacy_config_new(&config)) < 0 || (error = primacy_config_load_file(config, argv[optind])) < 0)
        code = failed(argv[optind], error);
    else if ((error = primacy_instance_new(config, &p)) < 0)
        code = failed("instance", error);
    else if ((error = primacy_events_new(p, NULL, 1024, &events)) < 0)
        code = failed("events", error);
    primacy_config_free(config);
    for (i = optind + 1; code == 0 && i < argc; i++) {
        struct service *service = &services[service_count++];
        char *port = strchr(argv[i], '=');

        service->name = argv[i];
        service->listener = (struct source){LISTENER, -1, 0};
        *port = '\0';
        if ((error = primacy_selector_new(p, service->name, NULL, &service->selector)) < 0)
            code = failed(service->name, error);
        else if (listen_at(address, port + 1, &service->listener) < 0)
            code = 1;
    }
    if (code == 0)
        code = serve(p, events, &signals);

    while (sessions != NULL)
        end_session(sessions, 0); /* the process ends: their memory goes with it */
    for (i = 0; i < service_count; i++) {
        struct service *s = &services[i];

        printf("%s: %lu accepted, %lu refused, %lu moved, %lu killed, %lu drained\n", s->name, s->accepted, s->refused, s->moved, s->killed,
               s->drained);
        primacy_selector_free(s->selector);
        hang_up(&s->listener, 0);
    }
    if (trace != NULL)
        fclose(trace);
    primacy_events_free(events);
    primacy_instance_free(p);
    return code;

usage:
    fprintf(stderr, "usage: proxy [-b ADDRESS] [-c MS] [-i MS] [-w MS] [-t TRACE] CONFIG SERVICE=PORT...\n");
    return 2;
}
