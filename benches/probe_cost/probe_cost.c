/*
 * What one probe of a kept connection costs the prober, beside other ways to do the same round trip.
 *
 * Takes blocks as lines on standard input and answers each with one line, so that a driver can interleave contenders:
 *
 *   block CONTENDER GAP_US COUNT        ok OPS CPU_US_PER_OP WALL_US_MEDIAN REQUEST_BYTES ANSWER_BYTES PIECES
 *
 *   echo REQUEST ANSWER PIECES PAUSE_US ok
 *
 * CONTENDER is thread (the library on its own thread), host (the library in a host's epoll loop), bare (write, epoll_wait, read against
 * the process that `echo` starts), or libmariadb. CPU is user and system time of the prober alone: the server and the echo are other
 * processes. Every contender sleeps between operations, and its sleep is counted.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <mysql.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <primacy.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* glibc's own structure ends before the counters; linux/tcp.h cannot be included beside it. */
struct tcp_counters {
    struct tcp_info info;
    uint64_t pacing_rate, max_pacing_rate, bytes_acked, bytes_received;
    uint32_t segs_out, segs_in, notsent_bytes, min_rtt, data_segs_in, data_segs_out;
    uint64_t delivery_rate, busy_time, rwnd_limited, sndbuf_limited;
    uint32_t delivered, delivered_ce;
    uint64_t bytes_sent;
};

enum { WARM_UP = 25, MOST = 20000 };

static const char *host, *user, *password_file, *query;
static char password[256];
static int port;
static double walls[MOST];

struct result {
    long ops;
    double cpu_us, wall_us, request, answer, pieces;
};

