/* The life of an instance: both ways to run, calls after stop, forked children. */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* An instance that probes 127.0.0.1:PORT itself, often. `cache` may be NULL. */
static primacy_instance *probing(int port, const char *cache)
{
    primacy_config *config = NULL;
    primacy_instance *p = NULL;
    char spec[128];

    snprintf(spec, sizeof spec, "name:orders;primary:127.0.0.1:%d;secondary:127.0.0.1:%d", port, port + 1);
    if (primacy_config_new(&config) != 0 || primacy_config_add_pool(config, spec) != 0 ||
        primacy_config_set(config, "probe.user", "nobody") != 0 ||
        primacy_config_set(config, "probe.interval", "50ms") != 0 ||
        primacy_config_set(config, "probe.timeout", "50ms") != 0 ||
        (cache != NULL && primacy_config_set(config, "cache_file", cache) != 0) || primacy_instance_new(config, &p) != 0) {
        char text[512];
        primacy_last_error(text, sizeof text);
        printf("# no instance: %s\n", text);
        check_failed = 1;
    }
    primacy_config_free(config);
    return p;
}

/* A socket that listens on a free port of 127.0.0.1; the port after it is free too, most likely. */
static int listener(int *port)
{
    struct sockaddr_in at;
    socklen_t length = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    memset(&at, 0, sizeof at);
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 64) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &length) < 0) {
        perror("# listener");
        exit(99);
    }
    *port = ntohs(at.sin_port);
    return fd;
}

/* How many observations the first node has had, as far as one can see. */
static uint64_t observed(primacy_instance *p)
{
    primacy_snapshot *snapshot = NULL;
    struct primacy_node node;

    memset(&node, 0, sizeof node);
    node.size = sizeof node;
    if (primacy_snapshot_take(p, &snapshot) == 0)
        primacy_snapshot_node(snapshot, 0, 0, &node);
    primacy_snapshot_free(snapshot);
    return node.observed_ms;
}

static int count_entries(const char *path)
{
    DIR *folder = opendir(path);
    int n = 0;

    while (folder != NULL && readdir(folder) != NULL)
        n++;
    if (folder != NULL)
        closedir(folder);
    return n;
}

