/*
 * What it costs to watch many nodes: one instance of the library, or bare pairs of the same request and answer.
 *
 *   fleet library NODES POOL INTERVAL_MS LOGIN_INTERVAL SECONDS PORT USER PASSWORD_FILE
 *   fleet bare    NODES RECORDING INTERVAL_MS SECONDS PORT
 *
 * Nodes are 127.1.0.0 and up, so that each has an address of its own. The library has pools of POOL nodes and a thread of its own; bare
 * pairs are one epoll loop that sends each node its request every interval, evenly spread, and reads the answer to its end: no
 * timeout, no protocol, no decision. Prints "ready", waits for a line, measures, and prints
 *
 *   CPU_US WALL_US RSS_BYTES_PER_NODE FDS THREADS
 *
 * CPU is user and system time of this process. Memory is what this process has more than before it knew of any node.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <primacy.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "fleet: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void library_failed(const char *what)
{
    char text[1024] = "";
    primacy_last_error(text, sizeof text);
    fprintf(stderr, "fleet: %s: %s\n", what, text);
    exit(1);
}

static int64_t read_clock(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void sleep_ms(long ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

static long resident(void)
{
    long size, pages;
    FILE *file = fopen("/proc/self/statm", "r");
    if (!file || fscanf(file, "%ld %ld", &size, &pages) != 2)
        die("statm");
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}

static int count_entries(const char *path)
{
    int count = 0;
    DIR *dir = opendir(path);
    if (!dir)
        die(path);
    while (readdir(dir))
        count++;
    closedir(dir);
    return count - 2;
}

static void announce(void)
{
    char line[16];
    puts("ready");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin))
        exit(0);
}

static void result(int64_t cpu, int64_t wall, long memory, long nodes)
{
    printf("%lld %lld %ld %d %d\n", (long long)(cpu / 1000), (long long)(wall / 1000), memory / nodes, count_entries("/proc/self/fd") - 1,
        count_entries("/proc/self/task"));
    fflush(stdout);
}

static uint32_t address_of(long node)
{
    return 0x7f010000u + (uint32_t)node;
}

/* --- the library ------------------------------------------------------------------------------------------------------------- */

static char *describe(long nodes, long pool, const char *interval, const char *login, const char *port, const char *user, const char *file)
{
    size_t room = (size_t)nodes * 160 + 4096, used = 0;
    char *text = malloc(room);
    if (!text)
        die("memory");
    used += (size_t)snprintf(text, room,
        "[probe]\nuser = \"%s\"\npassword_file = \"%s\"\ntls = \"disabled\"\ninterval = \"%sms\"\nlogin_interval = \"%s\"\n", user, file, interval,
        login);
    for (long node = 0; node < nodes; node++) {
        uint32_t a = address_of(node);
        if (node % pool == 0)
            used += (size_t)snprintf(text + used, room - used, "[pool.p%ld]\nnodes = [\n", node / pool);
        used += (size_t)snprintf(text + used, room - used, "{ address = \"%u.%u.%u.%u:%s\", type = \"%s\" },\n", a >> 24, a >> 16 & 255,
            a >> 8 & 255, a & 255, port, node % pool == 0 ? "primary" : "secondary");
        if (node % pool == pool - 1 || node == nodes - 1)
            used += (size_t)snprintf(text + used, room - used, "]\n");
    }
    return text;
}

static long healthy(primacy_instance *instance, long nodes, long pool, int show)
{
    primacy_snapshot *snapshot;
    long good = 0;
    if (primacy_snapshot_take(instance, &snapshot))
        library_failed("snapshot");
    for (long i = 0; i < nodes; i++) {
        primacy_node node = {.size = sizeof node};
        if (primacy_snapshot_node(snapshot, (uint32_t)(i / pool), (uint32_t)(i % pool), &node))
            library_failed("snapshot");
        int fine = node.status == PRIMACY_STATUS_OK && (node.state == PRIMACY_STATE_ACTIVE || node.state == PRIMACY_STATE_STANDBY);
        good += fine;
        if (!fine && show-- > 0)
            fprintf(stderr, "fleet: %s is %s/%s: %s\n", node.name, primacy_state_name(node.state), primacy_status_name(node.status), node.message);
    }
    primacy_snapshot_free(snapshot);
    return good;
}

static int run_library(char **argv)
{
    long nodes = atol(argv[2]), pool = atol(argv[3]), seconds = atol(argv[6]);
    char *text = describe(nodes, pool, argv[4], argv[5], argv[7], argv[8], argv[9]);
    long before = resident();
    primacy_config *config;
    primacy_instance *instance;
    if (primacy_config_new(&config) || primacy_config_load_text(config, text, strlen(text), "fleet") ||
        primacy_instance_new(config, &instance))
        library_failed("configuration");
    primacy_config_free(config);
    int64_t started = read_clock(CLOCK_MONOTONIC), cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    if (primacy_start(instance))
        library_failed("start");
    while (healthy(instance, nodes, pool, 0) < nodes) {
        if (read_clock(CLOCK_MONOTONIC) - started > 60000000000) {
            fprintf(stderr, "fleet: %ld of %ld nodes are healthy\n", healthy(instance, nodes, pool, 5), nodes);
            exit(1);
        }
        sleep_ms(500);
    }
    fprintf(stderr, "fleet: all healthy after %.2f s, %.2f s of CPU\n", (double)(read_clock(CLOCK_MONOTONIC) - started) / 1e9,
        (double)(read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu) / 1e9);
    sleep_ms(2000);
    announce();
    started = read_clock(CLOCK_MONOTONIC);
    cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    sleep_ms(seconds * 1000);
    cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    int64_t wall = read_clock(CLOCK_MONOTONIC) - started;
    long memory = resident() - before;
    if (healthy(instance, nodes, pool, 5) < nodes) {
        fprintf(stderr, "fleet: not all nodes stayed healthy\n");
        return 1;
    }
    result(cpu, wall, memory, nodes);
    primacy_instance_free(instance);
    free(text);
    return 0;
}