static void die(const char *what)
{
    fprintf(stderr, "probe_cost: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void library_failed(const char *what)
{
    char text[1024] = "";
    primacy_last_error(text, sizeof text);
    fprintf(stderr, "probe_cost: %s: %s\n", what, text);
    exit(1);
}

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void sleep_until(int64_t at)
{
    struct timespec t = {at / 1000000000, at % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(long n)
{
    if (n == 0)
        return 0;
    qsort(walls, (size_t)n, sizeof *walls, by_size);
    return n % 2 ? walls[n / 2] : (walls[n / 2 - 1] + walls[n / 2]) / 2;
}

static void count_bytes(int fd, struct tcp_counters *into)
{
    socklen_t length = sizeof *into;
    memset(into, 0, sizeof *into);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, into, &length) != 0)
        die("TCP_INFO");
    if (length < sizeof *into) {
        fprintf(stderr, "probe_cost: this kernel's TCP_INFO has no byte counters (Linux 4.19 has them)\n");
        exit(1);
    }
}

static void traffic(struct result *r, const struct tcp_counters *before, const struct tcp_counters *after)
{
    double ops = (double)(after->data_segs_out - before->data_segs_out);
    if (ops > 0) {
        r->request = (double)(after->bytes_sent - before->bytes_sent) / ops;
        r->answer = (double)(after->bytes_received - before->bytes_received) / ops;
        r->pieces = (double)(after->data_segs_in - before->data_segs_in) / ops;
    }
}

/* --- the library ------------------------------------------------------------------------------------------------------------- */

static primacy_instance *make_instance(long gap_us)
{
    char text[2048];
    int length = snprintf(text, sizeof text,
        "[probe]\nuser = \"%s\"\npassword_file = \"%s\"\nrsa_public_key = \"from-server\"\ninterval = \"%ldus\"\n"
        "confirm_interval = \"5ms\"\nlogin_interval = \"1h\"\n[pool.bench]\nnodes = [ { address = \"%s:%d\", type = \"primary\" } ]\n",
        user, password_file, gap_us, host, port);
    primacy_config *config;
    primacy_instance *instance;
    if (primacy_config_new(&config) || primacy_config_load_text(config, text, (size_t)length, "bench") ||
        primacy_instance_new(config, &instance))
        library_failed("configuration");
    primacy_config_free(config);
    return instance;
}

/* The library's connection, found as anybody can find it: the only socket of this process with that peer. */
static int find_socket(void)
{
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;
        if (getpeername(fd, (struct sockaddr *)&peer, &length) == 0 && peer.sin_family == AF_INET &&
            ntohs(peer.sin_port) == port)
            return fd;
    }
    return -1;
}

static void check_healthy(primacy_instance *instance)
{
    primacy_snapshot *snapshot;
    primacy_node node = {.size = sizeof node};
    if (primacy_snapshot_take(instance, &snapshot) || primacy_snapshot_node(snapshot, 0, 0, &node))
        library_failed("snapshot");
    if (node.state != PRIMACY_STATE_ACTIVE || node.status != PRIMACY_STATUS_OK || node.cause != PRIMACY_CAUSE_OK) {
        fprintf(stderr, "probe_cost: the node is not healthy: %s\n", node.message);
        exit(1);
    }
    primacy_snapshot_free(snapshot);
}

static struct result run_thread(long gap_us, long count)
{
    struct result r = {0};
    struct tcp_counters before, after;
    primacy_instance *instance = make_instance(gap_us);
    if (primacy_start(instance))
        library_failed("start");
    int64_t now = read_clock(CLOCK_MONOTONIC);
    sleep_until(now + (WARM_UP * gap_us + 300000) * 1000);
    check_healthy(instance);
    int fd = find_socket();
    count_bytes(fd, &before);
    int64_t cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    now = read_clock(CLOCK_MONOTONIC);
    sleep_until(now + count * gap_us * 1000);
    cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    count_bytes(fd, &after);
    r.ops = after.data_segs_out - before.data_segs_out;
    r.cpu_us = (double)cpu / 1000 / (double)r.ops;
    traffic(&r, &before, &after);
    check_healthy(instance);
    primacy_instance_free(instance);
    return r;
}

/* Turns the host's loop until `probes` more probes have ended. A turn that handles an input while no probe is out is the timer that
 * sends one; the next that does has its answer. */
static void turn(primacy_instance *instance, int loop, long probes, double *took)
{
    int64_t started = 0;
    long ended = 0;
    while (ended < probes) {
        struct epoll_event event;
        if (epoll_wait(loop, &event, 1, 5000) != 1)
            die("nothing happens in the host's loop");
        int64_t now = took ? read_clock(CLOCK_MONOTONIC) : 1;
        int32_t handled = primacy_dispatch(instance);
        if (handled < 0)
            library_failed("dispatch");
        if (handled == 0)
            continue;
        if (!started) {
            started = now;
        } else {
            if (took)
                took[ended] = (double)(read_clock(CLOCK_MONOTONIC) - started) / 1000;
            started = 0;
            ended++;
        }
    }
}

static struct result run_host(long gap_us, long count)
{
    struct result r = {0};
    struct tcp_counters before, after;
    primacy_instance *instance = make_instance(gap_us);
    int fd = primacy_fd(instance);
    if (fd < 0)
        library_failed("fd");
    int loop = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event))
        die("epoll");
    /* The first probe is asked for by primacy_fd itself; find the rhythm by ending it, and a few more. */
    int64_t quiet = read_clock(CLOCK_MONOTONIC);
    while (find_socket() < 0 || read_clock(CLOCK_MONOTONIC) - quiet < 300000000) {
        if (epoll_wait(loop, &event, 1, 1000) == 1 && primacy_dispatch(instance) < 0)
            library_failed("dispatch");
    }
    int socket_fd = find_socket();
    for (;;) {
        /* In step when nothing is out: everything sent has been answered, and the next turn is a timer's. */
        count_bytes(socket_fd, &before);
        if (epoll_wait(loop, &event, 1, 1000) == 1) {
            if (primacy_dispatch(instance) < 0)
                library_failed("dispatch");
            count_bytes(socket_fd, &after);
            if (after.data_segs_out == before.data_segs_out)
                continue;
            int32_t handled = 0;
            while (handled == 0) {
                if (epoll_wait(loop, &event, 1, 1000) == 1)
                    handled = primacy_dispatch(instance);
            }
            break;
        }
    }
    turn(instance, loop, WARM_UP, NULL);
    check_healthy(instance);
    count_bytes(socket_fd, &before);
    int64_t cpu = read_clock(CLOCK_THREAD_CPUTIME_ID);
    turn(instance, loop, count, walls);
    cpu = read_clock(CLOCK_THREAD_CPUTIME_ID) - cpu;
    count_bytes(socket_fd, &after);
    r.ops = after.data_segs_out - before.data_segs_out;
    if (r.ops != count)
        fprintf(stderr, "probe_cost: %ld probes counted in the loop, %ld on the wire\n", count, r.ops);
    r.cpu_us = (double)cpu / 1000 / (double)count;
    r.wall_us = median(count);
    traffic(&r, &before, &after);
    check_healthy(instance);
    close(loop);
    primacy_instance_free(instance);
    return r;
}