/* Everything but what is left works no more, and says so. */
static void check_stopped(primacy_instance *p, const char *node)
{
    primacy_snapshot *snapshot = NULL;

    CHECK_CALL(0, primacy_stop(p));
    CHECK_CALL(PRIMACY_E_STATE, primacy_start(p));
    CHECK_CALL(PRIMACY_E_STOPPED, primacy_dispatch(p));
    CHECK_CALL(PRIMACY_E_STOPPED, check_observe(p, node, PRIMACY_CAUSE_OK, NULL));
    CHECK_CALL(PRIMACY_E_STOPPED, primacy_cycle(p, "orders", NULL));
    CHECK_CALL(PRIMACY_E_STOPPED, primacy_recover_node(p, "orders", node, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_STOPPED, primacy_recover_pool(p, "orders", 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_STOPPED, primacy_activate_primary(p, "orders", 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_STOPPED, primacy_remove_node(p, "orders", node, 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_STOPPED, primacy_run_cycle(p, "orders", 10));
    CHECK_CALL(0, primacy_snapshot_take(p, &snapshot));
    CHECK_CALL(0, primacy_snapshot_free(snapshot));
    CHECK(primacy_explain(p, "orders", NULL, 0) > 0 && primacy_budget(p, "orders", NULL, 0) > 0);
}

static void new_takes_hold_of_nothing(void)
{
    int descriptors = count_entries("/proc/self/fd"), threads = count_entries("/proc/self/task"), port;
    int fd = listener(&port);
    primacy_instance *p;

    close(fd);
    p = probing(port, NULL);
    CHECK(count_entries("/proc/self/fd") == descriptors);
    CHECK(count_entries("/proc/self/task") == threads);
    CHECK_CALL(0, primacy_instance_free(p));
    CHECK(count_entries("/proc/self/fd") == descriptors);
}

static void a_thread_of_its_own(void)
{
    int descriptors, threads = count_entries("/proc/self/task"), port, i;
    int fd = listener(&port);
    primacy_instance *p;
    primacy_events *events = NULL;
    struct primacy_event event;
    struct pollfd watched;
    int64_t began;
    char node[32];

    close(fd);
    descriptors = count_entries("/proc/self/fd");
    p = probing(port, NULL);
    CHECK_CALL(0, primacy_events_new(p, NULL, 64, &events));
    CHECK_CALL(0, primacy_start(p));
    CHECK_CALL(0, primacy_start(p));
    CHECK_CALL(PRIMACY_E_STATE, primacy_fd(p));
    CHECK_CALL(PRIMACY_E_STATE, primacy_dispatch(p));
    CHECK_CALL(PRIMACY_E_STATE, primacy_run_cycle(p, "orders", 10));
    CHECK_CALL(PRIMACY_E_NOT_FOUND, check_observe(p, "127.0.0.1:1", PRIMACY_CAUSE_OK, NULL));
    snprintf(node, sizeof node, "127.0.0.1:%d", port);
    CHECK_CALL(PRIMACY_E_STATE, check_observe(p, node, PRIMACY_CAUSE_OK, NULL)); /* the library probes this pool */
    for (i = 0; i < 100 && observed(p) == 0; i++)
        poll(NULL, 0, 20);
    CHECK(observed(p) != 0);
    CHECK(count_entries("/proc/self/task") > threads);
    watched.fd = primacy_events_fd(events);
    watched.events = POLLIN;
    CHECK(poll(&watched, 1, 2000) == 1);
    began = now_ms();
    CHECK_CALL(0, primacy_stop(p));
    CHECK(now_ms() - began < 1000);
    CHECK(count_entries("/proc/self/task") == threads);
    check_stopped(p, "127.0.0.1");
    event.size = sizeof event;
    CHECK_CALL(1, primacy_events_next(events, &event));
    while (primacy_events_next(events, &event) == 1)
        ;
    CHECK(poll(&watched, 1, 0) == 0);
    CHECK_CALL(0, primacy_events_free(events));
    CHECK_CALL(0, primacy_instance_free(p));
    CHECK(count_entries("/proc/self/fd") == descriptors);
}

static void the_hosts_loop(void)
{
    int threads = count_entries("/proc/self/task"), port, i, handled = 0;
    int fd = listener(&port);
    primacy_instance *p;
    struct pollfd watched;
    int64_t began;

    close(fd);
    p = probing(port, NULL);
    watched.fd = primacy_fd(p);
    watched.events = POLLIN;
    CHECK(watched.fd >= 0);
    CHECK_CALL(watched.fd, primacy_fd(p));
    CHECK_CALL(PRIMACY_E_STATE, primacy_start(p));
    for (i = 0; i < 200 && observed(p) == 0; i++) {
        if (poll(&watched, 1, 100) == 1) {
            int32_t done;
            began = now_ms();
            done = primacy_dispatch(p);
            CHECK(done >= 0);
            CHECK(now_ms() - began < 200);
            handled += done;
        }
    }
    CHECK(observed(p) != 0 && handled > 0);
    CHECK(count_entries("/proc/self/task") == threads);
    CHECK_CALL(0, primacy_stop(p));
    check_stopped(p, "127.0.0.1");
    CHECK_CALL(0, primacy_instance_free(p));
}

static void a_cycle_of_a_script(void)
{
    int port, fd = listener(&port);
    primacy_instance *p;

    close(fd);
    p = probing(port, NULL);
    CHECK_CALL(0, primacy_run_cycle(p, "orders", 5000));
    CHECK(observed(p) != 0);
    CHECK_CALL(PRIMACY_E_NOT_FOUND, primacy_run_cycle(p, "nothing", 100));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void a_stopped_external_pool(void)
{
    primacy_instance *p = check_instance();

    CHECK_CALL(0, check_observe(p, "10.0.1.11", PRIMACY_CAUSE_OK, NULL));
    check_stopped(p, "10.0.1.11");
    CHECK_CALL(0, primacy_instance_free(p));
}

/* Runs `body` in a forked child and gives whether it succeeded within 10 s. */
static int in_child(void (*body)(primacy_instance *, primacy_snapshot *, primacy_events *), primacy_instance *p,
                    primacy_snapshot *snapshot, primacy_events *events)
{
    pid_t child;
    int state = 0, i;

    fflush(stdout);
    child = fork();
    if (child == 0) {
        alarm(10);
        check_failed = 0;
        body(p, snapshot, events);
        fflush(stdout);
        _exit(check_failed);
    }
    for (i = 0; i < 1200; i++) {
        if (waitpid(child, &state, WNOHANG) == child)
            return WIFEXITED(state) && WEXITSTATUS(state) == 0;
        poll(NULL, 0, 10);
    }
    kill(child, SIGKILL);
    waitpid(child, &state, 0);
    return 0;
}

static void child_of_running(primacy_instance *p, primacy_snapshot *snapshot, primacy_events *events)
{
    primacy_snapshot *other = NULL;
    primacy_events *more = NULL;
    struct primacy_event event;
    struct primacy_node node;
    struct primacy_pool pool;
    struct primacy_snapshot_info info;
    int descriptors;

    event.size = sizeof event;
    node.size = sizeof node;
    pool.size = sizeof pool;
    info.size = sizeof info;
    CHECK_CALL(PRIMACY_E_FORKED, primacy_start(p));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_stop(p));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_fd(p));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_dispatch(p));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_run_cycle(p, "orders", 10));
    CHECK_CALL(PRIMACY_E_FORKED, check_observe(p, "127.0.0.1", PRIMACY_CAUSE_OK, NULL));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_cycle(p, "orders", NULL));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_recover_node(p, "orders", "x", 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_recover_pool(p, "orders", 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_activate_primary(p, "orders", 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_remove_node(p, "orders", "x", 0, NULL, 0));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_snapshot_take(p, &other));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_explain(p, "orders", NULL, 0));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_budget(p, "orders", NULL, 0));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_budget_json(p, "orders", NULL, 0));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_metrics_text(p, NULL, 0));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_active(p, "orders", NULL, 0));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_events_new(p, NULL, 4, &more));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_snapshot_get(snapshot, &info));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_snapshot_pool(snapshot, 0, &pool));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_snapshot_node(snapshot, 0, 0, &node));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_snapshot_json(snapshot, NULL, 0));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_events_fd(events));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_events_next(events, &event));
    CHECK(other == NULL && more == NULL);

    /* Freeing closes descriptor numbers, and the parent notices nothing. */
    descriptors = count_entries("/proc/self/fd");
    CHECK_CALL(0, primacy_snapshot_free(snapshot));
    CHECK_CALL(0, primacy_events_free(events));
    CHECK_CALL(0, primacy_instance_free(p));
    CHECK(count_entries("/proc/self/fd") < descriptors);

    /* The child has a life of its own. */
    p = probing(1, NULL);
    CHECK_CALL(0, primacy_start(p));
    CHECK_CALL(0, primacy_instance_free(p));
}