/* --- bare pairs ---------------------------------------------------------------------------------------------------------------- */

struct pair {
    int fd;
    uint32_t left;
};

static unsigned char *request;
static uint32_t request_length, answer_length;
static unsigned char login[512];
static uint32_t login_length, greeting_length, welcome_length;

static uint32_t read_piece(FILE *file, unsigned char **into)
{
    unsigned char head[4];
    if (fread(head, 1, 4, file) != 4)
        die("the recording ends early");
    uint32_t length = (uint32_t)head[0] | (uint32_t)head[1] << 8 | (uint32_t)head[2] << 16 | (uint32_t)head[3] << 24;
    *into = malloc(length + 1);
    if (!*into || fread(*into, 1, length, file) != length)
        die("the recording ends early");
    return length;
}

static void load(const char *path)
{
    FILE *file = fopen(path, "rb");
    unsigned char *bytes, count;
    if (!file)
        die(path);
    greeting_length = read_piece(file, &bytes);
    login_length = read_piece(file, &bytes);
    if (login_length > sizeof login)
        die("a long login");
    memcpy(login, bytes, login_length);
    welcome_length = read_piece(file, &bytes);
    if (fread(&count, 1, 1, file) != 1)
        die("the recording ends early");
    /* The last question is that of a kept connection. */
    for (int i = 0; i < count; i++) {
        request_length = read_piece(file, &request);
        answer_length = read_piece(file, &bytes);
    }
    fclose(file);
}

static void read_exactly(int fd, uint32_t length)
{
    unsigned char buffer[4096];
    while (length > 0) {
        ssize_t got = recv(fd, buffer, length < sizeof buffer ? length : sizeof buffer, 0);
        if (got <= 0)
            die("the stand-in");
        length -= (uint32_t)got;
    }
}

static int run_bare(char **argv)
{
    static unsigned char buffer[16384];
    long nodes = atol(argv[2]), interval_ns = atol(argv[4]) * 1000000, seconds = atol(argv[5]);
    load(argv[3]);
    long before = resident();
    struct pair *pairs = calloc((size_t)nodes, sizeof *pairs);
    int loop = epoll_create1(EPOLL_CLOEXEC);
    if (!pairs || loop < 0)
        die("memory");
    for (long i = 0; i < nodes; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[6])), .sin_addr.s_addr = htonl(address_of(i))};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
        if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to))
            die("connect");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        read_exactly(fd, greeting_length);
        if (send(fd, login, login_length, MSG_NOSIGNAL) != (ssize_t)login_length)
            die("login");
        read_exactly(fd, welcome_length);
        struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)i};
        if (epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event))
            die("epoll");
        pairs[i].fd = fd;
    }
    announce();
    int64_t started = read_clock(CLOCK_MONOTONIC), cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID), end = started + seconds * 1000000000;
    int64_t now = started;
    for (long turn = 0; now < end;) {
        int64_t due = started + (turn / nodes) * interval_ns + (turn % nodes) * (interval_ns / nodes);
        if (due <= now) {
            struct pair *p = &pairs[turn % nodes];
            if (p->left)
                die("an answer took longer than the interval");
            if (send(p->fd, request, request_length, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)request_length)
                die("send");
            p->left = answer_length;
            turn++;
            continue;
        }
        struct epoll_event events[64];
        struct timespec wait = {(due - now) / 1000000000, (due - now) % 1000000000};
        int count = epoll_pwait2(loop, events, 64, &wait, NULL);
        for (int i = 0; i < count; i++) {
            struct pair *p = &pairs[events[i].data.u64];
            ssize_t got = recv(p->fd, buffer, sizeof buffer, MSG_DONTWAIT);
            if (got <= 0 || (uint32_t)got > p->left)
                die("the stand-in's answer");
            p->left -= (uint32_t)got;
        }
        now = read_clock(CLOCK_MONOTONIC);
    }
    cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    result(cpu, now - started, resident() - before, nodes);
    return 0;
}

int main(int argc, char **argv)
{
    struct rlimit most;
    if (getrlimit(RLIMIT_NOFILE, &most))
        die("limit");
    most.rlim_cur = most.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &most))
        die("limit");
    if (argc == 10 && strcmp(argv[1], "library") == 0)
        return run_library(argv);
    if (argc == 7 && strcmp(argv[1], "bare") == 0)
        return run_bare(argv);
    fprintf(stderr, "usage: fleet library|bare ...\n");
    return 2;
}
