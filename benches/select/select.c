/*
 * What a selection costs, through the shared object, beside what it could cost at least and what a known proxy does.
 *
 *     select NODES THREADS PUBLISH_US STRATEGY [SECONDS]
 *
 * prints one line: "CONTENDER nanoseconds-per-call" of each contender, the median over blocks; several threads: per call and thread.
 * PUBLISH_US > 0: another thread changes a weight every so many microseconds, by observations of a pool that the host observes,
 * so that a table is published each time. STRATEGY "calls" measures report, release, backend_current and select with options.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <inttypes.h>
#include <primacy.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCK 20000
#define BLOCKS_MAX 20000

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void check(int32_t outcome, const char *what)
{
    char text[1024];
    if (outcome >= 0)
        return;
    primacy_last_error(text, sizeof text);
    fprintf(stderr, "%s: %s: %s\n", what, primacy_error_name(outcome), text);
    exit(2);
}

static primacy_instance *instance;
static int nodes;
static atomic_int stop, finished;

static void address(char *to, size_t size, int node)
{
    snprintf(to, size, "10.%d.%d.%d:3306", node / 62500, node / 250 % 250, node % 250 + 1);
}

static void observe(int node, uint32_t lag_ms)
{
    char name[64];
    primacy_channel channel = {sizeof channel, PRIMACY_CHANNEL_LAG, PRIMACY_THREAD_RUNNING, PRIMACY_THREAD_RUNNING, 0, 0, 0, 0, lag_ms, NULL, "10.0.0.1:3306", NULL};
    const primacy_channel *channels[] = {&channel};
    primacy_observation observation = {.size = sizeof observation, .cause = PRIMACY_CAUSE_OK};
    observation.facts = PRIMACY_FACT_READ_ONLY | PRIMACY_FACT_CHANNELS;
    observation.channels = channels;
    observation.channel_count = node == 0 ? 0 : 1;
    address(name, sizeof name, node);
    check(primacy_observe(instance, "p", name, &observation), "observe");
}

/* The last stand-in lags and does not, in turn: each time a table is published. */
static void *publisher(void *arg)
{
    int64_t pause = *(int64_t *)arg * 1000, next = now_ns();
    uint32_t turn = 0;
    while (!atomic_load(&stop)) {
        observe(nodes - 1, ++turn & 1 ? 5000 : 0);
        next += pause;
        struct timespec until = {next / 1000000000, next % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
    return NULL;
}

/* The least that a selection can be: one load of what is published, a comparison, a copy of what a backend needs. */
struct floor_table { uint32_t count; primacy_backend entries[1000]; };
static _Atomic(struct floor_table *) floor_current;

static void floor_select(struct floor_table **held, uint32_t *next, primacy_backend *out)
{
    struct floor_table *table = atomic_load_explicit(&floor_current, memory_order_acquire);
    if (table != *held)
        *held = table;
    uint32_t at = *next < table->count ? *next : 0;
    *next = at + 1;
    memcpy(out, &table->entries[at], 64);
}

/* What ProxySQL does in MyHGC::get_random_MySrvC: under a lock, add up the weights of those that will do, then walk again. */
struct scan_node { int online; uint32_t weight, connections, max_connections; primacy_backend backend; };
static struct scan_node *scan_nodes;
static pthread_mutex_t scan_lock = PTHREAD_MUTEX_INITIALIZER;

static void scan_select(uint64_t *seed, primacy_backend *out)
{
    pthread_mutex_lock(&scan_lock);
    uint32_t sum = 0;
    for (int i = 0; i < nodes; i++)
        if (scan_nodes[i].online && scan_nodes[i].connections < scan_nodes[i].max_connections)
            sum += scan_nodes[i].weight;
    *seed ^= *seed << 13, *seed ^= *seed >> 7, *seed ^= *seed << 17;
    uint32_t k = (uint32_t)(*seed % sum), reached = 0;
    for (int i = 0; i < nodes; i++) {
        if (!scan_nodes[i].online || scan_nodes[i].connections >= scan_nodes[i].max_connections)
            continue;
        reached += scan_nodes[i].weight;
        if (k < reached) {
            memcpy(out, &scan_nodes[i].backend, 64);
            break;
        }
    }
    pthread_mutex_unlock(&scan_lock);
}

enum contender { LIBRARY, FLOOR, SCAN, RELEASE, CURRENT, REPORT, AVOID, GTID, CONTENDERS };
static const char *const NAMES[] = {"select", "floor", "lock+scan", "release", "backend_current", "report", "select avoid", "select min_gtid"};

struct work {
    pthread_t thread;
    int64_t until;
    const char *service;
    unsigned contenders;
    double cost[CONTENDERS][BLOCKS_MAX];
    int blocks, decides, ended;
};

static pthread_barrier_t together;

static void block(enum contender what, primacy_selector *selector, struct floor_table **held, uint32_t *next, uint64_t *seed,
    primacy_backend *out, primacy_backend *given, primacy_backend *other)
{
    uint32_t avoid[1] = {out->slot};
    primacy_select_options with = {.size = sizeof with, .avoid = avoid, .avoid_count = 1};
    primacy_select_options gtid = {.size = sizeof gtid, .flags = PRIMACY_SELECT_STALE_OK, .min_gtid = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5"};
    for (int i = 0; i < BLOCK; i++)
        switch (what) {
        case LIBRARY: check(primacy_select(selector, NULL, out), "select"); break;
        case FLOOR: floor_select(held, next, other); break;
        case SCAN: scan_select(seed, other); break;
        case RELEASE: check(primacy_release(selector, given), "release"); break;
        case CURRENT: check(primacy_backend_current(selector, given), "current"); break;
        case REPORT: check(primacy_report(selector, given, PRIMACY_REPORT_CONNECTED), "report"); break;
        case AVOID: check(primacy_select(selector, &with, out), "select"); break;
        case GTID: check(primacy_select(selector, &gtid, out), "select"); break;
        case CONTENDERS: break;
        }
}

static void *worker(void *arg)
{
    struct work *work = arg;
    primacy_selector *selector;
    check(primacy_selector_new(instance, work->service, NULL, &selector), "selector_new");
    struct floor_table *held = NULL;
    uint32_t next = 0;
    uint64_t seed = (uint64_t)now_ns() | 1;
    primacy_backend out = {.size = sizeof out}, given = {.size = sizeof given};
    check(primacy_select(selector, NULL, &given), "select");
    primacy_backend other = out = given;
    while (!work->ended) {
        for (int what = 0; what < CONTENDERS; what++) {
            if (!(work->contenders & 1u << what))
                continue;
            /* All threads do the same at the same time. */
            pthread_barrier_wait(&together);
            int64_t begin = now_ns();
            block((enum contender)what, selector, &held, &next, &seed, &out, &given, &other);
            work->cost[what][work->blocks] = (double)(now_ns() - begin) / BLOCK;
        }
        work->blocks++;
        /* One decides for all, so that nobody is left at the barrier. */
        pthread_barrier_wait(&together);
        if (work->decides)
            atomic_store(&finished, now_ns() >= work->until || work->blocks == BLOCKS_MAX);
        pthread_barrier_wait(&together);
        work->ended = atomic_load(&finished);
    }
    check(primacy_selector_free(selector), "selector_free");
    return NULL;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: select NODES THREADS PUBLISH_US STRATEGY|calls [SECONDS]\n");
        return 2;
    }
    nodes = atoi(argv[1]) + 1; /* and the ACTIVE one */
    int threads = atoi(argv[2]);
    int64_t publish_us = atoll(argv[3]);
    const char *strategy = argv[4];
    double seconds = argc > 5 ? atof(argv[5]) : 1.0;
    int calls = strcmp(strategy, "calls") == 0;

    size_t room = 4096 + (size_t)nodes * 96;
    char *text = malloc(room), *end = text;
    end += sprintf(end, "[pool.p]\nkind = \"ring\"\nprobe = \"external\"\nmax_lag = \"1s\"\nmax_takeover_lag = \"1h\"\nnodes = [\n");
    for (int i = 0; i < nodes; i++) {
        char name[64];
        address(name, sizeof name, i);
        end += sprintf(end, "{ address = \"%s\", type = \"%s\", weight = %d },\n", name, i == 0 ? "primary" : "secondary", i % 4 + 1);
    }
    sprintf(end, "]\n[pool.p.service.ro]\nrole = \"standby\"\nstrategy = \"%s\"\nstale_after = \"1h\"\n", calls ? "two-choices" : strategy);
    primacy_config *config;
    check(primacy_config_new(&config), "config");
    check(primacy_config_load_text(config, text, strlen(text), "bench"), "config");
    check(primacy_instance_new(config, &instance), "instance");
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < nodes; i++)
            observe(i, 0);

    struct floor_table *table = calloc(1, sizeof *table);
    table->count = (uint32_t)(nodes - 1 < 1000 ? nodes - 1 : 1000);
    atomic_store(&floor_current, table);
    scan_nodes = calloc((size_t)nodes, sizeof *scan_nodes);
    for (int i = 0; i < nodes; i++)
        scan_nodes[i] = (struct scan_node){.online = i > 0, .weight = (uint32_t)(i % 4 + 1), .max_connections = 1000};

    pthread_t changes;
    if (publish_us > 0)
        pthread_create(&changes, NULL, publisher, &publish_us);
    pthread_barrier_init(&together, NULL, (unsigned)threads);
    struct work *work = calloc((size_t)threads, sizeof *work);
    for (int i = 0; i < threads; i++) {
        work[i].until = now_ns() + (int64_t)(seconds * 1e9);
        work[i].service = "p.ro";
        work[i].decides = i == 0;
        work[i].contenders = calls ? ~7u : 7u;
        pthread_create(&work[i].thread, NULL, worker, &work[i]);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(work[i].thread, NULL);
    atomic_store(&stop, 1);
    if (publish_us > 0)
        pthread_join(changes, NULL);
    for (int what = 0; what < CONTENDERS; what++) {
        if (!(work[0].contenders & 1u << what))
            continue;
        static double all[4 * BLOCKS_MAX];
        int count = 0;
        for (int i = 0; i < threads; i++)
            for (int b = 1; b < work[i].blocks && count < 4 * BLOCKS_MAX; b++)
                all[count++] = work[i].cost[what][b];
        qsort(all, (size_t)count, sizeof *all, ascending);
        printf("%s\t%.2f\t%.2f\t%.2f\t%d\n", NAMES[what], all[count / 2], all[count / 10], all[count * 9 / 10], count);
    }
    check(primacy_instance_free(instance), "free");
    return 0;
}