/* Whether the instance still probes. */
static int still_probes(primacy_instance *p, struct pollfd *loop)
{
    uint64_t before = observed(p);
    int i;

    for (i = 0; i < 200 && observed(p) == before; i++) {
        if (loop == NULL)
            poll(NULL, 0, 20);
        else if (poll(loop, 1, 100) == 1)
            primacy_dispatch(p);
    }
    return observed(p) != before;
}

static void fork_under_a_thread(void)
{
    int port, fd = listener(&port), i;
    primacy_instance *p;
    primacy_snapshot *snapshot = NULL;
    primacy_events *events = NULL;

    close(fd);
    p = probing(port, NULL);
    CHECK_CALL(0, primacy_events_new(p, NULL, 64, &events));
    CHECK_CALL(0, primacy_start(p));
    for (i = 0; i < 5; i++) {
        CHECK_CALL(0, primacy_snapshot_take(p, &snapshot));
        CHECK(in_child(child_of_running, p, snapshot, events));
        CHECK(still_probes(p, NULL));
        CHECK_CALL(0, primacy_snapshot_free(snapshot));
    }
    CHECK(primacy_events_fd(events) >= 0);
    CHECK_CALL(0, primacy_events_free(events));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void fork_under_the_hosts_loop(void)
{
    int port, fd = listener(&port);
    primacy_instance *p;
    primacy_snapshot *snapshot = NULL;
    primacy_events *events = NULL;
    struct pollfd watched;

    close(fd);
    p = probing(port, NULL);
    CHECK_CALL(0, primacy_events_new(p, NULL, 64, &events));
    watched.fd = primacy_fd(p);
    watched.events = POLLIN;
    CHECK(still_probes(p, &watched));
    CHECK_CALL(0, primacy_snapshot_take(p, &snapshot));
    CHECK(in_child(child_of_running, p, snapshot, events));
    CHECK(still_probes(p, &watched));
    primacy_snapshot_free(snapshot);
    primacy_events_free(events);
    CHECK_CALL(0, primacy_instance_free(p));
}

static void worker(primacy_instance *p, primacy_snapshot *snapshot, primacy_events *events)
{
    struct primacy_node node;
    struct primacy_event event;

    node.size = sizeof node;
    event.size = sizeof event;
    /* Made before the fork and never run: all of it works, but for the queue, whose descriptor is shared. */
    CHECK_CALL(0, primacy_snapshot_node(snapshot, 0, 0, &node));
    CHECK_CALL(PRIMACY_E_FORKED, primacy_events_next(events, &event));
    CHECK_CALL(0, primacy_events_free(events));
    events = NULL;
    CHECK_CALL(0, primacy_events_new(p, NULL, 16, &events));
    CHECK_CALL(0, primacy_start(p));
    CHECK(still_probes(p, NULL));
    CHECK(primacy_events_next(events, &event) >= 0);
    CHECK_CALL(0, primacy_events_free(events));
    CHECK_CALL(0, primacy_instance_free(p));
    CHECK_CALL(0, primacy_snapshot_free(snapshot));
}

static void forked_workers_start_on_their_own(void)
{
    int port, fd = listener(&port), i;
    primacy_instance *p;
    primacy_snapshot *snapshot = NULL;
    primacy_events *events = NULL;

    close(fd);
    p = probing(port, NULL);
    CHECK_CALL(0, primacy_events_new(p, NULL, 64, &events));
    CHECK_CALL(0, primacy_snapshot_take(p, &snapshot));
    for (i = 0; i < 3; i++)
        CHECK(in_child(worker, p, snapshot, events));
    /* And the parent can too. */
    CHECK_CALL(0, primacy_start(p));
    CHECK(still_probes(p, NULL));
    CHECK_CALL(0, primacy_snapshot_free(snapshot));
    CHECK_CALL(0, primacy_events_free(events));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void child_without_the_lock(primacy_instance *p, primacy_snapshot *snapshot, primacy_events *events)
{
    (void)snapshot;
    (void)events;
    /* The parent holds the cache: the child must not believe that it does. */
    CHECK_CALL(PRIMACY_E_LOCKED, primacy_start(p));
    CHECK_CALL(0, primacy_instance_free(p));
}

static void a_cache_stays_with_its_process(void)
{
    char folder[] = "/tmp/primacy-life-XXXXXX", cache[64], lock[80];
    int port, fd = listener(&port);
    primacy_instance *p;

    close(fd);
    CHECK(mkdtemp(folder) != NULL);
    snprintf(cache, sizeof cache, "%s/cache", folder);
    snprintf(lock, sizeof lock, "%s.lock", cache);
    p = probing(port, cache);
    CHECK(observed(p) == 0); /* opens the cache */
    CHECK(in_child(child_without_the_lock, p, NULL, NULL));
    CHECK_CALL(0, primacy_start(p));
    CHECK(still_probes(p, NULL));
    CHECK_CALL(0, primacy_instance_free(p));
    CHECK(access(cache, R_OK) == 0);
    unlink(cache);
    unlink(lock);
    CHECK(rmdir(folder) == 0);
}

/*
 * A host that leaves SIGPIPE as it is, and peers that are gone before the library answers. The first four bytes of each packet are
 * its length and number: a greeting, and a request for another method that stands in the buffer behind it. Whether a write meets
 * EPIPE is up to chance, so this runs under the spy too, which looks at every write to a socket.
 */
static void peers_that_close_raise_no_signal(void)
{
    int port, fd = listener(&port), i, accepted = 0;
    primacy_instance *p = probing(port, NULL);
    struct pollfd watched[2];
    struct linger hard;
    static const char greeting[] =
        "\x49\0\0\0\x0a" "8.4.0\0" "\x08\0\0\0" "abcdefgh\0" "\xff\xff\xff\x02\0\xff\xdf\x15"
        "\0\0\0\0\0\0\0\0\0\0" "ijklmnopqrst\0" "mysql_native_password\0"
        "\x2c\0\0\x02\xfe" "mysql_native_password\0" "ABCDEFGHIJKLMNOPQRST";

    CHECK(sizeof greeting == 0x49 + 4 + 0x2c + 4);
    signal(SIGPIPE, SIG_DFL);
    hard.l_onoff = 1;
    hard.l_linger = 0;
    watched[0].fd = primacy_fd(p);
    watched[1].fd = fd;
    watched[0].events = watched[1].events = POLLIN;
    for (i = 0; i < 2000 && accepted < 24; i++) {
        int peer;

        poll(watched, 2, 100);
        if ((watched[1].revents & POLLIN) != 0 && (peer = accept(fd, NULL, NULL)) >= 0) {
            accepted++;
            if (accepted % 4 != 0 && send(peer, greeting, sizeof greeting, MSG_NOSIGNAL) < 0)
                perror("# send");
            if (accepted % 3 == 0)
                setsockopt(peer, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
            close(peer);
        }
        CHECK(primacy_dispatch(p) >= 0);
    }
    CHECK(accepted == 24);
    CHECK(observed(p) != 0);
    CHECK_CALL(0, primacy_instance_free(p));
    close(fd);
}

/* Signals to the process reach the host's thread, and its handlers stay. */
static volatile sig_atomic_t caught;

static void count_signal(int number)
{
    (void)number;
    caught++;
}

static void signals_stay_the_hosts(void)
{
    struct sigaction mine, seen;
    int port, fd = listener(&port), i, number;
    primacy_instance *p;
    sigset_t mask, after;

    close(fd);
    memset(&mine, 0, sizeof mine);
    mine.sa_handler = count_signal;
    sigaction(SIGUSR1, &mine, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    p = probing(port, NULL);
    CHECK_CALL(0, primacy_start(p));
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (number = 1; number < 32; number++) {
        CHECK(sigismember(&mask, number) == sigismember(&after, number));
        if (number == SIGUSR1 || number == SIGPIPE || number == SIGALRM)
            continue;
        sigaction(number, NULL, &seen);
        CHECK(seen.sa_handler == SIG_DFL || seen.sa_handler == SIG_IGN);
    }
    for (i = 0; i < 20; i++) {
        int before = caught;
        kill(getpid(), SIGUSR1);
        CHECK(caught == before + 1); /* so it came in this thread */
    }
    CHECK_CALL(0, primacy_instance_free(p));
}

/* A new configuration while a thread probes, from another thread's view: what stays goes on, what is refused changes nothing. */
static void a_new_configuration(void)
{
    int port, i;
    int fd = listener(&port);
    primacy_instance *p;
    primacy_config *config = NULL, *empty = NULL;
    primacy_snapshot *snapshot = NULL;
    struct primacy_pool pool;
    char spec[128];

    close(fd);
    p = probing(port, NULL);
    CHECK_CALL(0, primacy_start(p));
    CHECK_CALL(0, primacy_config_new(&empty));
    CHECK_CALL(PRIMACY_E_CONFIG, primacy_reload(p, empty));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_reload(p, NULL));
    CHECK_CALL(PRIMACY_E_HANDLE, primacy_reload(NULL, empty));
    CHECK_CALL(0, primacy_config_new(&config));
    snprintf(spec, sizeof spec, "name:orders;primary:127.0.0.1:%d", port);
    CHECK_CALL(0, primacy_config_add_pool(config, "name:users;primary:127.0.0.1:1"));
    CHECK_CALL(0, primacy_config_add_pool(config, spec));
    CHECK_CALL(0, primacy_config_set(config, "probe.interval", "20ms"));
    for (i = 0; i < 50; i++)
        CHECK_CALL(0, primacy_reload(p, config));
    for (i = 0; i < 100 && observed(p) == 0; i++)
        poll(NULL, 0, 20);
    CHECK(observed(p) != 0); /* of the new pool, which stands first */
    CHECK_CALL(0, primacy_snapshot_take(p, &snapshot));
    memset(&pool, 0, sizeof pool);
    pool.size = sizeof pool;
    CHECK_CALL(1, primacy_snapshot_find_pool(snapshot, "orders"));
    CHECK_CALL(0, primacy_snapshot_pool(snapshot, 1, &pool));
    CHECK(pool.node_count == 1);
    CHECK_CALL(0, primacy_snapshot_free(snapshot));
    CHECK_CALL(0, primacy_config_set(config, "cache_file", "/tmp/elsewhere"));
    CHECK_CALL(PRIMACY_E_REFUSED, primacy_reload(p, config));
    CHECK(check_error_says("rule 901") && check_error_says("cache_file"));
    CHECK_CALL(0, primacy_stop(p));
    CHECK_CALL(PRIMACY_E_STOPPED, primacy_reload(p, config));
    CHECK_CALL(0, primacy_config_free(empty));
    CHECK_CALL(0, primacy_config_free(config));
    CHECK_CALL(0, primacy_instance_free(p));
}

int main(int argc, char **argv)
{
    int fork_too = !(argc == 2 && strcmp(argv[1], "no-fork") == 0);

    RUN(new_takes_hold_of_nothing);
    RUN(a_thread_of_its_own);
    RUN(the_hosts_loop);
    RUN(a_cycle_of_a_script);
    RUN(a_stopped_external_pool);
    RUN(a_new_configuration);
    if (fork_too) {
        RUN(fork_under_a_thread);
        RUN(fork_under_the_hosts_loop);
        RUN(forked_workers_start_on_their_own);
        RUN(a_cache_stays_with_its_process);
    }
    RUN(peers_that_close_raise_no_signal);
    RUN(signals_stay_the_hosts);
    return check_failures;
}