/* --- a bare round trip ------------------------------------------------------------------------------------------------------- */

static struct {
    pid_t pid;
    int fd, epoll;
    size_t request, answer;
} echo;

/* The other process: reads a request, waits `pause` before each further piece as a server does that works on the next statement. */
static void serve(int fd, size_t request, size_t answer, int pieces, int64_t pause)
{
    char *buffer = calloc(1, request + answer);
    size_t got = 0;
    for (;;) {
        ssize_t n = read(fd, buffer, request - got);
        if (n <= 0)
            _exit(0);
        if ((got += (size_t)n) < request)
            continue;
        got = 0;
        size_t sent = 0;
        for (int piece = 1; piece <= pieces; piece++) {
            /* As with the real thing, all but the last piece are small. */
            size_t until = piece == pieces ? answer : (size_t)piece * 256;
            if (piece > 1)
                for (int64_t end = read_clock(CLOCK_MONOTONIC) + pause; read_clock(CLOCK_MONOTONIC) < end;)
                    ;
            while (sent < until) {
                ssize_t w = write(fd, buffer, until - sent);
                if (w <= 0)
                    _exit(0);
                sent += (size_t)w;
            }
        }
    }
}

static void start_echo(size_t request, size_t answer, int pieces, long pause_us)
{
    if (echo.pid > 0) {
        close(echo.fd);
        close(echo.epoll);
        waitpid(echo.pid, NULL, 0);
    }
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof name;
    if (listener < 0 || bind(listener, (struct sockaddr *)&name, length) || listen(listener, 1) ||
        getsockname(listener, (struct sockaddr *)&name, &length))
        die("listen");
    echo.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(echo.fd, (struct sockaddr *)&name, length))
        die("connect");
    int served = accept(listener, NULL, NULL);
    setsockopt(echo.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(served, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    close(listener);
    echo.pid = fork();
    if (echo.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(echo.fd);
        serve(served, request, answer, pieces, pause_us * 1000);
    }
    close(served);
    echo.request = request;
    echo.answer = answer;
    echo.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN};
    epoll_ctl(echo.epoll, EPOLL_CTL_ADD, echo.fd, &event);
}

static void bare_trip(void)
{
    static char buffer[65536];
    if (write(echo.fd, buffer, echo.request) != (ssize_t)echo.request)
        die("write");
    size_t got = 0;
    while (got < echo.answer) {
        struct epoll_event event;
        if (epoll_wait(echo.epoll, &event, 1, 5000) != 1)
            die("epoll_wait");
        ssize_t n = recv(echo.fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n <= 0)
            die("recv");
        got += (size_t)n;
    }
}

/* --- libmariadb -------------------------------------------------------------------------------------------------------------- */

static MYSQL *client;

static void client_trip(void)
{
    if (mysql_real_query(client, query, strlen(query)))
        goto failed;
    int more;
    do {
        MYSQL_RES *rows = mysql_store_result(client);
        if (!rows)
            goto failed;
        mysql_free_result(rows);
        more = mysql_next_result(client);
    } while (more == 0);
    if (more < 0)
        return;
failed:
    fprintf(stderr, "probe_cost: libmariadb: %s\n", mysql_error(client));
    exit(1);
}

static void open_client(void)
{
    my_bool off = 0;
    client = mysql_init(NULL);
    mysql_options(client, MYSQL_OPT_SSL_ENFORCE, &off);
    if (!mysql_real_connect(client, host, user, password, NULL, (unsigned)port, NULL, CLIENT_MULTI_STATEMENTS)) {
        fprintf(stderr, "probe_cost: libmariadb: %s\n", mysql_error(client));
        exit(1);
    }
}

static struct result run_trips(void (*trip)(void), int fd, long gap_us, long count)
{
    struct result r = {.ops = count};
    struct tcp_counters before, after;
    int64_t at = read_clock(CLOCK_MONOTONIC), cpu = 0;
    for (long i = -WARM_UP; i < count; i++) {
        if (i == 0) {
            count_bytes(fd, &before);
            cpu = read_clock(CLOCK_THREAD_CPUTIME_ID);
        }
        if (gap_us > 0)
            sleep_until(at += gap_us * 1000);
        int64_t started = read_clock(CLOCK_MONOTONIC);
        trip();
        if (i >= 0)
            walls[i] = (double)(read_clock(CLOCK_MONOTONIC) - started) / 1000;
    }
    cpu = read_clock(CLOCK_THREAD_CPUTIME_ID) - cpu;
    count_bytes(fd, &after);
    r.cpu_us = (double)cpu / 1000 / (double)count;
    r.wall_us = median(count);
    traffic(&r, &before, &after);
    return r;
}

static void read_password(void)
{
    FILE *file = fopen(password_file, "r");
    if (!file || !fgets(password, sizeof password, file))
        die(password_file);
    password[strcspn(password, "\n")] = 0;
    fclose(file);
}

int main(int argc, char **argv)
{
    char line[256], name[32];
    long gap, count, pieces;
    if (argc != 6) {
        fprintf(stderr, "usage: probe_cost HOST PORT USER PASSWORD_FILE QUERY\n");
        return 2;
    }
    host = argv[1], port = atoi(argv[2]), user = argv[3], password_file = argv[4], query = argv[5];
    read_password();
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin)) {
        struct result r;
        long request, answer, pause;
        if (sscanf(line, "echo %ld %ld %ld %ld", &request, &answer, &pieces, &pause) == 4) {
            start_echo((size_t)request, (size_t)answer, (int)pieces, pause);
            printf("ok\n");
            continue;
        }
        if (sscanf(line, "block %31s %ld %ld", name, &gap, &count) != 3 || count < 1 || count > MOST) {
            fprintf(stderr, "probe_cost: not understood: %s", line);
            return 2;
        }
        if (!strcmp(name, "thread")) {
            r = run_thread(gap, count);
        } else if (!strcmp(name, "host")) {
            r = run_host(gap, count);
        } else if (!strcmp(name, "bare") && echo.pid > 0) {
            r = run_trips(bare_trip, echo.fd, gap, count);
        } else if (!strcmp(name, "libmariadb")) {
            open_client();
            r = run_trips(client_trip, mysql_get_socket(client), gap, count);
            mysql_close(client);
        } else {
            fprintf(stderr, "probe_cost: not understood: %s", line);
            return 2;
        }
        printf("ok %ld %.3f %.3f %.1f %.1f %.2f\n", r.ops, r.cpu_us, r.wall_us, r.request, r.answer, r.pieces);
    }
    if (echo.pid > 0)
        kill(echo.pid, SIGKILL);
    return 0;
}
